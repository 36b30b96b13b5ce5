// A Prefect that has its API elsewhere than at /api: clients, the policy and the record know /api, and it is asked where it is.
import { expect, test } from 'vitest';
import { targetBelow } from '../../src/inbound/request-head.ts';
import { ask, OWN, SCOPED, scopedGate } from './scoped-gate.ts';

const { upstream, start } = scopedGate();

test('what is asked at /api goes to where the API is, and nothing else is changed', () => {
  for (const [target, sent] of [
    ['/api', '/prefect'],
    ['/api/flows/x?a=/api/', '/prefect/flows/x?a=/api/'],
    ['/api?x', '/prefect?x'],
    ['/apiary/api/', '/apiary/api/'],
    ['/prefect/flows/', '/prefect/flows/'],
    ['/', '/'],
  ] as const) {
    expect([targetBelow('/prefect', target), targetBelow('/api', target)]).toEqual([sent, target]);
  }
});

test('requests, bodies, WebSockets and the gate’s own questions go there; a path of there is unknown, but to an Owner', async () => {
  const gate = await start(SCOPED, { apiPath: '/team/prefect' });
  const peer = await gate.connect();
  expect(await ask(peer, `GET /api/flow_runs/${OWN}?x=1`)).toBe('200 ok');
  expect(await ask(peer, 'POST /api/flow_runs/filter', '{}')).toBe('200 ok');
  expect(await ask(peer, 'POST /api/flow_runs/filter', '{"limit":1}')).toBe('200 ok');
  expect(await ask(peer, 'GET /ui-settings')).toBe('200 ok');
  expect(await ask(peer, `GET /team/prefect/flow_runs/${OWN}`)).toMatch(/^403 /u);
  const socket = await gate.connect();
  socket.send(
    'GET /api/logs/out HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: prefect\r\n\r\n',
  );
  await socket.until('HTTP/1.1 101');
  expect(upstream.reached).toEqual([
    `GET /team/prefect/flow_runs/${OWN}?x=1`,
    'POST /team/prefect/flow_runs/filter',
    'POST /team/prefect/flow_runs/filter',
    'GET /ui-settings',
    expect.stringMatching(/^WS \/team\/prefect\/logs\/out /),
  ]);
  expect(upstream.questions).toEqual([`GET /team/prefect/flow_runs/${OWN}`]);
  expect(gate.records().at(-1)).toMatchObject({ operation: null, code: 'CG_OPERATION_UNKNOWN' });
});

test('secrets are left out there too', async () => {
  const policy = 'secrets: hide\nbindings: [{role: Viewer, identity: worker/etl-1}]\n';
  const peer = await (await start(policy, { apiPath: '/prefect' })).connect();
  expect(await ask(peer, `GET /api/block_documents/${OWN}?include_secrets=true`)).toBe('200 []');
  expect(upstream.reached.join()).toMatch(/^GET \/prefect\/block_documents\/[^,?]*(?:\?include_secrets=false)?$/);
});
