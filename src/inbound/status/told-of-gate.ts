// What a monitor is told of a gate: its health by parts, when its certificates end, and what it counted. No name of anybody.

import { type CountWords, figuresOf, type Told } from '../../observe/exposition.ts';
import type { Counts } from '../../observe/metrics.ts';
import type { GateHealth } from '../gate.ts';

const COUNTS: CountWords<keyof Omit<Counts, 'durationSum'>> = {
  connections: ['connections', 'Open connections of clients whose certificate was accepted.'],
  requestsOpen: ['requests_in_flight', 'HTTP requests in flight.'],
  tunnels: ['websockets_open', 'WebSockets open.'],
  handshakes: [
    'handshakes_total',
    'TLS handshakes that were completed, including those of clients that were then refused.',
  ],
  handshakeFailures: ['handshake_failures_total', 'TLS handshakes that failed.'],
  requests: ['requests_total', 'Requests of admitted clients.'],
  refused: [
    'requests_refused_total',
    'Requests that were refused, including malformed ones, and clients refused after their handshake.',
  ],
  forbidden: ['requests_forbidden_total', 'Requests and messages that the policy refused.'],
  wouldRefuse: ['requests_would_refuse_total', 'Requests permitted in observe mode that the policy would refuse.'],
  unknownOperations: ['unknown_operations_total', 'Requests for operations that the route table does not know.'],
  policyReloads: ['policy_reloads_total', 'Policies loaded since the start.'],
  policyReloadFailures: ['policy_reload_failures_total', 'Policies that could not be loaded; the previous one stayed.'],
  upstreamFailures: [
    'upstream_failures_total',
    'Requests and WebSocket handshakes that Prefect did not answer, or not completely.',
  ],
  revocationsApplied: ['revocations_applied_total', 'Revocations that cut connections.'],
  locksApplied: ['locks_applied_total', 'Locks that cut connections.'],
  cut: ['connections_cut_total', 'Connections that the gate cut: revoked, locked, expired, not read from.'],
  auditRecords: ['audit_records_total', 'Writes that were recorded.'],
  auditFailures: ['audit_failures_total', 'Records that could not be written.'],
  limitedConnections: ['limited_total', 'What was refused because of a limit.', { limit: 'connections' }],
  limitedHandshakes: ['limited_total', '', { limit: 'handshakes' }],
  limitedRequests: ['limited_total', '', { limit: 'requests' }],
  workersLost: ['workers_lost_total', 'Worker processes that exited unexpectedly.'],
  enrolled: ['enrolled_total', 'Certificates issued for a token.'],
  enrollRefused: ['enroll_refused_total', 'Enrolments that were refused.'],
  renewed: ['renewed_total', 'Certificates issued to the holder of the previous one.'],
  renewedInGrace: ['renewed_in_grace_total', 'Of these, those issued after the previous one had expired.'],
  certificateReuse: [
    'certificate_reuse_total',
    'Certificates used again after they were renewed, which means a key in two places.',
  ],
};

const LOCKS: CountWords<'standing'> = { standing: ['locks', 'Locks in force.'] };

export function toldOfGate({ store, audit: record, upstream, workers, ends, locks, metrics }: GateHealth): Told {
  return {
    parts: { store, record, upstream, workers },
    ends,
    answered: metrics,
    figures: [...figuresOf(LOCKS, locks), ...figuresOf(COUNTS, metrics)],
  };
}
