// The limits of a gate that a test starts itself: those that concern time as shipped, none on how many there may be.

import { LIMITS } from '../proxy/plain-proxy.ts';

export const GATE_LIMITS = {
  ...LIMITS,
  handshake: 10_000,
  upstreamIdle: 4_000,
  upstreamConnect: 5_000,
  connections: Number.POSITIVE_INFINITY,
  connectionsPerAddress: Number.POSITIVE_INFINITY,
  handshakesPerAddress: Number.POSITIVE_INFINITY,
  connectionsPerIdentity: Number.POSITIVE_INFINITY,
  requestsPerIdentity: Number.POSITIVE_INFINITY,
};
