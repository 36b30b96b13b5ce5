// The policy where it holds: a whole gate with a worker's connection before an upstream that says what it got.

import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadPolicy } from '../../src/config/policy-load.ts';
import { bind } from '../../src/proxy/connection-set.ts';
import { acceptKey } from '../../src/proxy/websocket.ts';
import { portOf, type RawPeer } from '../proxy/plain-proxy.ts';
import { type GateFixture, type GateHouse, openGateHouse } from '../security/gate-fixture.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const ID = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
let folder: string;
let house: GateHouse;
let upstream: Server;
let gate: GateFixture;
/** Request lines that reached upstream. */
let reached: string[];
/** What came behind their heads. */
let bodies: string[];
/** The last head that reached upstream. */
let lastHead: string;
/** What it answers where blocks are asked for. */
let blocks: string;
const NO_BLOCKS = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]';
const file = () => join(folder, 'policy.yaml');

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'certgate-policy-gate-'));
  house = await openGateHouse();
  upstream = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      const text = bytes.toString('latin1');
      const [line = ''] = text.split('\r\n');
      if (!line.endsWith('HTTP/1.1')) return;
      lastHead = text;
      bodies.push(text.slice(text.indexOf('\r\n\r\n') + 4));
      reached.push(line.slice(0, -' HTTP/1.1'.length));
      const upgrade = `upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${acceptKey(KEY)}\r\n\r\n`;
      if (/\r\nupgrade: websocket\r\n/i.test(text)) socket.write(`HTTP/1.1 101 Switching Protocols\r\n${upgrade}`);
      else socket.write(/\/block_documents/.test(line) ? blocks : 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  await bind(upstream, { host: '127.0.0.1', port: 0 });
});
afterEach(async () => await gate.close());
afterAll(async () => {
  upstream.close();
  await house.close();
  rmSync(folder, { recursive: true });
});

async function start(policy: string): Promise<void> {
  reached = [];
  bodies = [];
  blocks = NO_BLOCKS;
  writeFileSync(file(), policy);
  const place = { path: file(), cwd: folder, loaded: loadPolicy(file(), folder) };
  gate = await house.start(portOf(upstream), { policy: place });
}

function become(policy: string): void {
  writeFileSync(file(), policy);
  gate.reloadPolicy();
}

/** Status and body of one request on `peer`. */
async function ask(peer: RawPeer, line: string, more = ''): Promise<string> {
  const from = peer.received().length;
  peer.send(`${line} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`);
  const text = (await peer.until((all) => /\r\n\r\n[\s\S]+/u.test(all.slice(from)))).slice(from);
  return `${text.slice(9, 12)} ${text.slice(text.indexOf('\r\n\r\n') + 4)}`;
}

const openWebSocket = async (peer: RawPeer, path: string): Promise<string> => {
  peer.send(
    `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Protocol: prefect\r\n\r\n`,
  );
  return await peer.until(/\r\n\r\n/u);
};

const binding = (role: string) => `bindings:\n  - {role: ${role}, identity: worker/etl-1}\n`;

describe('a client', () => {
  it('without a role may do nothing, and is told who it is, what it wanted and what would permit it', async () => {
    await start('bindings: [{role: Owner, identity: user/root}]\n');
    const peer = await gate.connect();
    expect(await ask(peer, 'GET /api/health')).toBe(
      '403 {"detail":"certgate: worker/etl-1 has no role, so it may not do health_check; to permit it, add to bindings in the policy: - {role: Worker, identity: worker/etl-1}"}',
    );
    expect(await ask(peer, 'GET /')).toContain('may not do ui_static');
    expect(reached).toEqual([]);
    expect(gate.records().at(-1)).toMatchObject({ decision: 'refuse', code: 'CG_UNBOUND', status: 403, role: null });
  });

  it('may do what its role permits and nothing else; both are on record', async () => {
    await start(binding('Viewer'));
    const peer = await gate.connect();
    expect(await ask(peer, 'POST /api/flows/filter', 'content-length: 0\r\n')).toBe('200 ok');
    expect(await ask(peer, 'POST /api/flows/', 'content-length: 0\r\n')).toBe(
      '403 {"detail":"certgate: worker/etl-1 (Viewer) may not do create_flow: it lacks run_flows; to permit it, add to bindings in the policy: - {role: Worker, identity: worker/etl-1}"}',
    );
    expect(gate.records().at(-1)).toMatchObject({ operation: 'create_flow', code: 'CG_PERMISSION', role: null });
    become(binding('Worker'));
    expect(await ask(peer, 'POST /api/flows/', 'content-length: 0\r\n')).toBe('200 ok');
    expect(gate.records().at(-1)).toMatchObject({ decision: 'permit', role: 'Worker', rule: 'policy.yaml:2:5' });
    expect(reached).toEqual(['POST /api/flows/filter', 'POST /api/flows/']);
    expect((await gate.health()).metrics).toMatchObject({ forbidden: 1, refused: 1, policyReloads: 1 });
  });

  it('may not do what the table does not know, unless it is an Owner; that is counted', async () => {
    await start(binding('Developer'));
    const peer = await gate.connect();
    expect(await ask(peer, 'GET /api/new_in_prefect_4')).toContain('only an Owner may');
    expect(await ask(peer, 'OPTIONS /api/flows/filter')).toContain('403');
    become(binding('Owner'));
    expect(await ask(peer, 'GET /api/new_in_prefect_4')).toBe('200 ok');
    expect((await gate.health()).metrics).toMatchObject({ unknownOperations: 3, forbidden: 2 });
  });

  it('is never refused by words on which Prefect’s client would try again', async () => {
    await start('bindings: []\n');
    const said = await ask(await gate.connect(), 'GET /api/Invalid%20CSRF%20token');
    expect(said).toContain('403');
    expect(said).not.toContain('Invalid CSRF token');
  });
});

describe('a policy that only observes', () => {
  it('lets everything pass, and counts and records what it would refuse', async () => {
    await start(`mode: observe\n${binding('Viewer')}`);
    const peer = await gate.connect();
    expect(await ask(peer, 'POST /api/flows/', 'content-length: 0\r\n')).toBe('200 ok');
    expect(await ask(peer, `GET /api/block_documents/${ID}?include_secrets=true`)).toBe('200 []');
    expect(await ask(peer, 'POST /api/flows/filter', 'content-length: 0\r\n')).toBe('200 ok');
    expect(reached[1]).toBe(`GET /api/block_documents/${ID}?include_secrets=true`);
    expect((await gate.health()).metrics).toMatchObject({ wouldRefuse: 2, forbidden: 0, refused: 0 });
    const write = gate.records().findLast((one) => one['operation'] === 'create_flow');
    expect(write).toMatchObject({ decision: 'permit', role: null, rule: 'observe: CG_PERMISSION' });
  });
});

describe('secrets of blocks', () => {
  const question = `GET /api/block_documents/${ID}?a=1&include_secrets=true`;
  it('are refused to whom they are not permitted', async () => {
    await start(binding('Viewer'));
    const peer = await gate.connect();
    expect(await ask(peer, question)).toContain('read_block_document_by_id with secrets: it lacks see_secret_blocks');
    expect(await ask(peer, `GET /api/block_documents/${ID}?include_secrets=false`)).toBe('200 []');
    become(binding('Worker'));
    expect(await ask(peer, question)).toBe('200 []');
    expect(reached.at(-1)).toBe(question);
  });

  it('or left out, by a setting', async () => {
    await start(`secrets: hide\n${binding('Viewer')}`);
    const peer = await gate.connect();
    expect(await ask(peer, question)).toBe('200 []');
    expect(reached).toEqual([`GET /api/block_documents/${ID}?a=1`]);
    // The same head again, which the connection has read before.
    become(`secrets: hide\n${binding('Worker')}`);
    expect(await ask(peer, question)).toBe('200 []');
    expect(reached.at(-1)).toBe(question);
    become(`secrets: hide\n${binding('Viewer')}\n`);
    expect(await ask(peer, question)).toBe('200 []');
    expect(reached.at(-1)).toBe(`GET /api/block_documents/${ID}?a=1`);
  });
});

describe('secrets of blocks that Prefect answers to who has not asked', () => {
  const fields = { secret_fields: ['value'], block_schema_references: {} };
  const block = JSON.stringify({ data: { value: { password: 'p' } }, block_schema: { fields } });
  const sized = (body: string, head = '') => `HTTP/1.1 200 OK\r\n${head}content-length: ${body.length}\r\n\r\n${body}`;
  const READ = `GET /api/block_documents/${ID}`;

  it('are hidden from who may not see them, and from nobody else', async () => {
    await start(binding('Viewer'));
    const peer = await gate.connect();
    blocks = sized(block);
    expect(await ask(peer, READ, 'accept-encoding: gzip\r\n')).toBe(`200 ${block.replace('"p"', '"********"')}`);
    expect(lastHead).not.toMatch(/accept-encoding/iu);
    expect(await ask(peer, `${READ}?include_secrets=false`)).toContain('********');
    become(`secrets: hide\n${binding('Viewer')}`);
    expect(await ask(peer, `${READ}?include_secrets=true`)).toContain('********');
    become(binding('Worker'));
    expect(await ask(peer, READ, 'accept-encoding: gzip\r\n')).toBe(`200 ${block}`);
    expect(lastHead).toMatch(/accept-encoding: gzip/iu);
    become(`mode: observe\n${binding('Viewer')}`);
    expect(await ask(peer, READ)).toBe(`200 ${block}`);
  });

  it('are hidden in what is made, too', async () => {
    await start(`roles: {maker: {permissions: [manage_blocks]}}\n${binding('maker')}`);
    const peer = await gate.connect();
    blocks = sized(block).replace('200 OK', '201 Created');
    expect(await ask(peer, 'POST /api/block_documents/', 'content-length: 2\r\n\r\n{}')).toContain('********');
  });

  it.each([
    ['no JSON', sized('{"data"')],
    ['no document', sized('"p"')],
    [
      'of no length',
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${block.length.toString(16)}\r\n${block}\r\n0\r\n\r\n`,
    ],
    ['without an end', `HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${block}`],
    ['too long', `HTTP/1.1 200 OK\r\ncontent-length: 8388609\r\n\r\n${block}`],
  ])('and where they might be in what cannot be read nothing is let through: %s', async (_what, answer) => {
    await start(`roles: {maker: {extends: Viewer, permissions: [manage_blocks]}}\n${binding('maker')}`);
    blocks = answer;
    const why = 'may hold what worker/etl-1 may not see, and can\'t be read to hide it"}';
    expect(await ask(await gate.connect(), READ)).toBe(`502 {"detail":"certgate: the answer ${why}`);
    // 500: Prefect's client does not send it again.
    expect(await ask(await gate.connect(), 'POST /api/block_documents/', 'content-length: 2\r\n\r\n{}')).toBe(
      `500 {"detail":"certgate: the request was sent on, but its answer ${why}`,
    );
    const { upstreamFailures, refused } = (await gate.health()).metrics;
    expect([upstreamFailures, refused]).toEqual([0, 0]);
    const made = gate.records().findLast((one) => one['operation'] === 'create_block_document');
    const ended = () => gate.records().find((one) => one['requestId'] === made?.['requestId'] && 'ending' in one);
    while (ended() === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(ended()).toMatchObject({ ending: 'withheld', outcome: 500 });
  });

  it('are looked for in no more answers at a time than one identity has room for, until it has read them', async () => {
    await start(binding('Viewer'));
    blocks = sized(`{"data":{"pad":"${'x'.repeat(8_000_000)}"},"block_schema":{"fields":{}}}`);
    const peers = await Promise.all(Array.from({ length: 9 }, async () => await gate.connect()));
    const sent = `${READ} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    for (const [i, peer] of peers.entries()) {
      if (i < 8) peer.socket.pause();
      peer.send(sent);
      while ((await gate.health()).metrics.requests <= i) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const [first, last] = [peers[0], peers[8]];
    // What the eight have not read is held: of the ninth there is no room for any.
    while (reached.length < 9) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(await last?.until(/\r\n\r\n[\s\S]+/u)).toMatch(
      /^HTTP\/1\.1 429 [\s\S]*prefect-maintenance: true[\s\S]*the answer has to be held to hide something in it/u,
    );
    first?.socket.resume();
    await first?.until((text) => text.length > 8_000_000);
    last?.send(sent);
    await last?.until((text) => text.length > 8_000_000);
    for (const peer of peers) peer.socket.destroy();
  });

  it('an error of Prefect’s goes on as it is', async () => {
    await start(binding('Viewer'));
    blocks = 'HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno';
    expect(await ask(await gate.connect(), READ)).toBe('404 no');
  });
});

describe('secrets of blocks that are asked for in a body', () => {
  const FILTER = 'POST /api/block_documents/filter';
  const framed = (body: string, more = '') => `content-length: ${Buffer.byteLength(body)}\r\n${more}`;
  /** The answer to a body, of which a part comes later. */
  const filter = async (peer: RawPeer, body: string, more = ''): Promise<string> => {
    const from = peer.received().length;
    peer.send(`${FILTER} HTTP/1.1\r\nHost: localhost\r\n${framed(body, more)}\r\n${body.slice(0, 3)}`);
    await new Promise(setImmediate);
    peer.send(body.slice(3));
    const text = (await peer.until((all) => /\r\n\r\n[\s\S]+/u.test(all.slice(from)))).slice(from);
    return `${text.slice(9, 12)} ${text.slice(text.indexOf('\r\n\r\n') + 4)}`;
  };
  const ASKS = '{"limit": 10, "include_secrets": true}';
  const PLAIN = '{ "limit":10,"include_secrets":false , "x": 1.00 }';

  it('are left out, whatever the setting; and the body is framed anew; one that does not ask is sent on byte for byte', async () => {
    await start(binding('Viewer'));
    const peer = await gate.connect();
    expect(await filter(peer, PLAIN)).toBe('200 []');
    expect(bodies).toEqual([PLAIN]);
    expect(await filter(peer, ASKS)).toBe('200 []');
    expect(bodies.at(-1)).toBe('{"limit": 10, "include_secrets":false}');
    expect(await filter(peer, '{"a":1,"a":2}')).toBe('400 {"detail":"certgate: the body has a name twice"}');
    expect(await filter(peer, '')).toBe('200 []');
    expect(await ask(peer, 'GET /api/health')).toBe('200 ok');
    become(binding('Worker'));
    expect(await filter(peer, ASKS)).toBe('200 []');
    expect(reached).toEqual([FILTER, FILTER, FILTER, 'GET /api/health', FILTER]);
  });

  it('are only counted by a policy that observes', async () => {
    await start(`mode: observe\n${binding('Viewer')}`);
    const peer = await gate.connect();
    expect(await filter(peer, ASKS)).toBe('200 []');
    expect(await filter(peer, '{"a":1,"a":2}')).toBe('200 []');
    expect(bodies).toEqual([ASKS, '{"a":1,"a":2}']);
    expect((await gate.health()).metrics).toMatchObject({ wouldRefuse: 1, forbidden: 0 });
  });

  it.each([
    ['413', 'content-length: 1048577\r\n'],
    ['411', 'transfer-encoding: chunked\r\n'],
    ['415', 'content-length: 2\r\ncontent-encoding: gzip\r\n'],
    ['415', 'content-length: 2\r\ncontent-type: application/json; charset=utf-16\r\n'],
    ['417', 'content-length: 2\r\nexpect: 100-continue\r\n'],
  ])('in one that cannot be read is refused with %s, before it has come: %s', async (status, lines) => {
    await start(binding('Viewer'));
    expect(await ask(await gate.connect(), FILTER, lines)).toMatch(new RegExp(`^${status} `));
    expect(reached).toEqual([]);
    expect(gate.records().at(-1)).toMatchObject({ code: 'CG_REQUEST_BODY', status: Number(status) });
  });

  it('whose sender leaves in its midst leave nothing behind', async () => {
    await start(binding('Viewer'));
    const peer = await gate.connect();
    peer.send(`${FILTER} HTTP/1.1\r\nHost: localhost\r\ncontent-length: 1000\r\n\r\n{`);
    while ((await gate.health()).metrics.requests < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    peer.socket.destroy();
    while ((await gate.health()).metrics.connections > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(reached).toEqual([]);
  });
});

describe('a WebSocket that is not permitted', () => {
  it.each(['/api/events/out', '/api/logs/out', '/api/work_pools/etl/workers/connect'])(
    'is answered 403: %s',
    async (path) => {
      await start('roles: {none: {permissions: [see_artifacts]}}\nbindings: [{role: none, identity: worker/etl-1}]\n');
      expect(await openWebSocket(await gate.connect(), path)).toContain('HTTP/1.1 403');
      expect(reached).toEqual([]);
    },
  );

  it('on the way in of events is opened and closed with 1008, for then the client keeps its events for a while', async () => {
    await start(binding('Viewer'));
    const peer = await gate.connect();
    expect(await openWebSocket(peer, '/api/events/in')).toContain('HTTP/1.1 101');
    const whole = await peer.until(`${String.fromCharCode(1008 >> 8, 1008 & 0xff)}certgate: CG_PERMISSION: it lacks `);
    expect(whole).toContain('sec-websocket-protocol: prefect');
    await peer.ended();
    expect(reached).toEqual([]);
    expect(gate.records().at(-1)).toMatchObject({ operation: 'stream_events_in', decision: 'refuse', status: 403 });
  });

  it('of a task worker is opened and closed with the reason, which it says; at 403 it speaks of passwords', async () => {
    await start(binding('Viewer'));
    const peer = await gate.connect();
    expect(await openWebSocket(peer, '/api/task_runs/subscriptions/scheduled')).toContain('HTTP/1.1 101');
    await peer.until(`${String.fromCharCode(1008 >> 8, 1008 & 0xff)}certgate: CG_PERMISSION: it lacks run_tasks`);
    await peer.ended();
    become('bindings: []\n');
    const other = await gate.connect();
    await openWebSocket(other, '/api/task_runs/subscriptions/scheduled');
    await other.until('certgate: CG_UNBOUND: it has no role');
    expect(reached).toEqual([]);
  });

  it('any more is cut by the reload, and the others are left alone', async () => {
    await start(binding('Worker'));
    const [events, logs, idle] = [await gate.connect(), await gate.connect(), await gate.connect()];
    expect(await openWebSocket(events, '/api/events/in')).toContain('HTTP/1.1 101');
    expect(await openWebSocket(logs, '/api/logs/out')).toContain('HTTP/1.1 101');
    expect(await ask(idle, 'GET /api/health')).toBe('200 ok');
    become(binding('Viewer'));
    await events.ended();
    expect((await gate.health()).metrics).toMatchObject({ cut: 1, tunnels: 1 });
    expect(logs.socket.destroyed).toBe(false);
    expect(await ask(idle, 'GET /api/health')).toBe('200 ok');
  });
});

describe('who created a run', () => {
  const CREATE = `POST /api/deployments/${ID}/create_flow_run`;
  const forged = 'prefect-automation-name: Zm9yZ2Vk\r\ncontent-length: 0\r\n';
  const creator = () => {
    const id = /\r\nprefect-automation-id: (.*)\r\n/.exec(lastHead)?.[1] ?? null;
    const names = [...lastHead.matchAll(/\r\nprefect-automation-name: (.*)\r\n/g)].map(([, name = '']) =>
      Buffer.from(name, 'base64').toString(),
    );
    return { id, names };
  };

  it('is told Prefect where the policy says so, by the certificate and never by the client', async () => {
    await start(`createdBy: identity\n${binding('Worker')}`);
    const peer = await gate.connect();
    expect(await ask(peer, CREATE, forged)).toBe('200 ok');
    expect(creator()).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/) as string,
      names: ['worker/etl-1'],
    });
    expect(await ask(peer, 'POST /api/flows/filter', forged)).toBe('200 ok');
    expect(creator()).toEqual({ id: null, names: [] });
    expect(await ask(peer, CREATE, forged)).toBe('200 ok');
    expect(creator().names).toEqual(['worker/etl-1']);
    // The same head, by another policy.
    become(binding('Worker'));
    expect(await ask(peer, CREATE, forged)).toBe('200 ok');
    expect(creator()).toEqual({ id: null, names: [] });
  });
});

describe('a changed policy', () => {
  it('that has a problem, or fails a test of its own, changes nothing', async () => {
    await start(binding('Viewer'));
    const peer = await gate.connect();
    for (const bad of [
      'bindings: [\n',
      binding('Viever'),
      `${binding('Owner')}tests: [{identity: worker/etl-1, operation: create_flow, expect: deny}]\n`,
    ]) {
      become(bad);
      expect(await ask(peer, 'POST /api/flows/', 'content-length: 0\r\n')).toContain('403');
      expect(await ask(peer, 'POST /api/flows/filter', 'content-length: 0\r\n')).toBe('200 ok');
    }
    rmSync(file());
    gate.reloadPolicy();
    expect(await ask(peer, 'POST /api/flows/', 'content-length: 0\r\n')).toContain('403');
    expect((await gate.health()).metrics).toMatchObject({ policyReloads: 0, policyReloadFailures: 4 });
  });

  it('is not taken while it is being written, though half of it is a policy too', async () => {
    await start(binding('Viewer'));
    writeFileSync(file(), '');
    for (let i = 0; i < 100; i++) {
      appendFileSync(file(), `# ${i}\n`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect((await gate.health()).metrics).toMatchObject({ policyReloads: 0, policyReloadFailures: 0 });
  });

  it('is taken by itself, without anybody saying so', async () => {
    await start(binding('Viewer'));
    const peer = await gate.connect();
    writeFileSync(file(), binding('Worker'));
    while ((await gate.health()).metrics.policyReloads === 0) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await ask(peer, 'POST /api/flows/', 'content-length: 0\r\n')).toBe('200 ok');
  });
});
