// A gate that a test starts itself: the limits that concern time as shipped, none on how many there may be; identities by
// SPIFFE alone, no policy, nothing logged.

import { compileRules } from '../../src/identity/identify.ts';
import type { DataPathOptions } from '../../src/inbound/data-path.ts';
import { quietLog } from '../observe/quiet-log.ts';
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

/** All but where it is, what is behind it, and its CA. */
export const GATE_OPTIONS = {
  apiPath: '/api',
  minTls: '1.3',
  balancers: [],
  rules: compileRules([{ from: 'spiffe' }]),
  unsafeUnrecorded: false,
  log: quietLog,
  accessLog: false,
  enrolment: { tokens: true, est: true, lockOnReuse: true, graceMs: 0 },
  authString: null,
  limits: GATE_LIMITS,
} satisfies Partial<DataPathOptions>;
