// Scopes where they hold: a whole gate before an upstream that says what it has and what it got, and can be slow or away.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { loadPolicy } from '../../src/config/policy-load.ts';
import { maskedTextFrame } from '../../src/inbound/auth-message.ts';
import { readFrame } from '../../src/inbound/frames.ts';
import { portOf, type RawPeer } from '../proxy/plain-proxy.ts';
import { type GateFixture, type GateHouse, openGateHouse } from '../security/gate-fixture.ts';

const OWN = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const OTHER = '1f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const SCOPED = 'bindings:\n  - {role: Worker, identity: worker/etl-1, pools: [etl]}\n';

let folder: string;
let house: GateHouse;
let gate: GateFixture;
let upstream: Server;
/** `METHOD path` of what clients asked; and of what the gate asked by itself. */
let reached: string[];
let questions: string[];
let bodies: string[];
let types: (string | undefined)[];
let pools: Record<string, string>;
/** Holds the answers to the gate's questions. */
let holding: Promise<void>;
let failing: boolean;
let sockets: WebSocket[];
let heard: string[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'certgate-scopes-'));
  house = await openGateHouse(['Data', 'Ops']);
  upstream = createServer((request, response) => {
    void answer(request).then(([status, text]) => {
      response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
      response.end(text);
    });
  });
  const server = new WebSocketServer({ server: upstream });
  server.on('connection', (socket, request) => {
    sockets.push(socket);
    reached.push(`WS ${request.url ?? ''} ${request.headers['sec-websocket-extensions'] ?? 'plain'}`);
    socket.on('message', (text: Buffer) => heard.push(text.toString()));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
});
beforeEach(() => {
  [reached, questions, bodies, types, sockets, heard] = [[], [], [], [], [], []];
  pools = { [OWN]: 'etl', [OTHER]: 'ml' };
  holding = Promise.resolve();
  failing = false;
});
afterEach(async () => await gate.close());
afterAll(async () => {
  upstream.closeAllConnections();
  upstream.close();
  await house.close();
  rmSync(folder, { recursive: true });
});

async function answer(request: IncomingMessage): Promise<readonly [number, string]> {
  const line = `${request.method} ${request.url}`;
  let body = '';
  for await (const part of request) body += String(part);
  if (request.headers['user-agent'] !== 'certgate') {
    reached.push(line);
    bodies.push(body);
    types.push(request.headers['content-type']);
    return [200, 'ok'];
  }
  questions.push(line);
  await holding;
  if (failing) return [500, '{}'];
  const id = line.split('/').at(-1) ?? '';
  const pool = pools[id];
  return pool === undefined ? [404, '{}'] : [200, JSON.stringify({ id, work_pool_name: pool, tags: [], flow_id: OWN })];
}

async function start(policy = SCOPED): Promise<void> {
  const file = join(folder, 'policy.yaml');
  writeFileSync(file, policy);
  gate = await house.start(portOf(upstream), { path: file, cwd: folder, loaded: loadPolicy(file, folder) });
}

function become(policy: string): void {
  writeFileSync(join(folder, 'policy.yaml'), policy);
  gate.reloadPolicy();
}

async function ask(peer: RawPeer, line: string, body = '', more = ''): Promise<string> {
  const from = peer.received().length;
  const length = body === '' ? '' : `content-length: ${Buffer.byteLength(body)}\r\n`;
  peer.send(`${line} HTTP/1.1\r\nHost: localhost\r\n${length}${more}\r\n${body}`);
  const text = (await peer.until((all) => /\r\n\r\n[\s\S]+/u.test(all.slice(from)))).slice(from);
  return `${text.slice(9, 12)} ${text.slice(text.indexOf('\r\n\r\n') + 4)}`;
}

const read = (id: string) => `GET /api/flow_runs/${id}`;

describe('a thing that is named by its id', () => {
  it('is looked up once for all who ask at a time, then kept, and refused in another pool', async () => {
    await start();
    const peers = await Promise.all([gate.connect(), gate.connect(), gate.connect()]);
    expect(await Promise.all(peers.map(async (peer) => await ask(peer, read(OWN))))).toEqual([
      '200 ok',
      '200 ok',
      '200 ok',
    ]);
    const [peer] = peers;
    expect(await ask(peer, `POST /api/flow_runs/${OWN}/set_state`, '{ "state":{"type":"RUNNING"} , "x":1.00}')).toBe(
      '200 ok',
    );
    expect(bodies.at(-1)).toBe('{ "state":{"type":"RUNNING"} , "x":1.00}');
    expect(questions).toEqual([`GET /api/flow_runs/${OWN}`]);
    expect(await ask(peer, read(OTHER))).toBe(
      '403 {"detail":"certgate: worker/etl-1 (Worker) may do read_flow_run only within the pool etl (bound at policy.yaml:2:5), and it is about a flow run that is not; to permit it everywhere, add to bindings in the policy: - {role: Worker, identity: worker/etl-1}"}',
    );
    expect(reached).not.toContain(`GET /api/flow_runs/${OTHER}`);
    expect(gate.records().at(-1)).toMatchObject({ code: 'CG_SCOPE', decision: 'refuse', status: 403 });
    expect((await gate.health()).metrics).toMatchObject({ forbidden: 1 });
  });

  it('is looked up again after a write by way of the gate', async () => {
    await start();
    const peer = await gate.connect();
    expect(await ask(peer, read(OWN))).toBe('200 ok');
    expect(await ask(peer, `PATCH /api/flow_runs/${OWN}`, '{"name":"x"}')).toBe('200 ok');
    pools[OWN] = 'ml';
    expect(await ask(peer, read(OWN))).toMatch(/^403 /u);
    expect(questions).toHaveLength(2);
  });

  it('is let through when there is none: that is Prefect’s to say', async () => {
    await start();
    const peer = await gate.connect();
    expect(await ask(peer, read('2f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f'))).toBe('200 ok');
    expect(await ask(peer, read('2f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f'))).toBe('200 ok');
    expect(questions).toHaveLength(2);
  });

  it('is refused for now, never allowed, while Prefect does not say whose it is', async () => {
    await start();
    failing = true;
    const peer = await gate.connect();
    expect(await ask(peer, read(OWN))).toMatch(/^503 /u);
    expect(peer.received()).toMatch(/retry-after: 2\r\nprefect-maintenance: true/u);
    expect(gate.records().at(-1)).toMatchObject({ code: 'CG_SCOPE_UNKNOWN', status: 503 });
    failing = false;
    expect(await ask(peer, read(OWN))).toBe('200 ok');
  });

  it('holds its own connection up and nobody else’s, and leaves nothing behind when its client leaves', async () => {
    await start();
    let go = (): void => {};
    holding = new Promise((resolve) => {
      go = resolve;
    });
    const [waits, other, leaves] = [await gate.connect(), await gate.connect(), await gate.connect()];
    // Two requests at once: the second is not read before the first is decided.
    waits.send(`${read(OWN)} HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    leaves.send(`${read(OWN)} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    expect(await ask(other, 'GET /api/version')).toBe('200 ok');
    expect(reached).toEqual(['GET /api/version']);
    leaves.socket.destroy();
    go();
    await waits.until(/ok[\s\S]*ok/u);
    while ((await gate.health()).metrics.connections > 2) await new Promise((resolve) => setTimeout(resolve, 5));
    const own = reached.filter((one) => one === `GET /api/flow_runs/${OWN}`);
    expect([reached.at(-1), questions.length]).toEqual(['GET /api/health', 1]);
    expect(own.length).toBeGreaterThan(0);
  });
});

describe('a filter', () => {
  it('is narrowed, and its body framed anew', async () => {
    await start();
    const peer = await gate.connect();
    expect(await ask(peer, 'POST /api/flow_runs/filter', '{"limit": 3}')).toBe('200 ok');
    expect(bodies).toEqual(['{"limit":3,"work_pools":{"name":{"any_":["etl"]}}}']);
    expect(questions).toEqual([]);
  });

  it.each([
    ['400', '{"a":1,"a":2}', ''],
    ['415', '{}', 'content-encoding: gzip\r\n'],
    ['415', '{}', 'content-type: application/json; charset=latin1\r\n'],
    // Prefect takes nothing of these, and answers with everything.
    ['415', '{}', 'content-type: text/plain\r\n'],
    ['415', '{}', 'content-type:\r\n'],
    ['415', '{}', 'content-type: application/jsonx\r\n'],
    ['415', '{}', 'content-type: application/json, text/plain\r\n'],
    ['415', '{}', 'content-type: application/x-www-form-urlencoded\r\n'],
    ['415', '{}', 'content-type: text/plain\r\ncontent-type: application/json\r\n'],
    ['413', '', 'content-length: 1048577\r\n'],
    ['411', '', 'transfer-encoding: chunked\r\n'],
    ['400', '', 'content-length: 0\r\n'],
  ])('that cannot be read in one way is refused with %s: %s %s', async (status, body, lines) => {
    await start();
    expect(await ask(await gate.connect(), 'POST /api/flow_runs/filter', body, lines)).toMatch(
      new RegExp(`^${status} `, 'u'),
    );
    expect(gate.records().at(-1)).toMatchObject({ code: 'CG_REQUEST_BODY', status: Number(status) });
    expect(reached).toEqual([]);
  });

  it.each([
    ['', 'application/json'],
    ['content-type: application/json\r\n', 'application/json'],
    ['content-type: Application/JSON;charset="UTF-8"\r\n', 'Application/JSON;charset="UTF-8"'],
  ])('goes on as the JSON that it was read as: %j', async (line, type) => {
    await start();
    const peer = await gate.connect();
    for (const body of ['{}', '{"limit":1}', '{"work_pools":{"name":{"any_":["etl"]}}}']) {
      expect(await ask(peer, 'POST /api/flow_runs/filter', body, line)).toBe('200 ok');
    }
    expect(types).toEqual([type, type, type]);
  });

  it('is left alone without a scope', async () => {
    await start('bindings: [{role: Worker, identity: worker/etl-1}]\n');
    const peer = await gate.connect();
    expect(await ask(peer, 'POST /api/flow_runs/filter', '{"a":1,"a":2}')).toBe('200 ok');
    expect(await ask(peer, read(OTHER))).toBe('200 ok');
    expect([bodies[0], questions]).toEqual(['{"a":1,"a":2}', []]);
  });
});

describe('who may start deployments and no other flow', () => {
  const run = `POST /api/deployments/${OWN}/create_flow_run`;
  const OVERRIDE = '{"job_variables":{"command":"id"}}';

  it.each([
    ['everywhere', '{role: Runner, identity: worker/etl-1}'],
    ['within a scope', '{role: Runner, identity: worker/etl-1, pools: [etl]}'],
  ])('starts them as they are, and does not say what a worker runs, %s', async (_where, binding) => {
    await start(`bindings: [${binding}]\n`);
    const peer = await gate.connect();
    expect(await ask(peer, run, '{ "parameters":{"a":1.0}, "job_variables":{} }')).toBe('200 ok');
    expect(bodies).toEqual(['{ "parameters":{"a":1.0}, "job_variables":{} }']);
    expect(await ask(peer, run, OVERRIDE)).toBe(
      '403 {"detail":"certgate: worker/etl-1 (Runner) may not do create_flow_run_from_deployment with job_variables: it lacks run_flows; to permit it, add to bindings in the policy: - {role: Worker, identity: worker/etl-1}"}',
    );
    expect(gate.records().at(-1)).toMatchObject({ code: 'CG_PERMISSION', decision: 'refuse', status: 403 });
    expect(await ask(peer, `${run}/bulk`, `[{},${OVERRIDE}]`)).toMatch(/^403 /u);
    expect(await ask(peer, run, '{"job_variables":{},"job_variables":{"command":"id"}}')).toMatch(/^400 /u);
    expect(await ask(peer, run, '', 'transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n')).toMatch(/^411 /u);
    expect(reached).toEqual([run]);
    expect((await gate.health()).metrics).toMatchObject({ forbidden: 2 });
  });

  it('says it nowhere but where they may start any flow', async () => {
    await start(`${SCOPED}  - {role: Runner, identity: worker/etl-1}\n`);
    const peer = await gate.connect();
    expect(await ask(peer, run.replace(OWN, OTHER), '{}')).toBe('200 ok');
    expect(await ask(peer, run.replace(OWN, OTHER), OVERRIDE)).toMatch(/^403 /u);
  });

  it('says it when they may start any flow, and when they only are observed', async () => {
    await start('bindings: [{role: Worker, identity: worker/etl-1}]\n');
    const peer = await gate.connect();
    expect(await ask(peer, run, OVERRIDE)).toBe('200 ok');
    become('mode: observe\nbindings: [{role: Runner, identity: worker/etl-1}]\n');
    expect(await ask(peer, run, OVERRIDE)).toBe('200 ok');
    expect((await gate.health()).metrics).toMatchObject({ wouldRefuse: 1, forbidden: 0 });
  });
});

describe('a group of the certificate', () => {
  it('has a role, with its scope, whoever is in it; one that the certificate does not name has none', async () => {
    await start('bindings: [{role: Worker, group: Data, pools: [etl]}, {role: Owner, group: Admins}]\n');
    const peer = await gate.connect();
    expect(await ask(peer, read(OWN))).toBe('200 ok');
    expect(await ask(peer, read(OTHER))).toMatch(/^403 .*only within the pool etl/u);
    expect(await ask(peer, 'DELETE /api/variables/name/x')).toContain('it lacks manage_variables');
    become('bindings: [{role: Worker, group: data}]\n');
    expect(await ask(peer, read(OWN))).toContain('has no role');
  });
});

describe('a pool in the certificate', () => {
  let etl: GateHouse;
  beforeAll(async () => {
    etl = await openGateHouse(['Data', 'pool:etl']);
  });
  afterAll(async () => await etl.close());
  const startHere = async (policy: string | null): Promise<void> => {
    const file = join(folder, 'policy.yaml');
    if (policy !== null) writeFileSync(file, policy);
    const place = policy === null ? null : { path: file, cwd: folder, loaded: loadPolicy(file, folder) };
    gate = await (place === null ? etl.start(portOf(upstream)) : etl.start(portOf(upstream), place));
  };
  const BEYOND =
    /^403 .*only within the pool etl of its certificate, and it [^;]+; no policy widens that: it takes another certificate"/u;

  it('keeps its holder to it though the policy says nothing of pools, also when that changes', async () => {
    await startHere('bindings: [{role: Owner, identity: worker/etl-1}]\n');
    const peer = await gate.connect();
    expect(await ask(peer, read(OWN))).toBe('200 ok');
    expect(await ask(peer, read(OTHER))).toMatch(BEYOND);
    expect(await ask(peer, 'POST /api/work_pools/etl/get_scheduled_flow_runs', '{}')).toBe('200 ok');
    expect(await ask(await gate.connect(), 'POST /api/work_pools/ml/get_scheduled_flow_runs', '{}')).toMatch(BEYOND);
    expect(await ask(peer, 'POST /api/flow_runs/filter', '{}')).toBe('200 ok');
    expect(bodies.at(-1)).toBe('{"work_pools":{"name":{"any_":["etl"]}}}');
    // No Owner any more: what nobody knows could be about any pool.
    expect(await ask(await gate.connect(), 'POST /api/new', '{}')).toMatch(/^403 /u);
    become('bindings: [{role: Worker, group: Data, pools: [ml]}]\n');
    expect(await ask(peer, read(OWN))).toContain(
      'only within no pool, for its certificate is for others than the policy',
    );
    expect(await ask(await gate.connect(), 'POST /api/work_pools/ml/get_scheduled_flow_runs', '{}')).toMatch(/^403 /u);
    become("bindings: [{role: Worker, group: 'pool:etl'}]\n");
    expect(await ask(peer, read(OWN))).toBe('200 ok');
    become('bindings: []\n');
    expect(await ask(peer, read(OWN))).toContain('has no role');
  });

  it('keeps it to it where there is no policy at all, requests and WebSockets', async () => {
    await startHere(null);
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
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`,
    );
    await events.until(/101 [\s\S]*\r\n\r\n/u);
    const about = (id: string) => ({ event: 'e', resource: { 'prefect.resource.id': `prefect.flow-run.${id}` } });
    for (const id of [OWN, OTHER]) events.socket.write(maskedTextFrame(Buffer.from(JSON.stringify(about(id)))));
    await events.until('certgate: CG_SCOPE: worker/etl-1');
    await events.ended();
    expect(heard).toEqual([JSON.stringify(about(OWN))]);
  });
});

describe('a role that only observes', () => {
  it('lets all pass as it is, and counts what would be refused', async () => {
    await start(
      'roles: {trial: {extends: [Worker], mode: observe}}\nbindings: [{role: trial, identity: worker/etl-1, pools: [etl]}]\n',
    );
    const peer = await gate.connect();
    expect(await ask(peer, read(OTHER))).toBe('200 ok');
    expect(await ask(peer, 'PATCH /api/work_pools/ml', '{}')).toBe('200 ok');
    expect(await ask(peer, 'GET /api/new')).toBe('200 ok');
    expect(await ask(peer, 'POST /api/flow_runs/filter', '{"limit": 3}')).toBe('200 ok');
    expect(bodies.at(-1)).toBe('{"limit": 3}');
    // What could not be held is streamed, and is on record.
    expect(
      await ask(peer, `PATCH /api/flow_runs/${OWN}`, '', 'transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n'),
    ).toBe('200 ok');
    expect(gate.records().at(-1)).toMatchObject({ operation: 'update_flow_run', decision: 'permit', role: 'trial' });
    expect((await gate.health()).metrics).toMatchObject({ wouldRefuse: 4, forbidden: 0, refused: 0 });
    expect(gate.records().findLast((one) => one['operation'] === 'update_work_pool')).toMatchObject({
      decision: 'permit',
      rule: 'observe: CG_PERMISSION',
    });
  });
});

describe('a WebSocket', () => {
  const open = async (path: string): Promise<RawPeer> => {
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
    while (heard.length < count) await new Promise((resolve) => setTimeout(resolve, 2));
    return heard;
  };
  const about = (id: string, more: object = {}) => ({
    event: 'e',
    resource: { 'prefect.resource.id': `prefect.flow-run.${id}` },
    ...more,
  });
  const AUTH = { type: 'auth', token: null };

  it('by which events come is read message by message; what is another’s closes it with 1008 and is on record', async () => {
    await start();
    const peer = await open('/api/events/in');
    expect(reached).toEqual(['WS /api/events/in plain']);
    say(peer, AUTH);
    say(peer, about(OWN));
    say(peer, about(OTHER));
    say(peer, about(OWN, { event: 'late' }));
    expect(await hears(2)).toEqual([JSON.stringify(AUTH), JSON.stringify(about(OWN))]);
    await peer.until(`${String.fromCharCode(1008 >> 8, 1008 & 0xff)}certgate: CG_SCOPE: worker/etl-1`);
    await peer.ended();
    expect(heard).toHaveLength(2);
    expect(gate.records().at(-1)).toMatchObject({
      operation: 'stream_events_in',
      code: 'CG_SCOPE',
      decision: 'refuse',
    });
  });

  it('keeps its messages and pings in order while one is looked up, fragments and all', async () => {
    await start();
    let go = (): void => {};
    holding = new Promise((resolve) => {
      go = resolve;
    });
    const peer = await open('/api/events/in');
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
    expect(heard).toHaveLength(1);
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
    await start();
    const peer = await open('/api/events/in');
    peer.socket.write(bytes);
    await peer.ended();
    expect(peer.received()).toContain(String.fromCharCode(1008 >> 8, 1008 & 0xff));
    expect(heard).toEqual([]);
  });

  it('obeys another policy at its next message', async () => {
    await start();
    const peer = await open('/api/events/in');
    say(peer, AUTH);
    become(SCOPED.replace('[etl]', '[etl, ml]'));
    say(peer, about(OTHER));
    expect(await hears(2)).toHaveLength(2);
    become(SCOPED);
    say(peer, about(OTHER));
    await peer.ended();
    expect(heard).toHaveLength(2);
  });

  it('that was opened without a scope is cut when there is one: nobody has read it', async () => {
    await start('bindings: [{role: Worker, identity: worker/etl-1}]\n');
    const peer = await open('/api/events/in');
    expect(reached).toEqual(['WS /api/events/in permessage-deflate']);
    become(SCOPED);
    await peer.ended();
  });

  it('by which one listens gives what is within and nothing else, whatever the filter', async () => {
    await start();
    const peer = await open('/api/events/out');
    say(peer, AUTH);
    say(peer, { type: 'filter', filter: {} });
    await hears(2);
    const [socket] = sockets;
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
    const logs = await open('/api/logs/out');
    for (const id of [OTHER, OWN])
      sockets[1]?.send(JSON.stringify({ type: 'log', log: { message: 'm', flow_run_id: id } }));
    expect(await logs.until(OWN)).not.toContain(OTHER);
  });

  const hello = (payload: object) => ({ type: 'worker.hello.v1', id: OWN, payload: { worker_name: 'w', ...payload } });

  it('of a worker that may make no pool asks Prefect for none, and is not read after its hello', async () => {
    await start('bindings: [{role: Worker, identity: worker/etl-1}]\n');
    const peer = await open('/api/work_pools/etl/workers/connect');
    say(peer, AUTH);
    say(peer, hello({ create_pool_if_not_found: true, default_base_job_template: { a: 1 } }));
    say(peer, 'anything');
    const [, said = '', after] = await hears(3);
    expect(JSON.parse(said)).toEqual(hello({ create_pool_if_not_found: false, default_base_job_template: {} }));
    expect(after).toBe('anything');
  });

  it('of a worker that may make pools elsewhere asks for none here', async () => {
    const maker = 'roles: {maker: {permissions: [write_work_pools]}}\n';
    await start(`${maker}${SCOPED}  - {role: maker, identity: worker/etl-1, pools: [ml]}\n`);
    const peer = await open('/api/work_pools/etl/workers/connect');
    say(peer, AUTH);
    say(peer, hello({ create_pool_if_not_found: true }));
    expect((await hears(2))[1]).toContain('"create_pool_if_not_found":false');
  });

  it('of a worker that may make pools passes as it is', async () => {
    await start('bindings: [{role: Developer, identity: worker/etl-1}]\n');
    const peer = await open('/api/work_pools/etl/workers/connect');
    say(peer, AUTH);
    say(peer, hello({ create_pool_if_not_found: true }));
    expect((await hears(2))[1]).toBe(JSON.stringify(hello({ create_pool_if_not_found: true })));
  });
});
