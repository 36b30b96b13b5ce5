// What the bench asks of each contestant, as data: the request, the answer and how many connections ask.
// The targets are real Prefect routes, so that certgate's policy runs as in service: GET and /filter are reads,
// POST /logs/ is a write, which certgate also records in its audit log (nobody else does).
// The upstream serves `answers`, the load generator and the checks compare with them: one source for all three.

export type WorkName = 'small' | 'post' | 'write' | 'answer-16k' | 'answer-1m' | 'handshake' | 'latency';

export interface Work {
  readonly name: WorkName;
  readonly title: string;
  readonly method: 'GET' | 'POST';
  readonly target: string;
  readonly body: Buffer | null;
  /** Connections that each keep exactly one request in flight. */
  readonly connections: number;
  /** A new connection, so a full handshake, for each request. */
  readonly handshake: boolean;
  /** The figure that is compared: CPU per request, or the median latency (both µs, lower is better). */
  readonly figure: 'cpu' | 'p50';
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

/** A JSON text of exactly `length` bytes. */
function jsonOf(length: number): Buffer {
  const head = `{"id":"${runId}","created":"2026-11-23T10:00:00Z","name":"quiet-otter","state_type":"RUNNING","text":"`;
  const words = 'Finished in state Completed, next run in 5 minutes. ';
  const filler = words.repeat(Math.ceil(length / words.length)).slice(0, length - head.length - 2);
  return Buffer.from(`${head}${filler}"}`);
}

/** The upstream's answer by target. */
export const answers: ReadonlyMap<string, Buffer> = new Map([
  [small, jsonOf(300)],
  [filter, jsonOf(300)],
  [logs, jsonOf(200)],
  [answer16k, jsonOf(16 * 1024)],
  [answer1m, jsonOf(1024 * 1024)],
]);

const get = { method: 'GET', body: null, handshake: false, figure: 'cpu' } as const;
const post = { method: 'POST', body: jsonOf(1024), handshake: false, figure: 'cpu' } as const;

export const works: readonly Work[] = [
  { ...get, name: 'small', title: 'small JSON answer, 32 connections', target: small, connections: 32 },
  { ...post, name: 'post', title: 'POST 1 KiB (a read), 32 connections', target: filter, connections: 32 },
  { ...post, name: 'write', title: 'POST 1 KiB (a write), 32 connections', target: logs, connections: 32 },
  { ...get, name: 'answer-16k', title: '16 KiB answer, 32 connections', target: answer16k, connections: 32 },
  { ...get, name: 'answer-1m', title: '1 MiB answer, 8 connections', target: answer1m, connections: 8 },
  {
    ...get,
    name: 'handshake',
    title: 'full handshake and one request, 16 at a time',
    target: small,
    connections: 16,
    handshake: true,
  },
  { ...get, name: 'latency', title: 'small JSON answer, one connection', target: small, connections: 1, figure: 'p50' },
];

/** The whole request as it goes over the wire, with the headers that Prefect's client sends. */
export function requestBytes(work: Pick<Work, 'method' | 'target' | 'body'>, extra: readonly string[] = []): Buffer {
  const lines = [
    `${work.method} ${work.target} HTTP/1.1`,
    'host: localhost',
    'accept: */*',
    'accept-encoding: gzip, deflate',
    'user-agent: prefect/3.8.8 (API 0.8.4)',
    'prefect-client-version: 3.8.8',
    ...extra,
  ];
  if (work.body !== null) lines.push('content-type: application/json', `content-length: ${work.body.length}`);
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return work.body === null ? head : Buffer.concat([head, work.body]);
}
