// What a gate does over each of its limits, with real handshakes: who is over it waits or is reset, nobody else notices,
// and what has ended is given back.

import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { GateFixture } from '../security/gate-fixture.ts';
import { GATE_LIMITS } from './gate-options.ts';
import { answerTo, GET, namingGate, WEBSOCKET } from './naming-gate.ts';

const gates = namingGate();

describe('over a limit', () => {
  const metrics = async (gate: GateFixture) => (await gate.health()).metrics;
  const connected = async (gate: GateFixture) => {
    const socket = connect({ host: '127.0.0.1', port: gate.port });
    socket.on('error', () => {});
    const closed = new Promise((resolve) => socket.once('close', resolve));
    // One that is reset at once may never seem to be connected.
    await Promise.race([closed, new Promise((resolve) => socket.once('connect', resolve))]);
    socket.resume();
    return { socket, closed };
  };

  it.each([
    ['of all clients', { connections: 2 }],
    ['of one address', { connectionsPerAddress: 2 }],
  ])('%s, a connection is reset before its handshake, until another has ended', async (_whose, limits) => {
    const gate = await gates.start({ limits: { ...GATE_LIMITS, ...limits } });
    const peer = await gate.connect();
    const second = await connected(gate);
    const third = await connected(gate);
    await third.closed;
    expect(await metrics(gate)).toMatchObject({ limitedConnections: 1, handshakes: 1, handshakeFailures: 0 });
    const health = await gate.health();
    expect(health.connections).toBe(1);
    second.socket.resetAndDestroy();
    // The gate has noticed the end of the second when it takes another; until then it resets.
    let fourth = '';
    while (fourth === '') fourth = await gate.connect().then(answerTo, () => '');
    expect(fourth).toBe('200 worker/etl-1');
    expect(await answerTo(peer)).toBe('200 worker/etl-1');
  });

  it('of handshakes a second from one address, a connection is reset before its handshake', async () => {
    const gate = await gates.start({ limits: { ...GATE_LIMITS, handshakesPerAddress: 1 } });
    const sockets = await Promise.all(Array.from({ length: 30 }, () => connected(gate)));
    while ((await metrics(gate)).limitedHandshakes < 15) await new Promise((resolve) => setImmediate(resolve));
    for (const { socket } of sockets) socket.destroy();
  });

  it('of connections of one identity, the client is told to wait, and the refusal is on record', async () => {
    const gate = await gates.start({ limits: { ...GATE_LIMITS, connectionsPerIdentity: 1 } });
    const first = await gate.connect();
    const second = await gate.connect();
    second.send(GET);
    const refusal = await second.until(/\r\n\r\n[\s\S]+/u);
    expect(refusal).toMatch(/^HTTP\/1\.1 429 /);
    expect(refusal).toContain('retry-after: 2\r\nprefect-maintenance: true\r\n');
    expect(refusal).toContain('worker/etl-1 has as many connections as it may have');
    expect(await metrics(gate)).toMatchObject({ limitedConnections: 1, refused: 1 });
    await second.ended();
    expect(await answerTo(first)).toBe('200 worker/etl-1');
    let again = '';
    while (!again.startsWith('200')) again = await answerTo(await gate.connect());
    const refused = gate.records().find(({ code }) => code === 'CG_LIMIT_IDENTITY');
    expect(refused).toMatchObject({ identity: 'worker/etl-1', decision: 'refuse', status: 429 });
  });

  it('of requests in flight of one identity, a request is told to wait, WebSockets are not counted, and each end gives back', async () => {
    const gate = await gates.start({ limits: { ...GATE_LIMITS, requestsPerIdentity: 1 } });
    const [busy, other, socket] = [await gate.connect(), await gate.connect(), await gate.connect()];
    // Its body is never whole: it stays in flight.
    busy.send('POST /api/logs/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf');
    while ((await metrics(gate)).requestsOpen < 1) await new Promise((resolve) => setImmediate(resolve));
    other.send(GET);
    const refusal = await other.until(/\r\n\r\n[\s\S]+as it may have[^"]*"\}/u);
    expect(refusal).toMatch(/^HTTP\/1\.1 429 /);
    expect(refusal).toContain('retry-after: 2\r\nprefect-maintenance: true\r\n');
    socket.send(WEBSOCKET);
    expect(await socket.until('HTTP/1.1 200')).not.toContain('429');
    expect(await metrics(gate)).toMatchObject({ limitedRequests: 1 });
    busy.socket.destroy();
    while ((await metrics(gate)).requestsOpen > 0) await new Promise((resolve) => setImmediate(resolve));
    const kept = await gate.connect();
    for (const answers of [1, 2, 3]) {
      kept.send(GET);
      await kept.until(new RegExp(`(?:HTTP/1.1 200[^]*?worker/etl-1){${answers}}`, 'u'));
    }
    for (const peer of [other, socket, kept]) peer.socket.destroy();
  });
});
