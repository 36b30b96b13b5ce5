// The special works by name, in the order in which they are done.

import { cost } from './cost.ts';
import { crl } from './crl.ts';
import { decision } from './decision.ts';
import { enrol } from './enrol.ts';
import { firstRequest } from './first-request.ts';
import { flow } from './flow.ts';
import { join } from './join.ts';
import { list } from './list.ts';
import { memory } from './memory.ts';
import { revocation } from './revoke.ts';
import { revoked } from './revoked.ts';
import { scope } from './scope.ts';
import type { SpecialWork } from './stage.ts';
import { start } from './start.ts';
import { workers } from './workers.ts';

export const specials: readonly SpecialWork[] = [
  start,
  memory,
  workers,
  revocation,
  crl,
  decision,
  scope,
  cost,
  revoked,
  enrol,
  join,
  firstRequest,
  list,
  flow,
];
