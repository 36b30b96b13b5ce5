// What a monitor is told of a gate: its health by parts, when its certificates end, and what it counted. No name of anybody.

import { type CountWords, figuresOf, type Told } from '../../observe/exposition.ts';
import type { Counts } from '../../observe/metrics.ts';
import type { GateHealth } from '../gate.ts';

const COUNTS: CountWords<keyof Omit<Counts, 'durationSum'>> = {
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

const LOCKS: CountWords<'standing'> = { standing: ['locks', 'Locks that stand.'] };

export function toldOfGate({ store, audit: record, upstream, workers, ends, locks, metrics }: GateHealth): Told {
  return {
    parts: { store, record, upstream, workers },
    ends,
    answered: metrics,
    figures: [...figuresOf(LOCKS, locks), ...figuresOf(COUNTS, metrics)],
  };
}
