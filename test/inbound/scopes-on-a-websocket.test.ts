// Scopes on a WebSocket: what is sent by it and heard by it is read message by message, in order, by the policy of now.

import { describe, expect, it } from 'vitest';
import { maskedTextFrame } from '../../src/inbound/auth-message.ts';
import { readFrame } from '../../src/inbound/frames.ts';
import type { RawPeer } from '../proxy/plain-proxy.ts';
import type { GateFixture } from '../security/gate-fixture.ts';
import { OTHER, OWN, SCOPED, scopedGate } from './scoped-gate.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const { upstream, start, become } = scopedGate();

describe('a WebSocket', () => {
  const open = async (gate: GateFixture, path: string): Promise<RawPeer> => {
    const peer = await gate.connect();
    peer.send(
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
        `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n`,
    );
    await peer.until(/101 [\s\S]*\r\n\r\n/u);
    return peer;
  };
  const say = (peer: RawPeer, message: unknown): void => {
    const text = typeof message === 'string' ? message : JSON.stringify(message);
    peer.socket.write(maskedTextFrame(Buffer.from(text)));
  };
  const hears = async (count: number): Promise<readonly string[]> => {
    while (upstream.heard.length < count) await new Promise((resolve) => setTimeout(resolve, 2));
    return upstream.heard;
  };
  const about = (id: string, more: object = {}) => ({
    event: 'e',
    resource: { 'prefect.resource.id': `prefect.flow-run.${id}` },
    ...more,
  });
  const AUTH = { type: 'auth', token: null };

  it('by which events come is read message by message; what is another’s closes it with 1008 and is on record', async () => {
    const gate = await start();
    const peer = await open(gate, '/api/events/in');
    expect(upstream.reached).toEqual(['WS /api/events/in plain']);
    say(peer, AUTH);
    say(peer, about(OWN));
    say(peer, about(OTHER));
    say(peer, about(OWN, { event: 'late' }));
    expect(await hears(2)).toEqual([JSON.stringify(AUTH), JSON.stringify(about(OWN))]);
    await peer.until(
      `${String.fromCharCode(1008 >> 8, 1008 & 0xff)}certgate: CG_SCOPE: only within the pool etl, and it is about`,
    );
    await peer.ended();
    expect(upstream.heard).toHaveLength(2);
    expect(gate.records().at(-1)).toMatchObject({
      operation: 'stream_events_in',
      code: 'CG_SCOPE',
      decision: 'refuse',
    });
  });

  it('that can be kept within none is closed with the reason', async () => {
    const gate = await start('bindings: [{role: Developer, identity: worker/etl-1, pools: [etl]}]\n');
    const peer = await open(gate, '/api/task_runs/subscriptions/scheduled');
    await peer.until('certgate: CG_SCOPE: it cannot be kept within a scope');
    expect(upstream.reached).toEqual([]);
  });

  it('keeps its messages and pings in order while one is looked up, fragments and all', async () => {
    const gate = await start();
    let go = (): void => {};
    upstream.holding = new Promise((resolve) => {
      go = resolve;
    });
    const peer = await open(gate, '/api/events/in');
    say(peer, AUTH);
    const frame = maskedTextFrame(Buffer.from(JSON.stringify(about(OWN, { note: 'ä'.repeat(40_000) }))));
    const parsed = readFrame(frame, 1_000_000, true);
    if (parsed === null || typeof parsed === 'string') throw new Error('no frame');
    const [head, tail] = [parsed.payload.subarray(0, 11), parsed.payload.subarray(11)];
    const masked = (first: number, payload: Buffer): Buffer => {
      const whole = maskedTextFrame(payload);
      whole[0] = first;
      return whole;
    };
    peer.socket.write(Buffer.concat([masked(0x01, head), masked(0x89, Buffer.from('a')), masked(0x80, tail)]));
    peer.socket.write(masked(0x89, Buffer.from('b')));
    // The pong to the ping between the fragments comes; the one behind the message waits with it.
    await peer.until('\x8a\x01a');
    expect(peer.received()).not.toContain('\x8a\x01b');
    expect(upstream.heard).toHaveLength(1);
    go();
    await peer.until('\x8a\x01b');
    expect((await hears(2))[1]).toBe(parsed.payload.toString());
  });

  it.each([
    ['a frame without a mask', Buffer.from([0x81, 0x01, 0x61])],
    ['a compressed frame', Buffer.from([0xc1, 0x81, 0, 0, 0, 0, 0x61])],
    ['a binary message', Buffer.from([0x82, 0x81, 0, 0, 0, 0, 0x61])],
    ['a continuation of nothing', Buffer.from([0x80, 0x81, 0, 0, 0, 0, 0x61])],
    ['a message longer than any event', Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0x30, 0, 0, 0, 0, 0, 0])],
    ['text that is not UTF-8', Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff])],
    [
      'an auth message that is an event too',
      maskedTextFrame(Buffer.from(JSON.stringify({ ...AUTH, ...about(OTHER) }))),
    ],
    ['no JSON', maskedTextFrame(Buffer.from('x'))],
  ])('by which events come is closed at %s', async (_what, bytes) => {
    const gate = await start();
    const peer = await open(gate, '/api/events/in');
    peer.socket.write(bytes);
    await peer.ended();
    expect(peer.received()).toContain(String.fromCharCode(1008 >> 8, 1008 & 0xff));
    expect(upstream.heard).toEqual([]);
  });

  it('obeys another policy at its next message', async () => {
    const gate = await start();
    const peer = await open(gate, '/api/events/in');
    say(peer, AUTH);
    become(gate, SCOPED.replace('[etl]', '[etl, ml]'));
    say(peer, about(OTHER));
    expect(await hears(2)).toHaveLength(2);
    become(gate, SCOPED);
    say(peer, about(OTHER));
    await peer.ended();
    expect(upstream.heard).toHaveLength(2);
  });

  it('that was opened without a scope is cut when there is one: nobody has read it', async () => {
    const gate = await start('bindings: [{role: Worker, identity: worker/etl-1}]\n');
    const peer = await open(gate, '/api/events/in');
    expect(upstream.reached).toEqual(['WS /api/events/in permessage-deflate']);
    become(gate, SCOPED);
    await peer.ended();
  });

  it('by which one listens gives what is within and nothing else, whatever the filter', async () => {
    const gate = await start();
    const peer = await open(gate, '/api/events/out');
    say(peer, AUTH);
    say(peer, { type: 'filter', filter: {} });
    await hears(2);
    const [socket] = upstream.sockets;
    socket?.send('{"type":"auth_success"}');
    for (const id of [OTHER, OWN]) socket?.send(JSON.stringify({ type: 'event', event: about(id) }));
    socket?.send(
      JSON.stringify({
        type: 'event',
        event: { ...about(OWN), resource: { 'prefect.resource.id': 'x' }, related: [] },
      }),
    );
    socket?.send(JSON.stringify({ type: 'event', event: about(OWN, { event: 'last' }) }));
    const text = await peer.until('"last"');
    expect(text).toContain('auth_success');
    expect([text.split(OTHER).length - 1, text.split(OWN).length - 1]).toEqual([0, 2]);
    const logs = await open(gate, '/api/logs/out');
    for (const id of [OTHER, OWN])
      upstream.sockets[1]?.send(JSON.stringify({ type: 'log', log: { message: 'm', flow_run_id: id } }));
    expect(await logs.until(OWN)).not.toContain(OTHER);
  });

  const hello = (payload: object) => ({ type: 'worker.hello.v1', id: OWN, payload: { worker_name: 'w', ...payload } });

  it('of a worker that may make no pool asks Prefect for none, and is not read after its hello', async () => {
    const gate = await start('bindings: [{role: Worker, identity: worker/etl-1}]\n');
    const peer = await open(gate, '/api/work_pools/etl/workers/connect');
    say(peer, AUTH);
    say(peer, hello({ create_pool_if_not_found: true, default_base_job_template: { a: 1 } }));
    say(peer, 'anything');
    const [, said = '', after] = await hears(3);
    expect(JSON.parse(said)).toEqual(hello({ create_pool_if_not_found: false, default_base_job_template: {} }));
    expect(after).toBe('anything');
  });

  it('of a worker that may make pools elsewhere asks for none here', async () => {
    const maker = 'roles: {maker: {permissions: [write_work_pools]}}\n';
    const gate = await start(`${maker}${SCOPED}  - {role: maker, identity: worker/etl-1, pools: [ml]}\n`);
    const peer = await open(gate, '/api/work_pools/etl/workers/connect');
    say(peer, AUTH);
    say(peer, hello({ create_pool_if_not_found: true }));
    expect((await hears(2))[1]).toContain('"create_pool_if_not_found":false');
  });

  it('of a worker that may make pools passes as it is', async () => {
    const gate = await start('bindings: [{role: Developer, identity: worker/etl-1}]\n');
    const peer = await open(gate, '/api/work_pools/etl/workers/connect');
    say(peer, AUTH);
    say(peer, hello({ create_pool_if_not_found: true }));
    expect((await hears(2))[1]).toBe(JSON.stringify(hello({ create_pool_if_not_found: true })));
  });
});
