// Which Node certgate runs on. An older one lacks what it needs (node:sqlite, the TLS options of the gate) and would fail
// at the first of them with a message about a fault that is none.

import { CertgateError } from '../errors.ts';

/** The oldest that is supported: `engines` in package.json. */
const OLDEST = '24.15';

/** Whether a version such as `20.20.2` is older than what certgate needs. */
export function isTooOld(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST.split('.').map(Number);
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}

/** CG_NODE when certgate can't run on this version of Node. */
export function requireNode(version: string): void {
  if (isTooOld(version)) throw new CertgateError('CG_NODE', { version, oldest: OLDEST });
}
