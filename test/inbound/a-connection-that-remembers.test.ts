// A kept connection remembers heads, what they meant and what was decided about them (request-memory.ts, reading.ts). It
// must answer and send on exactly what a new connection would, whatever came by it before: heads that differ in one octet, a
// line less, a line twice, another case, another length, a browser's lines, an upgrade, another policy in between.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadPolicy } from '../../src/config/policy-load.ts';
import type { RawPeer } from '../proxy/plain-proxy.ts';
import { type GateFixture, type GateHouse, openGateHouse } from '../security/gate-fixture.ts';
import { type LenientUpstream, startLenientUpstream } from '../security/lenient-upstream.ts';

const folder = mkdtempSync(join(tmpdir(), 'certgate-remembers-'));
const file = join(folder, 'policy.yaml');
const POLICIES = [
  'bindings:\n  - {role: Owner, identity: worker/etl-1}\n',
  'bindings:\n  - {role: Viewer, identity: worker/etl-1}\n',
  'bindings:\n  - {role: Worker, identity: worker/etl-1}\ncreatedBy: identity\n',
  'mode: observe\nbindings:\n  - {role: Viewer, identity: somebody/else}\n',
] as const;
let house: GateHouse;
let upstream: LenientUpstream;
let gate: GateFixture;

beforeAll(async () => {
  house = await openGateHouse();
  upstream = await startLenientUpstream();
  writeFileSync(file, POLICIES[0]);
  gate = await house.start(upstream.port, {
    policy: { path: file, cwd: folder, loaded: loadPolicy(file, folder) },
  });
});
afterAll(async () => {
  await gate.close();
  await house.close();
  upstream.close();
  rmSync(folder, { recursive: true });
});

interface Said {
  readonly status: string;
  readonly body: string;
  /** What upstream was asked, without what names this one request. */
  readonly sentOn: readonly string[];
  /** The connection is not to be used again. */
  readonly ends: boolean;
}

async function ask(peer: RawPeer, text: string): Promise<Said> {
  const from = peer.received().length;
  peer.send(Buffer.from(text, 'latin1'));
  const toHead = text.startsWith('HEAD');
  let answer = '';
  await peer.until((all) => {
    answer = all.slice(from);
    const end = answer.indexOf('\r\n\r\n');
    const length = toHead ? 0 : Number(/content-length: (\d+)/.exec(answer)?.[1] ?? 0);
    return end >= 0 && answer.length >= end + 4 + length;
  });
  const sentOn = upstream.take().map(({ raw }) => raw.replace(/x-request-id: .*\r\n/, ''));
  const ends = /\r\nconnection: close\r\n/.test(answer) || answer.startsWith('HTTP/1.1 101 ');
  return { status: answer.slice(9, 12), body: answer.slice(answer.indexOf('\r\n\r\n') + 4), sentOn, ends };
}

const LINES = [
  'X-A: 1',
  'X-A: 2',
  'x-a: 1',
  'X-B: 1',
  'X_A: 1',
  'Accept-Encoding: gzip',
  'Authorization: Basic eDp5',
  'Origin: https://gate.test',
  'Origin: https://evil.test',
  'Sec-Fetch-Site: same-origin',
  'Sec-Fetch-Site: cross-site',
  'Sec-Fetch-Mode: navigate',
  'X-Certgate-Client-Proto: http',
  'X-Certgate-Identity: user/root',
  'X-Forwarded-For: 10.0.0.1',
  'Connection: keep-alive',
  'Connection: x-a',
  'Connection: close',
  'Content-Type: application/json',
  'Prefect-Automation-Id: x',
] as const;
const TARGETS = [
  'GET /api/flows/0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f',
  'GET /api/flows/0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8e',
  'GET /api/ui-settings',
  'GET /api/block_documents/0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f?include_secrets=true',
  'HEAD /api/health',
  'GET /api/health',
  'GET /api/nothing/of/prefect',
  'DELETE /api/flows/0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f',
  'POST /api/flows/filter',
  'POST /api/flow_runs/',
  'POST /api/block_documents/filter',
  'GET /api/%2e%2e/x',
];
const OPENING =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';

/** What is different from the request before: most often little, or nothing. */
const step = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ again: true } as const) },
  { weight: 3, arbitrary: fc.record({ body: fc.constantFrom('', '{}', '{"include_secrets":true}', 'x'.repeat(300)) }) },
  { weight: 3, arbitrary: fc.record({ target: fc.constantFrom(...TARGETS) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      change: fc.constantFrom('less', 'twice', 'case', 'octet', 'order'),
      at: fc.nat({ max: 50 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ more: fc.constantFrom(...LINES) }) },
  { weight: 1, arbitrary: fc.record({ length: fc.constantFrom('+2', '02', '2, 2', '') }) },
  { weight: 1, arbitrary: fc.constant({ upgrade: true } as const) },
  { weight: 3, arbitrary: fc.record({ policy: fc.constantFrom(...POLICIES) }) },
);

function changed(before: readonly string[], change: string, at: number): string[] {
  const some = [...before];
  const i = at % Math.max(some.length, 1);
  const line = some[i];
  if (line === undefined) return some;
  if (change === 'less') some.splice(i, 1);
  else if (change === 'twice') some.push(line);
  else if (change === 'case') some[i] = line.toUpperCase();
  else if (change === 'order') some.reverse();
  else if (change === 'octet') {
    const place = at % line.length;
    some[i] = `${line.slice(0, place)}${String.fromCharCode(line.charCodeAt(place) ^ 1)}${line.slice(place + 1)}`;
  }
  return some;
}

test('answers and sends on what a new one would, whatever came by it before', async () => {
  const property = fc.asyncProperty(
    fc.constantFrom(...TARGETS),
    fc.array(fc.constantFrom(...LINES), { maxLength: 2 }),
    fc.array(step, { minLength: 3, maxLength: 16 }),
    async (first, some, steps) => {
      let kept: RawPeer | null = null;
      let [target, lines, body] = [first, [...some] as string[], ''];
      for (const one of steps) {
        if ('policy' in one) {
          writeFileSync(file, one.policy);
          gate.reloadPolicy();
        }
        if ('target' in one) target = one.target;
        if ('body' in one) body = one.body;
        if ('more' in one) lines = [...lines, one.more];
        const own = 'change' in one ? changed(lines, one.change, one.at) : lines;
        const length = 'length' in one ? one.length : String(body.length);
        const framing = body === '' && !target.startsWith('POST') ? '' : `Content-Length: ${length}\r\n`;
        const opening = 'upgrade' in one ? OPENING : '';
        const text = `${[`${target} HTTP/1.1`, 'Host: gate.test', ...own].join('\r\n')}\r\n${opening}${framing}\r\n${body}`;
        if (kept === null || kept.socket.readableEnded || kept.socket.destroyed) kept = await gate.connect();
        const fresh = await gate.connect();
        const [said, anew] = [await ask(kept, text), await ask(fresh, text)];
        fresh.socket.destroy();
        expect({ text, ...said }).toEqual({ text, ...anew });
        if (!said.ends) continue;
        kept.socket.destroy();
        kept = null;
      }
      kept?.socket.destroy();
    },
  );
  await fc.assert(property, { numRuns: 40 });
}, 120_000);
