// A whole gate with one scoped worker before an upstream that says what it has and what it got, and can be slow or away.
// What the gate asks by itself is told from what its clients ask, so a test sees that nothing else went through.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { loadPolicy } from '../../src/config/policy-load.ts';
import { portOf, type RawPeer } from '../proxy/plain-proxy.ts';
import { type GateFixture, type GateHouse, openGateHouse } from '../security/gate-fixture.ts';

/** A flow run of the worker's pool, `etl`; and one of another, `ml`. */
export const OWN = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
export const OTHER = '1f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
/** Of each deployment. */
const JOB_VARIABLES = { image: 'a', env: { A: '1', B: [1, null] } };
export const SCOPED = 'bindings:\n  - {role: Worker, identity: worker/etl-1, pools: [etl]}\n';

/** What the upstream got, and what it answers; new for every test. */
export interface ScopedUpstream {
  /** `METHOD path` of what clients asked, their bodies, and what those said they were. */
  readonly reached: string[];
  readonly bodies: string[];
  readonly types: Array<string | undefined>;
  /** `METHOD path` of what the gate asked by itself. */
  readonly questions: string[];
  /** The pool of each flow run, by its id. */
  readonly pools: Record<string, string>;
  /** What clients are answered where they ask for concurrency limits, and for graphs. */
  limits: string;
  graph: string;
  /** Holds the answers to the gate's questions. */
  holding: Promise<void>;
  /** True: the gate's questions are answered with 500. */
  failing: boolean;
  /** How many more of them are answered with 503. */
  busy: number;
  /** The WebSockets that reached it, and the messages that came by them. */
  readonly sockets: WebSocket[];
  readonly heard: string[];
}

export interface ScopedGate {
  readonly upstream: ScopedUpstream;
  /** A gate with this policy, null for none; closed after the test. */
  readonly start: (policy?: string | null, different?: { readonly apiPath?: string }) => Promise<GateFixture>;
  /** Another policy for that gate, as by SIGHUP. */
  readonly become: (gate: GateFixture, policy: string) => void;
}

/** For one test file: starts the upstream before its tests, and ends all after them. `groups` are the worker's. */
export function scopedGate(groups: readonly string[] = ['Data', 'Ops']): ScopedGate {
  const folder = mkdtempSync(join(tmpdir(), 'certgate-scopes-'));
  const file = join(folder, 'policy.yaml');
  const upstream = {} as ScopedUpstream;
  const gates: GateFixture[] = [];
  const server = createServer((request, response) => {
    void answer(request, upstream).then(([status, text]) => {
      response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
      response.end(text);
    });
  });
  let house: GateHouse;

  beforeAll(async () => {
    house = await openGateHouse({ groups });
    new WebSocketServer({ server }).on('connection', (socket, request) => {
      upstream.sockets.push(socket);
      upstream.reached.push(`WS ${request.url ?? ''} ${request.headers['sec-websocket-extensions'] ?? 'plain'}`);
      socket.on('message', (text: Buffer) => upstream.heard.push(text.toString()));
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  beforeEach(() => {
    Object.assign(upstream, { reached: [], questions: [], bodies: [], types: [], sockets: [], heard: [] });
    Object.assign(upstream, {
      pools: { [OWN]: 'etl', [OTHER]: 'ml' },
      limits: 'ok',
      graph: 'ok',
      holding: Promise.resolve(),
      failing: false,
      busy: 0,
    });
  });
  afterEach(async () => {
    for (const gate of gates.splice(0)) await gate.close();
  });
  afterAll(async () => {
    server.closeAllConnections();
    server.close();
    await house.close();
    rmSync(folder, { recursive: true });
  });

  return {
    upstream,
    async start(policy = SCOPED, different = {}) {
      if (policy !== null) writeFileSync(file, policy);
      const place = policy === null ? null : { path: file, cwd: folder, loaded: loadPolicy(file, folder) };
      const gate = await house.start(portOf(server), { policy: place, ...different });
      gates.push(gate);
      return gate;
    },
    become(gate, policy) {
      writeFileSync(file, policy);
      gate.reloadPolicy();
    },
  };
}

async function answer(request: IncomingMessage, upstream: ScopedUpstream): Promise<readonly [number, string]> {
  const line = `${request.method} ${request.url}`;
  let body = '';
  for await (const part of request) body += String(part);
  if (request.headers['user-agent'] !== 'certgate') {
    upstream.reached.push(line);
    upstream.bodies.push(body);
    upstream.types.push(request.headers['content-type']);
    if (line.includes('/concurrency_limits')) return [200, upstream.limits];
    if (line.endsWith('/graph-v2')) return [200, upstream.graph];
    return [200, line.includes('/block_documents') ? '[]' : 'ok'];
  }
  upstream.questions.push(line);
  await upstream.holding;
  if (upstream.failing) return [500, '{}'];
  if (upstream.busy-- > 0) return [503, '{}'];
  const id = line.split('/').at(-1) ?? '';
  const pool = upstream.pools[id];
  const facts = {
    id,
    name: decodeURIComponent(id),
    work_pool_name: pool,
    tags: [],
    flow_id: OWN,
    job_variables: JOB_VARIABLES,
  };
  return pool === undefined ? [404, '{}'] : [200, JSON.stringify(facts)];
}

/** Asks by a connection that is open: `METHOD target`, a body, further lines. Answers `STATUS body`. */
export async function ask(peer: RawPeer, line: string, body = '', more = ''): Promise<string> {
  const from = peer.received().length;
  const length = body === '' ? '' : `content-length: ${Buffer.byteLength(body)}\r\n`;
  peer.send(`${line} HTTP/1.1\r\nHost: localhost\r\n${length}${more}\r\n${body}`);
  const text = (await peer.until((all) => /\r\n\r\n[\s\S]+/u.test(all.slice(from)))).slice(from);
  return `${text.slice(9, 12)} ${text.slice(text.indexOf('\r\n\r\n') + 4)}`;
}
