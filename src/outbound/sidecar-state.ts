// What a sidecar notes of itself for monitors, as plain fields that whoever does the thing changes. Counters only grow, from the
// process's start.

import { type AnswerCounts, noAnswers } from '../observe/metrics.ts';

export interface SidecarCounts {
  /** of the clients beside it */
  requests: number;
  /** not sent on: a foreign Host or web page, what is no request, a login that has ended */
  refused: number;
  /** that the gate did not answer, or not to the end */
  upstreamFailures: number;
  /** refused for want of file descriptors */
  limitedConnections: number;
  /** with the gate, for requests and for its own questions */
  handshakes: number;
  handshakeFailures: number;
  /** connections to the gate that did not come to a handshake */
  unreachable: number;
  /** by this process */
  renewals: number;
  renewalFailures: number;
  bundlesTaken: number;
  bundlesRefused: number;
}

export interface SidecarState {
  readonly counts: SidecarCounts & AnswerCounts;
  /** When it was last asked anything the gate answered, and did not refuse the certificate. */
  gate: boolean;
  /** When the gate last said that the trust bundle which is held is the present one, ms since the epoch; 0 before. */
  bundleConfirmed: number;
}

/** Of one that has just begun. */
export function createSidecarState(): SidecarState {
  const counts = {
    requests: 0,
    refused: 0,
    upstreamFailures: 0,
    limitedConnections: 0,
    handshakes: 0,
    handshakeFailures: 0,
    unreachable: 0,
    renewals: 0,
    renewalFailures: 0,
    bundlesTaken: 0,
    bundlesRefused: 0,
    ...noAnswers(),
  };
  return { counts, gate: false, bundleConfirmed: 0 };
}
