// Events hold variables, artifacts and more: who may not see those is told no such events, by whatever operation.

import { describe, expect, it } from 'vitest';
import { maskedTextFrame } from '../../src/inbound/auth-message.ts';
import { ask, OWN, scopedGate } from './scoped-gate.ts';

const { upstream, start, become } = scopedGate();

const DENIED =
  'roles: {x: {extends: [Viewer], deny: [see_variables]}}\nbindings: [{role: x, identity: worker/etl-1}]\n';
const VIEWER = 'bindings: [{role: Viewer, identity: worker/etl-1}]\n';
const EXCLUDED = '"event":{"exclude_prefix":["prefect.variable."]}';

describe('without see_variables', () => {
  it.each(['filter', 'count-by/event'])('POST /api/events/%s excludes the events of variables', async (path) => {
    const gate = await start(DENIED);
    const peer = await gate.connect();
    expect(await ask(peer, `POST /api/events/${path}`, '{"filter":{"text":{"query":"x"}},"limit":5}')).toBe('200 ok');
    expect(await ask(peer, `POST /api/events/${path}`)).toBe('200 ok');
    expect(upstream.bodies).toEqual([
      `{"filter":{"text":{"query":"x"},${EXCLUDED}},"limit":5}`,
      `{"filter":{${EXCLUDED}}}`,
    ]);
    expect(upstream.types.at(-1)).toBe('application/json');
    expect(await ask(peer, `POST /api/events/${path}`, '{"filter":1}')).toMatch(
      /^400 .*a filter of events that is none/u,
    );
    expect(await ask(peer, `POST /api/events/${path}`, '{"filter":{},"filter":{}}')).toMatch(
      /^400 .*has a name twice/u,
    );
    expect(upstream.reached).toHaveLength(2);
  });

  it('a page is of what such a filter found', async () => {
    const gate = await start(DENIED);
    const peer = await gate.connect();
    const twice = (text: string) => Buffer.from(Buffer.from(text).toString('base64')).toString('base64');
    const page = (text: string) => `GET /api/events/filter/next?page-token=${twice(text)}`;
    expect(await ask(peer, page(`{"filter":{${EXCLUDED}},"offset":50}`))).toBe('200 ok');
    expect(await ask(peer, page('{"filter":{},"offset":0}'))).toMatch(/^403 .*a page of all events: .*see_variables/u);
    expect(gate.records().at(-1)).toMatchObject({ code: 'CG_PERMISSION', decision: 'refuse', status: 403 });
    expect(upstream.reached).toHaveLength(1);
  });

  it('who listens is sent none, and everything else byte for byte', async () => {
    const gate = await start(DENIED);
    const peer = await gate.connect();
    peer.send(
      'GET /api/events/out HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n',
    );
    await peer.until(/101 [\s\S]*\r\n\r\n/u);
    expect(upstream.reached).toEqual(['WS /api/events/out plain']);
    peer.socket.write(maskedTextFrame(Buffer.from('{"type":"auth","token":null}')));
    const [socket] = upstream.sockets;
    const event = (name: string, value: string) =>
      `{"type": "event", "event": {"event": "${name}", "resource": {"prefect.resource.id": "x.${OWN}"}, "payload": {"value": ${value}}}}`;
    socket?.send(event('prefect.variable.created', '"payroll"'));
    socket?.send(event('mine', 'NaN'));
    socket?.send(event('prefect.variable.updated', 'NaN'));
    socket?.send(event('last', '1'));
    await peer.until(event('last', '1'));
    expect(peer.received()).toContain(event('mine', 'NaN'));
    expect(peer.received()).not.toContain('prefect.variable.');
  });
});

it('without see_artifacts the graph of a flow run has none', async () => {
  const gate = await start(DENIED.replace('see_variables', 'see_artifacts'));
  const peer = await gate.connect();
  upstream.graph = '{"nodes":[["1",{"label":"a","artifacts":[{"key":"k"}]}]],"artifacts":[{"key":"k"}]}';
  const graph = `GET /api/flow_runs/${OWN}/graph-v2`;
  expect(await ask(peer, graph)).toBe('200 {"nodes":[["1",{"label":"a","artifacts":[]}]],"artifacts":[]}');
  become(gate, VIEWER);
  expect(await ask(peer, graph)).toBe(`200 ${upstream.graph}`);
});

it('with it nothing is read, nor where a policy only observes', async () => {
  const gate = await start(VIEWER);
  const peer = await gate.connect();
  expect(await ask(peer, 'POST /api/events/filter', '{ }')).toBe('200 ok');
  become(gate, `mode: observe\n${DENIED}`);
  expect(await ask(peer, 'POST /api/events/filter', '{  }')).toBe('200 ok');
  expect(upstream.bodies).toEqual(['{ }', '{  }']);
});
