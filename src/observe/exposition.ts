// What a gate counts, in the text format that Prometheus and whatever reads like it takes (version 0.0.4, which is OpenMetrics'
// elder). @prometheus-io/client can't be given a histogram that several processes have counted, and loads OpenTelemetry's
// interface for it; the format is two lines about a figure, and one with it. Pure.

import { type Counts, DURATIONS, type Metrics } from './metrics.ts';

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** What is told of a gate besides its counters. */
export interface Exposed {
  readonly metrics: Metrics;
  readonly version: string;
  /** What must be well, each by itself. */
  readonly parts: Readonly<Record<string, boolean>>;
  readonly locks: number;
  /** When certificates end, by whose they are; ms since the epoch. */
  readonly ends: Readonly<Record<string, number>>;
  readonly process: {
    /** s */
    readonly cpu: number;
    /** bytes */
    readonly resident: number;
    /** ms since the epoch */
    readonly started: number;
  };
}

type Kind = 'counter' | 'gauge' | 'histogram';
type Labels = Readonly<Record<string, string>>;
/** `suffix` is what stands behind the name for it. */
type Sample = readonly [labels: Labels, value: number, suffix?: string];

/** By what name each of the counts is told, and its help. Those of one name follow one another, told apart by a label. */
const COUNTS: Readonly<
  Record<keyof Omit<Counts, 'durationSum'>, readonly [name: string, help: string, labels?: Labels]>
> = {
  connections: ['connections', 'Connections of clients whose certificate was accepted.'],
  requestsOpen: ['requests_in_flight', 'HTTP requests in flight.'],
  tunnels: ['websockets_open', 'WebSockets open.'],
  handshakes: ['handshakes_total', 'TLS handshakes that were completed, also of clients who were then turned away.'],
  handshakeFailures: ['handshake_failures_total', 'TLS handshakes that failed.'],
  requests: ['requests_total', 'Requests of clients that were let in.'],
  refused: [
    'requests_refused_total',
    'Requests that were refused, malformed ones too, and clients turned away after their handshake.',
  ],
  forbidden: ['requests_forbidden_total', 'Requests and messages that the policy refused.'],
  wouldRefuse: ['requests_would_refuse_total', 'Requests let pass in observe mode that the policy would refuse.'],
  unknownOperations: ['unknown_operations_total', 'Requests for operations that the route table does not know.'],
  policyReloads: ['policy_reloads_total', 'Policies taken since the start.'],
  policyReloadFailures: ['policy_reload_failures_total', 'Policies that could not be taken; the one before stayed.'],
  upstreamFailures: [
    'upstream_failures_total',
    'Requests and WebSockets to open that Prefect did not answer, or not to the end.',
  ],
  revocationsApplied: ['revocations_applied_total', 'Revocations that cut something.'],
  locksApplied: ['locks_applied_total', 'Locks that cut something.'],
  cut: ['connections_cut_total', 'Connections that the gate cut: revoked, locked, expired, not read from.'],
  auditRecords: ['audit_records_total', 'Writes that were put on record.'],
  auditFailures: ['audit_failures_total', 'Records that could not be written.'],
  limitedConnections: ['limited_total', 'What was refused at a limit.', { limit: 'connections' }],
  limitedHandshakes: ['limited_total', '', { limit: 'handshakes' }],
  limitedRequests: ['limited_total', '', { limit: 'requests' }],
  workersLost: ['workers_lost_total', 'Worker processes that ended unasked.'],
  enrolled: ['enrolled_total', 'Certificates issued for a token.'],
  enrollRefused: ['enroll_refused_total', 'Enrolments that were refused.'],
  renewed: ['renewed_total', 'Certificates issued to the holder of the one before.'],
  renewedInGrace: ['renewed_in_grace_total', 'Those of them after the end of the one before.'],
  certificateReuse: [
    'certificate_reuse_total',
    'Certificates used again after they were renewed: a key in two places.',
  ],
};

/** All of it; each line ends with a newline. */
export function exposition({ metrics, version, parts, locks, ends, process }: Exposed): string {
  const text: string[] = [];
  const tell = (name: string, kind: Kind, help: string, samples: readonly Sample[]): void => {
    text.push(
      `# HELP ${name} ${help}`,
      `# TYPE ${name} ${kind}`,
      ...samples.map(([of, value, suffix = '']) => lineOf(`${name}${suffix}`, of, value)),
    );
  };
  const each = (label: string, values: Readonly<Record<string, number | boolean>>, per = 1): Sample[] =>
    Object.entries(values).map(([key, value]) => [{ [label]: key }, Number(value) / per]);

  tell('certgate_build_info', 'gauge', 'The version of certgate.', [[{ version }, 1]]);
  tell('certgate_healthy', 'gauge', 'Whether a part of the gate is well.', each('part', parts));
  tell(
    'certgate_certificate_expiration_timestamp_seconds',
    'gauge',
    'When a certificate ends, in seconds since 1970.',
    each('certificate', ends, 1000),
  );
  tell('certgate_locks', 'gauge', 'Locks that stand.', [[{}, locks]]);

  const names = new Map<string, { readonly help: string; readonly samples: Sample[] }>();
  for (const [key, [name, help, labels = {}]] of Object.entries(COUNTS)) {
    const told = names.get(name) ?? { help, samples: [] };
    told.samples.push([labels, metrics[key as keyof typeof COUNTS]]);
    names.set(name, told);
  }
  for (const [name, { help, samples }] of names) {
    tell(`certgate_${name}`, name.endsWith('_total') ? 'counter' : 'gauge', help, samples);
  }
  const classes = Object.fromEntries(metrics.answers.map((count, at) => [at === 0 ? 'none' : `${at}xx`, count]));
  tell(
    'certgate_responses_total',
    'counter',
    "Requests that are over by their answer's status; none: they ended without one.",
    each('class', classes),
  );
  tell(
    'certgate_request_duration_seconds',
    'histogram',
    "From a request's head to the end of its answer; without WebSockets.",
    samplesOf(metrics),
  );

  tell('process_cpu_seconds_total', 'counter', 'Processor time.', [[{}, process.cpu]]);
  tell('process_resident_memory_bytes', 'gauge', 'Resident memory.', [[{}, process.resident]]);
  tell('process_start_time_seconds', 'gauge', 'When the process began.', [[{}, process.started / 1000]]);
  return `${text.join('\n')}\n`;
}

/** The samples of a histogram: each bucket has what is in those below it, too. */
function samplesOf({ durations, durationSum }: Metrics): Sample[] {
  let count = 0;
  const buckets = durations.map((more, at): Sample => {
    const end = DURATIONS[at];
    count += more;
    return [{ le: end === undefined ? '+Inf' : `${end / 1000}` }, count, '_bucket'];
  });
  return [...buckets, [{}, durationSum / 1000, '_sum'], [{}, count, '_count']];
}

function lineOf(name: string, labels: Labels, value: number): string {
  const all = Object.entries(labels).map(([label, text]) => `${label}="${text.replaceAll(/["\\]/g, '\\$&')}"`);
  return `${name}${all.length === 0 ? '' : `{${all.join(',')}}`} ${value}`;
}
