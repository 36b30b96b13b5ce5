// What the gate counts, as plain numbers that whoever does the thing adds to: `metrics.requests++` is all it costs.
// Counters only grow, from the process's start; gauges say how many there are now. exposition.ts has them as Prometheus reads
// them.

/** Upper ends of the classes that requests are counted in by how long they took, ms; those above all of them are a last one. */
export const DURATIONS = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000] as const;

/** Numbers for what is counted in one class. */
export interface Counts {
  /** gauge */
  connections: number;
  /** gauge: HTTP exchanges in flight */
  requestsOpen: number;
  /** gauge: WebSockets open */
  tunnels: number;
  handshakes: number;
  handshakeFailures: number;
  requests: number;
  refused: number;
  /** refused by the policy; among `refused` */
  forbidden: number;
  /** let pass in observe mode, though the policy would refuse it */
  wouldRefuse: number;
  /** operations that the route table does not know, whoever asked, with a policy */
  unknownOperations: number;
  policyReloads: number;
  policyReloadFailures: number;
  upstreamFailures: number;
  revocationsApplied: number;
  /** locks that cut something */
  locksApplied: number;
  cut: number;
  auditRecords: number;
  auditFailures: number;
  /** refused at a limit on connections, before the handshake or after it */
  limitedConnections: number;
  /** refused at the limit on handshakes a second */
  limitedHandshakes: number;
  /** refused at the limit on requests in flight */
  limitedRequests: number;
  /** worker processes that ended unasked */
  workersLost: number;
  /** certificates issued for a token */
  enrolled: number;
  /** enrolments refused, whatever for */
  enrollRefused: number;
  /** certificates issued to the holder of the one before */
  renewed: number;
  /** those of them after the end of the one before */
  renewedInGrace: number;
  /** superseded certificates that were used again: a key is in two places */
  certificateReuse: number;
  /** sum over `durations`, ms */
  durationSum: number;
}

/** How requests ended. */
export interface AnswerCounts {
  /** answers by the first digit of their status; at 0 requests that ended without one */
  answers: number[];
  /** requests by how long they took, in the classes of DURATIONS; WebSockets are not among them */
  durations: number[];
  /** sum over `durations`, ms */
  durationSum: number;
}

/** One object for each gate. */
export interface Metrics extends Counts, AnswerCounts {}

/** All zero. */
export function noAnswers(): AnswerCounts {
  return {
    answers: Array.from({ length: 6 }, () => 0),
    durations: Array.from({ length: DURATIONS.length + 1 }, () => 0),
    durationSum: 0,
  };
}

/** All zero. */
export function createMetrics(): Metrics {
  return {
    connections: 0,
    requestsOpen: 0,
    tunnels: 0,
    handshakes: 0,
    handshakeFailures: 0,
    requests: 0,
    refused: 0,
    forbidden: 0,
    wouldRefuse: 0,
    unknownOperations: 0,
    policyReloads: 0,
    policyReloadFailures: 0,
    upstreamFailures: 0,
    revocationsApplied: 0,
    locksApplied: 0,
    cut: 0,
    auditRecords: 0,
    auditFailures: 0,
    limitedConnections: 0,
    limitedHandshakes: 0,
    limitedRequests: 0,
    workersLost: 0,
    enrolled: 0,
    enrollRefused: 0,
    renewed: 0,
    renewedInGrace: 0,
    certificateReuse: 0,
    ...noAnswers(),
  };
}

/** Counts a request that is over. `status` 0 for one that had no answer. */
export function countAnswer(metrics: AnswerCounts, status: number, ms: number, upgraded: boolean): void {
  const answers = Math.min(5, Math.floor(status / 100));
  metrics.answers[answers] = (metrics.answers[answers] ?? 0) + 1;
  // How long a WebSocket stayed open says nothing about how fast anything is.
  if (upgraded) return;
  metrics.durationSum += ms;
  let at = 0;
  while (at < DURATIONS.length && ms > (DURATIONS[at] ?? 0)) at++;
  metrics.durations[at] = (metrics.durations[at] ?? 0) + 1;
}

/** The sum, number by number; of `a` alone when there is no `b`. What is counted afterwards is not in it. */
export function addMetrics(a: Metrics, b: Metrics | null): Metrics {
  const sum = structuredClone(a);
  if (b === null) return sum;
  for (const name of NAMES) sum[name] += b[name];
  sum.answers = a.answers.map((count, at) => count + (b.answers[at] ?? 0));
  sum.durations = a.durations.map((count, at) => count + (b.durations[at] ?? 0));
  return sum;
}

/** Without gauges, which end with their process. */
export function onlyCounters(metrics: Metrics): Metrics {
  return { ...metrics, connections: 0, requestsOpen: 0, tunnels: 0 };
}

const { answers: _answers, durations: _durations, ...none } = createMetrics();
const NAMES = Object.keys(none) as ReadonlyArray<keyof Counts>;
