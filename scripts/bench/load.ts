// The load generator, a process of its own on a core of its own. Over IPC it is told what to ask (LoadOrder) and answers
// with what it measured (LoadResult) or why it could not. It reads the CPU clocks itself, at both ends of the window in
// which it counts, so that the requests and the CPU time belong to the same moments.
// usage: only as a child of bench.ts:  node load.ts CLIENT_CHAIN CLIENT_KEY TRUST_BUNDLE

import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { cpuMicroseconds, processTree, residentBytes } from './cpu.ts';
import { type Ask, type Asking, askOverNewConnections, askOverOneConnection } from './load-connection.ts';
import { echoOverOneTunnel } from './load-websocket.ts';
import {
  answers,
  costWorks,
  requestBytes,
  scopeWorks,
  type Work,
  type WorkName,
  workersWorks,
  works,
} from './works.ts';

export interface LoadOrder {
  readonly work: WorkName;
  readonly port: number;
  /** Root of the contestant's process tree, and the upstream's process. */
  readonly contestantPid: number;
  readonly upstreamPid: number;
  /** Asked before, and not counted. */
  readonly warmSeconds: number;
  readonly seconds: number;
}

/** One measurement; `…Share` is CPU time as a part of one core. */
export interface LoadResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly cpuMicros: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  readonly contestantShare: number;
  readonly loadShare: number;
  readonly upstreamShare: number;
  readonly residentBytes: number;
}

export type LoadReply = { readonly result: LoadResult } | { readonly failure: string };

/** How much longer than ordered to wait for a first answer, in seconds. */
const LONGEST_WAIT_S = 10;

/** Latencies by whole µs; the last place holds all that are longer. */
const histogram = new Uint32Array(2_000_001);

/** The latency in µs that `part` (0-1) of the counted requests did not exceed. */
function quantile(part: number, total: number): number {
  let seen = 0;
  for (let micros = 0; micros < histogram.length; micros++) {
    seen += histogram[micros] ?? 0;
    if (seen >= part * total) return micros;
  }
  return histogram.length;
}

const [chain = '', key = '', bundle = ''] = process.argv.slice(2);
const identity = { cert: readFileSync(chain), key: readFileSync(key) };
const common = {
  ...identity,
  minVersion: 'TLSv1.3' as const,
  // Newer OpenSSLs would agree on X25519MLKEM768 and do more work than the others: all are to do the same.
  ecdhCurve: 'X25519',
};
const verifying = createSecureContext({ ...common, ca: readFileSync(bundle) });
// For the handshakes that are measured: without a CA the chain is not verified, so the generator has more left for them.
// The server proves all the same that it has its key, and its chain was verified by the checks and the other works.
const trusting = createSecureContext(common);

/** Starts a connection's work. @returns a function that ends it */
function begin(work: Work, asking: Asking): () => void {
  if (work.over === 'websocket') return echoOverOneTunnel(asking, work.inFlight);
  return work.over === 'new' ? askOverNewConnections(asking) : askOverOneConnection(asking);
}

interface Clocks {
  readonly at: number;
  readonly contestant: number;
  readonly load: number;
  readonly upstream: number;
}

async function carryOut(order: LoadOrder): Promise<LoadResult> {
  const work = [...works, ...costWorks, ...scopeWorks, ...workersWorks].find((w) => w.name === order.work);
  if (work === undefined) throw new Error(`no such work: ${order.work}`);
  let requests = 0;
  let fail: (reason: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const asks = work.requests.map((request): Ask => {
    return { ...request, bytes: requestBytes(request), answerLength: answers.get(request.target)?.length ?? 0 };
  });
  const asking: Omit<Asking, 'first'> = {
    port: order.port,
    secureContext: work.over === 'new' ? trusting : verifying,
    verifies: work.over !== 'new',
    asks,
    onAnswer: (micros) => {
      requests++;
      const place = Math.min(Math.round(micros), histogram.length - 1);
      histogram[place] = (histogram[place] ?? 0) + 1;
    },
    onFailure: (reason) => fail(new Error(reason)),
  };
  const ends = Array.from({ length: work.connections }, (_, first) => begin(work, { ...asking, first }));
  const pause = (seconds: number): Promise<unknown> =>
    Promise.race([failed, new Promise((resolve) => setTimeout(resolve, seconds * 1000))]);
  try {
    await pause(order.warmSeconds);
    const tree = processTree(order.contestantPid);
    const clocks = (): Clocks => ({
      at: performance.now() * 1000,
      contestant: cpuMicroseconds(tree),
      load: cpuMicroseconds([process.pid]),
      upstream: cpuMicroseconds([order.upstreamPid]),
    });
    histogram.fill(0);
    requests = 0;
    const before = clocks();
    await pause(order.seconds);
    // on a busy machine a short window may see nothing whole: then it ends with the first answer
    for (let waited = 0; requests === 0 && waited < LONGEST_WAIT_S; waited += 0.05) await pause(0.05);
    const after = clocks();
    const counted = requests;
    if (counted === 0) throw new Error(`answered nothing within ${order.seconds + LONGEST_WAIT_S} s`);
    const micros = after.at - before.at;
    return {
      requests: counted,
      requestsPerSecond: counted / (micros / 1e6),
      cpuMicros: (after.contestant - before.contestant) / counted,
      p50Micros: quantile(0.5, counted),
      p99Micros: quantile(0.99, counted),
      contestantShare: (after.contestant - before.contestant) / micros,
      loadShare: (after.load - before.load) / micros,
      upstreamShare: (after.upstream - before.upstream) / micros,
      residentBytes: residentBytes(tree),
    };
  } finally {
    for (const end of ends) end();
  }
}

process.on('message', (order: LoadOrder) => {
  carryOut(order).then(
    (result) => process.send?.({ result } satisfies LoadReply),
    (error: unknown) =>
      process.send?.({ failure: error instanceof Error ? error.message : String(error) } satisfies LoadReply),
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
