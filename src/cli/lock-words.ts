// What `lock`, `unlock`, `locks` and `list` have in common: how a person names what is to be locked, and how a lock is
// shown to one. Pure.

import { type LockTarget, targetWords } from '../authority/lock-table.ts';
import { lockTarget } from '../authority/locking.ts';
import { roughDuration } from '../config/duration.ts';
import { shown } from '../errors.ts';
import { isIdentityName } from '../identity/name.ts';
import type { LockRecord } from '../store/store.ts';
import { usage } from './flags.ts';

const SCOPES = ['identity', 'serial', 'all'] as const;
const LONGEST_REASON = 500;

/** The target that `<WHAT> [NAME]` of `command` names. CG_USAGE, CG_IDENTITY_NAME, CG_SERIAL. */
export function targetOf(command: 'lock' | 'unlock', what: string, name: string | undefined): LockTarget {
  const scope = SCOPES.find((one) => one === what);
  const example = `certgate ${command} identity worker/etl-1`;
  if (scope === undefined) {
    const remedy = isIdentityName(what)
      ? `say what it is: certgate ${command} identity ${what}`
      : `for example ${example}`;
    throw usage(`${command} what? ${shown(what)} is not one of ${SCOPES.join(', ')}`, remedy);
  }
  if (scope === 'all') {
    if (name === undefined) return lockTarget(scope, '');
    throw usage(`all means everyone, and takes no name: ${shown(name)}`, `for one of them, for example ${example}`);
  }
  if (name === undefined) throw usage(`which ${scope}?`, 'certgate list shows what there is');
  return lockTarget(scope, name);
}

const SAY_WHY = "say why, for whoever reads the record: --reason 'odd traffic since 14:00'";

/** `--reason`, fit for a line of a record. CG_USAGE. */
export function reasonFlag(text: string | undefined): string {
  if (text === undefined) throw usage('there is no --reason', SAY_WHY);
  const reason = text.trim();
  if (reason !== '' && reason.length <= LONGEST_REASON && !/\p{Cc}/u.test(reason)) return reason;
  throw usage(`--reason is ${shown(text)}, not a line of 1 to ${LONGEST_REASON} characters`, SAY_WHY);
}

/** `worker/etl-1`, `serial 4f…`, `everyone`; not yet safe for a terminal. */
export function whoWords(target: LockTarget): string {
  return target.scope === 'identity' ? target.subject : targetWords(target);
}

/** `until 2026-11-25T05:00:00.000Z, 1h59m from now`, `until it is unlocked`. */
export function endWords({ until }: Pick<LockRecord, 'until'>, now: number): string {
  if (until === null) return 'until it is unlocked';
  return `until ${new Date(until).toISOString()}, ${roughDuration(until - now)} from now`;
}

/** A lock as `--json` prints it: times in RFC 3339. */
export function lockJson({ lockedAt, until, ...lock }: LockRecord): object {
  return {
    ...lock,
    lockedAt: new Date(lockedAt).toISOString(),
    until: until === null ? null : new Date(until).toISOString(),
  };
}
