// A worker whose certificate names its pool, before policies that say nothing of pools, another pool, or nothing at all.

import { expect, it } from 'vitest';
import { maskedTextFrame } from '../../src/inbound/auth-message.ts';
import { ask, OTHER, OWN, scopedGate } from './scoped-gate.ts';

const { upstream, start, become } = scopedGate(['Data', 'pool:etl']);
const read = (id: string) => `GET /api/flow_runs/${id}`;
const poll = (pool: string) => `POST /api/work_pools/${pool}/get_scheduled_flow_runs`;
const BEYOND =
  /^403 .*only within the pool etl of its certificate, and it [^;]+; no policy widens that: it takes another certificate"/u;

it('keeps its holder to it though the policy says nothing of pools, also when that changes', async () => {
  const gate = await start('bindings: [{role: Owner, identity: worker/etl-1}]\n');
  const peer = await gate.connect();
  expect(await ask(peer, read(OWN))).toBe('200 ok');
  expect(await ask(peer, read(OTHER))).toMatch(BEYOND);
  expect(await ask(peer, poll('etl'), '{}')).toBe('200 ok');
  expect(await ask(await gate.connect(), poll('ml'), '{}')).toMatch(BEYOND);
  expect(await ask(peer, 'POST /api/flow_runs/filter', '{}')).toBe('200 ok');
  expect(upstream.bodies.at(-1)).toBe('{"work_pools":{"name":{"any_":["etl"]}}}');
  // No Owner any more: what nobody knows could be about any pool.
  expect(await ask(await gate.connect(), 'POST /api/new', '{}')).toMatch(/^403 /u);
  become(gate, 'bindings: [{role: Worker, group: Data, pools: [ml]}]\n');
  expect(await ask(peer, read(OWN))).toContain(
    'nowhere: its certificate is for the pool etl, and the policy gives it the pool ml (bound at policy.yaml:1:12); bind it to the pool etl in the policy, or give it a certificate for the pool ml',
  );
  expect(await ask(await gate.connect(), poll('ml'), '{}')).toMatch(/^403 /u);
  become(gate, "bindings: [{role: Worker, group: 'pool:etl'}]\n");
  expect(await ask(peer, read(OWN))).toBe('200 ok');
  become(gate, 'bindings: []\n');
  expect(await ask(peer, read(OWN))).toContain('has no role');
});

it('keeps it to it where there is no policy at all, requests and WebSockets', async () => {
  const gate = await start(null);
  const peer = await gate.connect();
  expect(await ask(peer, read(OWN))).toBe('200 ok');
  expect(await ask(peer, read(OTHER))).toMatch(BEYOND);
  expect(gate.records().at(-1)).toMatchObject({ code: 'CG_SCOPE', decision: 'refuse', status: 403 });
  expect(await ask(await gate.connect(), 'POST /api/variables/', '{}')).toMatch(BEYOND);
  expect(await ask(await gate.connect(), 'POST /api/new', '{}')).toMatch(/^403 /u);
  expect(await ask(peer, 'GET /api/health')).toBe('200 ok');
  const events = await gate.connect();
  events.send(
    'GET /api/events/in HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  await events.until(/101 [\s\S]*\r\n\r\n/u);
  const about = (id: string) => ({ event: 'e', resource: { 'prefect.resource.id': `prefect.flow-run.${id}` } });
  for (const id of [OWN, OTHER]) events.socket.write(maskedTextFrame(Buffer.from(JSON.stringify(about(id)))));
  await events.until(
    'certgate: CG_SCOPE: only within the pool etl of its certificate, and it is about a flow run that is not',
  );
  await events.ended();
  expect(upstream.heard).toEqual([JSON.stringify(about(OWN))]);
});
