// What a monitor is told of an outbound sidecar: its health by parts, when its certificate and its trust end, and what it counted.
// Counts that a gate has too have the same names: whose they are, the monitor knows by where it asked. No name of anybody.

import { type CountWords, figuresOf, type Told } from '../observe/exposition.ts';
import type { SidecarHealth } from './sidecar.ts';
import type { SidecarCounts } from './sidecar-state.ts';

type Gauge = keyof SidecarHealth['open'] | 'begins' | 'filesRefused' | 'bundleConfirmed';

const COUNTS: CountWords<keyof SidecarCounts | Gauge> = {
  begins: [
    'certificate_start_timestamp_seconds',
    'When a certificate becomes valid, in seconds since 1970.',
    { certificate: 'identity' },
  ],
  connections: ['connections', 'Connections of clients.'],
  requestsOpen: ['requests_in_flight', 'HTTP requests in flight.'],
  tunnels: ['websockets_open', 'WebSockets open.'],
  requests: ['requests_total', 'Requests of clients.'],
  refused: ['requests_refused_total', 'Requests that were not forwarded, including malformed ones.'],
  upstreamFailures: [
    'upstream_failures_total',
    'Requests and WebSocket handshakes that the gate did not answer, or not completely.',
  ],
  limitedConnections: ['limited_total', 'What was refused because of a limit.', { limit: 'connections' }],
  handshakes: ['gate_handshakes_total', 'TLS handshakes with the gate that were completed.'],
  handshakeFailures: [
    'gate_connection_failures_total',
    'Connections to the gate that failed: in the TLS handshake, or because the gate was unreachable.',
    { reason: 'handshake' },
  ],
  unreachable: ['gate_connection_failures_total', '', { reason: 'unreachable' }],
  renewals: ['renewals_total', 'Renewals of the certificate by this process.'],
  renewalFailures: ['renewal_failures_total', 'Attempts to renew the certificate that failed.'],
  filesRefused: [
    'identity_files_refused',
    "1 while the identity's files cannot be used, and their previous contents are in use.",
  ],
  bundlesTaken: ['trust_bundles_taken_total', 'New trust bundles that were accepted.'],
  bundlesRefused: ['trust_bundles_refused_total', 'New trust bundles that were refused; the previous one stayed.'],
  bundleConfirmed: [
    'trust_bundle_confirmed_timestamp_seconds',
    'When the gate last confirmed that the trust bundle is current, in seconds since 1970; 0 before that.',
  ],
};

export function toldOfSidecar(health: SidecarHealth): Told {
  const { certificate, trust, gate, filesRefused, begins, ends, open, state } = health;
  const [began, confirmed] = [begins / 1000, state.bundleConfirmed / 1000];
  const gauges = { ...open, begins: began, filesRefused: Number(filesRefused), bundleConfirmed: confirmed };
  return {
    parts: { certificate, trust, gate },
    ends,
    answered: state.counts,
    figures: figuresOf(COUNTS, { ...state.counts, ...gauges }),
  };
}
