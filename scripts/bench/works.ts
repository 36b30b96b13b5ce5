// What the bench asks of each contestant under load, as data: the requests and how many connections ask them.
// The targets are real Prefect routes, so that certgate's policy runs as in service: GET and /filter are reads,
// POST /logs/ and set_state are writes, which certgate also records in its audit log (nobody else does).
// The upstream serves `answers`, the load generator and the checks compare with them: one source for all three.

export type WorkName =
  | 'small'
  | 'post'
  | 'write'
  | 'answer-16k'
  | 'answer-1m'
  | 'handshake'
  | 'latency'
  | 'defaults'
  | 'websocket'
  | 'websocket-flood'
  | 'write, 10 ms'
  | 'scope poll'
  | 'scope filter'
  | 'scope id'
  | 'long filter';

export interface Request {
  readonly method: 'GET' | 'POST' | 'PATCH';
  readonly target: string;
  readonly body: Buffer | null;
}

export interface Work {
  readonly name: WorkName;
  readonly title: string;
  /** Asked in turn by each connection. */
  readonly requests: readonly Request[];
  readonly connections: number;
  /**
   * `kept`: each connection keeps one request in flight. `new`: each request has a new connection, so a full handshake.
   * `websocket`: each connection is a tunnel with `inFlight` frames on their way.
   */
  readonly over: 'kept' | 'new' | 'websocket';
  readonly inFlight: number;
  /** The figure that is compared: CPU per request, or the median latency (both µs, lower is better). */
  readonly figure: 'cpu' | 'p50';
  /** Only in the table with access logs on. */
  readonly onlyLogged: boolean;
}

/** This query asks the upstream to answer with what it received (EchoedRequest as JSON) instead of the target's answer. */
export const ECHO_QUERY = '?bench-echo=1';

export interface EchoedRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly bodyLength: number;
  readonly bodySha256: string;
}

const runId = '0198c0de-0000-7000-8000-00000000beef';
const small = `/api/flow_runs/${runId}`;
const filter = '/api/flow_runs/filter';
const logs = '/api/logs/';
const answer16k = `/api/deployments/${runId}`;
const answer1m = `/api/artifacts/${runId}`;
const deployment = '/api/deployments/0198c0de-0000-7000-8000-00000000cafe';
const flow = `/api/flows/${runId}`;
const version = '/api/admin/version';
const setState = `/api/flow_runs/${runId}/set_state`;
/** The pool of everything that the upstream tells of. */
export const SCOPE_POOL = 'pool-1';
const artifacts = '/api/artifacts/';
const poll = `/api/work_pools/${SCOPE_POOL}/get_scheduled_flow_runs`;
export const TUNNEL_TARGET = '/api/events/in';

/** A JSON text of exactly `length` bytes. */
function jsonOf(length: number): Buffer {
  const head = `{"id":"${runId}","created":"2026-11-23T10:00:00Z","work_pool_name":"${SCOPE_POOL}","text":"`;
  const words = 'Finished in state Completed, next run in 5 minutes. ';
  const filler = words.repeat(Math.ceil(length / words.length)).slice(0, length - head.length - 2);
  return Buffer.from(`${head}${filler}"}`);
}

/** What a tunnel's frames carry. */
export const framePayload = jsonOf(1024);

/** The upstream's answer by target. */
export const answers: ReadonlyMap<string, Buffer> = new Map([
  [small, jsonOf(300)],
  [filter, jsonOf(300)],
  [poll, jsonOf(300)],
  [logs, jsonOf(200)],
  [answer16k, jsonOf(16 * 1024)],
  [answer1m, jsonOf(1024 * 1024)],
  [deployment, jsonOf(2048)],
  [flow, jsonOf(250)],
  [version, Buffer.from('"3.8.8"')],
  [setState, jsonOf(400)],
  [artifacts, jsonOf(200)],
]);

/** ms that the upstream takes for what it answers, by target; for all others, none. */
export const delays: ReadonlyMap<string, number> = new Map([[artifacts, 10]]);

const get = (target: string): Request => ({ method: 'GET', target, body: null });
const post = (target: string, method: 'POST' | 'PATCH' = 'POST'): Request => ({ method, target, body: jsonOf(1024) });

/** What one flow run of three tasks was seen to send, in these proportions: 9 of 25 are writes. */
const flowRun: readonly Request[] = [
  get(version),
  get(small),
  post(setState),
  get(flow),
  get(small),
  get(version),
  post(logs),
  get(deployment),
  get(small),
  post(setState),
  post(small, 'PATCH'),
  get(flow),
  get(version),
  get(small),
  post(logs),
  get(deployment),
  post(setState),
  get(deployment),
  post(small, 'PATCH'),
  get(version),
  get(small),
  post(setState),
  get(flow),
  get(deployment),
  post(logs),
];

const kept = { over: 'kept', inFlight: 1, figure: 'cpu', connections: 32, onlyLogged: false } as const;
const tunnel = { ...kept, over: 'websocket', requests: [get(TUNNEL_TARGET)] } as const;

export const works: readonly Work[] = [
  { ...kept, name: 'small', title: 'small JSON answer, 32 connections', requests: [get(small)] },
  { ...kept, name: 'post', title: 'POST 1 KiB (a read), 32 connections', requests: [post(filter)] },
  { ...kept, name: 'write', title: 'POST 1 KiB (a write), 32 connections', requests: [post(logs)] },
  { ...kept, name: 'answer-16k', title: '16 KiB answer, 32 connections', requests: [get(answer16k)] },
  { ...kept, name: 'answer-1m', title: '1 MiB answer, 8 connections', requests: [get(answer1m)], connections: 8 },
  {
    ...kept,
    name: 'handshake',
    title: 'full handshake and one request, 16 at a time',
    requests: [get(small)],
    connections: 16,
    over: 'new',
  },
  {
    ...kept,
    name: 'latency',
    title: 'small JSON answer, one connection',
    requests: [get(small)],
    connections: 1,
    figure: 'p50',
  },
  {
    ...kept,
    name: 'defaults',
    title: 'shipping defaults: the requests of a flow run (9 of 25 are writes, which certgate audits), 32 connections',
    requests: flowRun,
    onlyLogged: true,
  },
  { ...tunnel, name: 'websocket', title: 'WebSocket, 1 KiB text frames echoed, 32 tunnels, one frame in flight each' },
  {
    ...tunnel,
    name: 'websocket-flood',
    title: 'WebSocket, 1 KiB text frames echoed, 4 tunnels, 64 frames in flight each',
    connections: 4,
    inFlight: 64,
  },
];

/** What only the special work of costs asks: a write of which Prefect's own work is as long as it is in life. */
export const costWorks: readonly Work[] = [
  {
    ...kept,
    name: 'write, 10 ms',
    title: 'POST 1 KiB (a write) that the upstream takes 10 ms for, 128 connections',
    requests: [post(artifacts)],
    connections: 128,
  },
];

/** What the special work of scopes asks; bodies as Prefect's client writes them. */
export const scopeWorks: readonly Work[] = [
  {
    ...kept,
    name: 'scope poll',
    title: "a worker's poll, 32 connections",
    requests: [
      { ...post(poll), body: Buffer.from('{"work_queue_names":null,"scheduled_before":"2026-11-23T10:00:10Z"}') },
    ],
  },
  {
    ...kept,
    name: 'scope filter',
    title: 'a filter of flow runs, 32 connections',
    requests: [
      {
        ...post(filter),
        body: Buffer.from(
          `{"flow_runs":{"operator":"and_","id":{"any_":["${runId}"]},"state":{"type":{"any_":["CANCELLING"]}}},` +
            '"sort":"EXPECTED_START_TIME_DESC","limit":200,"offset":0}',
        ),
      },
    ],
  },
  { ...kept, name: 'scope id', title: 'a flow run by its id, 32 connections', requests: [get(small)] },
];

/** Empty objects cost most for each octet to look through. */
const manyObjects = JSON.stringify({
  flow_runs: { id: { any_: [runId] } },
  parameters: Array.from({ length: 65_536 }, () => ({})),
});

/** What only the special work of workers asks: nearly all that it costs is the gate's. */
export const workersWorks: readonly Work[] = [
  {
    ...kept,
    name: 'long filter',
    title: 'a filter of 192 KiB with 65,536 objects, which the gate reads, adds to and writes anew, 16 connections',
    requests: [{ ...post(filter), body: Buffer.from(manyObjects) }],
    connections: 16,
  },
];

/** The whole request as it goes over the wire, with the headers that Prefect's client sends. */
export function requestBytes(request: Request, extra: readonly string[] = []): Buffer {
  const lines = [
    `${request.method} ${request.target} HTTP/1.1`,
    'host: localhost',
    ...(request.target.startsWith(TUNNEL_TARGET) ? [] : ['accept: */*', 'accept-encoding: gzip, deflate']),
    'user-agent: prefect/3.8.8 (API 0.8.4)',
    'prefect-client-version: 3.8.8',
    ...extra,
  ];
  if (request.body !== null) lines.push('content-type: application/json', `content-length: ${request.body.length}`);
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return request.body === null ? head : Buffer.concat([head, request.body]);
}
