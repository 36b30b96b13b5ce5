// What a connection remembers of its requests changes what deciding costs, never what is decided, sent on or put on record:
// held against decisions that remember nothing. The same over the wire, head reader included: a-connection-that-remembers.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { takePolicy } from '../../src/config/policy-load.ts';
import { readRequestHead } from '../../src/http1/request.ts';
import type { RequestHead } from '../../src/http1/request-head.ts';
import { forgetHeads, openRequestMemory } from '../../src/http1/request-memory.ts';
import type { Admitted } from '../../src/inbound/admission.ts';
import { type Decisions, decideFor } from '../../src/inbound/decide.ts';
import type { GateState } from '../../src/inbound/gate-state.ts';
import { recordJson } from '../../src/observe/audit-lines.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import type { Policy } from '../../src/policy/policy.ts';
import type { HeadBytes, Verdict } from '../../src/proxy/contract.ts';

const LIMITS = { headBytes: 32_768, headerLines: 100 };
const ID = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const KEY = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const BINDING = 'identity: worker/etl-1';

const POLICIES: ReadonlyArray<Policy | null> = [
  null,
  ...[
    `bindings:\n  - {role: Owner, ${BINDING}}\n`,
    `\n\nbindings:\n  - {role: Owner, ${BINDING}}\n`,
    `bindings:\n  - {role: Viewer, ${BINDING}}\n`,
    `secrets: hide\nbindings:\n  - {role: Viewer, ${BINDING}}\n`,
    `mode: observe\nsecrets: hide\nbindings:\n  - {role: Viewer, ${BINDING}}\n`,
    `createdBy: identity\nsecrets: hide\nbindings:\n  - {role: Runner, ${BINDING}}\n`,
    `createdBy: identity\nbindings:\n  - {role: Owner, ${BINDING}}\n`,
    `createdBy: identity\nbindings:\n  - {role: Worker, ${BINDING}, pools: [etl]}\n`,
    `mode: observe\nbindings:\n  - {role: Worker, ${BINDING}, pools: [etl]}\n`,
    'bindings:\n  - {role: Owner, identity: user/root}\n',
  ].map((text) => takePolicy({ text, file: 'policy.yaml' }).policy),
];

/** By what a policy may say of them. */
const LINES = {
  secrets: [
    `GET /api/block_documents/${ID}?include_secrets=true`,
    `GET /api/block_documents/${ID}?include_secrets=false&x=1`,
    `GET /api/block_documents/${ID}`,
    `HEAD /api/block_documents/${ID}?include_secrets=true`,
    `GET /api/%62lock_documents/${ID}?include%5Fsecrets=1`,
    'POST /api/block_documents/filter',
  ],
  creators: [
    'POST /api/flow_runs/',
    `POST /api/deployments/${ID}/create_flow_run`,
    'POST /api/deployments/',
    `PATCH /api/deployments/${ID}`,
    'POST /api/flows/',
  ],
  scopes: [
    `POST /api/flow_runs/${ID}/set_state`,
    `POST /api/flow_runs/${ID.toUpperCase()}/set_state`,
    `GET /api/flow_runs/${ID}`,
    'POST /api/flow_runs/filter',
    'POST /api/work_pools/etl/get_scheduled_flow_runs',
    'POST /api/work_pools/ml/get_scheduled_flow_runs',
    'POST /api/logs/',
  ],
  sockets: ['GET /api/events/in', 'GET /api/events/out', 'GET /api/logs/out', 'GET /api/flows/'],
  own: [
    'GET /.well-known/certgate/bundle',
    'POST /.well-known/certgate/renew',
    'GET /.well-known/est/none',
    'GET /ui-settings',
    'GET /',
    'POST /api/not/there',
    'GET /api/%2e%2e/x',
    'GET /api/%zz',
  ],
  many: ['GET /api/health', 'HEAD /api/health', ...Array.from({ length: 16 }, (_, i) => `GET /api/flows/?n=${i}`)],
};

const HEADERS = [
  '',
  'Accept-Encoding: gzip\r\nAuthorization: Basic YTpi\r\n',
  'X-A: 1\r\n',
  'Origin: https://other.test\r\n',
  'Origin: https://gate.test\r\n',
  'Sec-Fetch-Site: cross-site\r\n',
  'Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n',
  'Connection: x-a\r\nX-A: 1\r\n',
  'Connection: close\r\n',
  'X-Certgate-Client-Proto: http\r\n',
  'Content-Type: application/json\r\n',
  'Content-Type: text/plain\r\n',
  'Content-Encoding: gzip\r\n',
  'Expect: 100-continue\r\n',
  'Prefect-Automation-Id: x\r\nX-Forwarded-For: 192.0.2.1\r\n',
  `If-None-Match: "${'0'.repeat(64)}"\r\n`,
  `Upgrade: websocket\r\nConnection: Upgrade\r\n${KEY}Sec-WebSocket-Extensions: permessage-deflate\r\n`,
  `Upgrade: websocket\r\nConnection: Upgrade\r\n${KEY}Origin: https://other.test\r\n`,
  `Upgrade: websocket\r\n`,
  'Upgrade: h2c\r\nConnection: upgrade\r\n',
];
const HOSTS = ['gate.test', 'GATE.test:4200', 'ephemeral-prefect', 'other.test'];
const LENGTHS = ['', '0', '2', '17', '18', '1048577', 'chunked'];

interface Changing {
  policy: Policy | null;
  readable: boolean;
  writable: boolean;
  expired: boolean;
  inside: boolean;
  full: boolean;
}

const QUIET: Changing = {
  policy: null,
  readable: true,
  writable: true,
  expired: false,
  inside: false,
  full: false,
};

/** For whom Prefect was asked something. */
const askedFor = new Set<string | undefined>();

/** One gate's part of what is compared, and the decisions for its connection. */
function openSide(now: Changing, authString: string | null) {
  const told: string[] = [];
  const metrics = createMetrics();
  const gate: GateState = {
    limitedLog: { say: (...words) => void told.push(JSON.stringify(words)), close: () => {} },
    access: (line) => void told.push(JSON.stringify({ ...line, ms: 0, requestId: line.requestId.length })),
    audit: {
      append: async (record) => {
        // The id and the time are the decision's own.
        told.push(recordJson({ ...record, time: 0, requestId: '' }));
      },
      hurry: () => {},
      outcome: ({ outcome, ending }) => void told.push(`${outcome} ${ending}`),
      healthy: () => now.writable,
      checkpoint: async () => {},
      close: async () => {},
    },
    metrics,
    watch: {
      get healthy() {
        return now.readable;
      },
    } as GateState['watch'],
    trust: {
      bundleId: '0'.repeat(64),
      bundlePem: '',
      bundleNumber: 1,
      bundleSignature: '',
      issuers: [],
      issuersPem: '',
    },
    noteBundle: () => void told.push('bundle'),
    desk: {} as GateState['desk'],
    enrolment: { tokens: true, est: true, lockOnReuse: false, graceMs: 0 },
    authString,
    ask: async ({ path }, whose) => {
      askedFor.add(whose);
      return path.startsWith('/deployments/') ? { job_variables: {} } : null;
    },
    apiPath: '/api',
    lookups: {
      outside: async (_, needs, whose) => {
        askedFor.add(whose);
        return now.inside ? null : (needs[0] ?? null);
      },
      inside: () => now.inside,
      forget: (id) => void told.push(`forget ${id}`),
      size: 0,
    },
    get policy() {
      return now.policy;
    },
    set policy(_) {},
  };
  const client: Admitted = {
    ok: true,
    identity: 'worker/etl-1',
    rule: '',
    attributes: { groups: [], values: [] },
    serial: 'ab12',
    issuer: '',
    recorded: null,
    get notAfter() {
      return now.expired ? 0 : Number.POSITIVE_INFINITY;
    },
    lines: 'x-certgate-identity: worker/etl-1\r\n',
  };
  const slot = { take: () => !now.full, holder: () => () => true, free: () => {} };
  const open = (): Decisions => decideFor(gate, client, '192.0.2.7', slot);
  return { open, told, metrics };
}

const textOf = (head: HeadBytes): string =>
  head.bytes.toString('latin1').replace(/x-request-id: [0-9a-f]{12}-[0-9]{10}\r\n/, 'x-request-id: id\r\n');

/** All that a verdict says. */
async function said(verdict: Verdict, body: Buffer): Promise<unknown> {
  const plain = {
    ...verdict,
    reading: null,
    requestId: null,
    recorded: verdict.kind === 'take' || verdict.recorded === null,
  };
  if (verdict.kind === 'answer')
    return { ...plain, extra: verdict.extra.replace(/^x-request-id: .*/, 'x-request-id: id') };
  if (verdict.kind === 'take') return { ...plain, answer: null };
  const inspected = (await verdict.inspectBody?.(body)) ?? null;
  const rewritten = verdict.rewriteAnswer?.rewrite(Buffer.from('{"api_url":"http://127.0.0.1:4200/api"}'), {
    status: 200,
  } as Parameters<NonNullable<typeof verdict.rewriteAnswer>['rewrite']>[1]);
  return {
    ...plain,
    answerExtra: null,
    // The body's answer may have been written over it.
    head: inspected?.kind === 'send' ? null : textOf(verdict.head),
    inspectBody:
      inspected === null
        ? null
        : inspected.kind === 'send'
          ? { ...inspected, head: textOf(inspected.head), recorded: inspected.recorded === null }
          : {
              ...inspected,
              recorded: null,
              extra: inspected.extra.replace(/^x-request-id: .*/, 'id'),
              reading: null,
              requestId: null,
            },
    rewriteAnswer: rewritten?.toString() ?? null,
    rewriteTunnel: verdict.rewriteTunnel !== null,
    rewriteTunnelBack: (verdict.rewriteTunnelBack ?? null) !== null,
  };
}

function textOfHead(line: string, headers: string, host: string, length: string): string {
  const framing =
    length === '' ? '' : length === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : `Content-Length: ${length}\r\n`;
  return `${line} HTTP/1.1\r\nHost: ${host}\r\n${framing}${headers}\r\n`;
}

/** A request, and what is so while it is asked alone; or what changes, and stays so. */
type Step =
  | { readonly ask: string; readonly body: string; readonly meanwhile: Partial<Changing> }
  | { readonly change: Partial<Changing> | 'rest' };

const MEANWHILE: ReadonlyArray<Partial<Changing>> = [
  { readable: false },
  { writable: false },
  { expired: true },
  { full: true },
];

const some = <T>(all: readonly T[], usual: T): fc.Arbitrary<T> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...all) });

/** Few lines and headers for each connection, so that they come again. */
const steps: fc.Arbitrary<Step[]> = fc
  .record({
    lines: fc.constantFrom(...Object.values(LINES)),
    headers: fc.subarray(HEADERS, { minLength: 1, maxLength: 3 }),
    lengths: fc.subarray(LENGTHS, { minLength: 1, maxLength: 4 }),
    host: some(HOSTS, 'gate.test'),
  })
  .chain(({ lines, headers, lengths, host }) => {
    const ask = fc.record({
      ask: fc
        .tuple(fc.constantFrom(...lines), fc.constantFrom(...headers), fc.constantFrom(...lengths))
        .map(([line, header, length]) => textOfHead(line, header, host, length)),
      body: fc.constantFrom('{}', '{"include_secrets":true}', '{"job_variables":{"a":1}}', '\xff', '[]'),
      meanwhile: some<Partial<Changing>>(MEANWHILE, {}),
    });
    const change = fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom(...POLICIES).map((policy) => ({ policy })) },
      { weight: 1, arbitrary: fc.boolean().map((inside) => ({ inside })) },
      { weight: 1, arbitrary: fc.constant('rest' as const) },
    );
    const step = fc.oneof(
      { weight: 4, arbitrary: ask },
      { weight: 1, arbitrary: change.map((one) => ({ change: one })) },
    );
    return fc.array(step, { minLength: 2, maxLength: 60 });
  });

describe('a request on a connection that remembers', () => {
  test('is decided about, sent on and recorded as it would be by one that does not', async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(null, 'user:secret'), async (all, authString) => {
        const now = { ...QUIET };
        const [one, other] = [openSide(now, authString), openSide(now, authString)];
        const memory = openRequestMemory();
        const remembering = one.open();
        for (const step of all) {
          if ('change' in step) {
            if (step.change === 'rest') {
              forgetHeads(memory);
              remembering.rest();
            } else Object.assign(now, step.change);
            continue;
          }
          const before = { ...now };
          Object.assign(now, step.meanwhile);
          const bytes = Buffer.from(step.ask, 'latin1');
          const known = readRequestHead(bytes, 0, LIMITS, memory) as RequestHead;
          const anew = readRequestHead(bytes, 0, LIMITS) as RequestHead;
          expect(known).toEqual(anew);
          const fresh = other.open();
          const [verdict, expected] = [remembering.decide(known), fresh.decide(anew)];
          const body = Buffer.from(
            anew.bodyLength > 0 ? step.body.padEnd(Math.min(anew.bodyLength, 99)) : '',
            'latin1',
          );
          expect(await said(verdict, body), step.ask).toEqual(await said(expected, body));
          expect(verdict.reading.subject).toBe(expected.reading.subject);
          expect(remembering.permitted()).toBe(fresh.permitted());
          const outcome = { status: 200, requestBytes: 0, answerBytes: 0, milliseconds: 1, problem: null } as const;
          const ended = { ...outcome, ending: 'complete', upgraded: false } as const;
          remembering.finished(known, verdict, ended);
          fresh.finished(anew, expected, ended);
          expect(one.told.splice(0), step.ask).toEqual(other.told.splice(0));
          Object.assign(now, before);
        }
        expect(one.metrics).toEqual(other.metrics);
      }),
      { numRuns: 400 },
    );
    expect([...askedFor]).toEqual(['worker/etl-1']);
  });

  test('that is refused is by no role on record, whatever permitted it before', () => {
    const policy = takePolicy({ text: `bindings:\n  - {role: Owner, ${BINDING}}\n`, file: 'policy.yaml' }).policy;
    const now = { ...QUIET, policy };
    const { open, told } = openSide(now, null);
    const decisions = open();
    const head = readRequestHead(Buffer.from(textOfHead('POST /api/flows/', '', 'gate.test', '2')), 0, LIMITS);
    if (head?.ok !== true) throw new Error('not a head');
    for (const meanwhile of [{}, ...MEANWHILE]) {
      Object.assign(now, QUIET, { policy }, meanwhile);
      decisions.decide(head);
    }
    expect(told.filter((line) => line.startsWith('{"time"')).map((line) => /"code":.*/.exec(line)?.[0])).toEqual([
      '"code":null,"status":null,"reason":null,"role":"Owner","rule":"policy.yaml:2:5"}',
      expect.stringMatching(/CG_STORE_UNAVAILABLE.*"role":null,"rule":null}$/),
      expect.stringMatching(/CG_AUDIT_UNWRITABLE.*"role":null,"rule":null}$/),
      expect.stringMatching(/CG_CLIENT_EXPIRED.*"role":null,"rule":null}$/),
      expect.stringMatching(/CG_LIMIT_REQUESTS.*"role":null,"rule":null}$/),
    ]);
  });

  test('that a client can bring to a fault of the gate is logged within a limit', () => {
    const { open, told } = openSide(QUIET, null);
    open().fault(new Error('odd'));
    open().recordFailed(new Error('disk full'));
    expect(told).toEqual([
      expect.stringMatching(/^\["error","fault",.*"fault: please report this"\]$/),
      expect.stringMatching(/^\["error","unrecorded",.*disk full.*\]$/),
    ]);
  });
});
