// Who has which trust bundle, on its way into the records: one write for each certificate and bundle, not one a minute.
// Nothing is decided by it but whether a new root may begin to issue, so a note that is lost costs a minute at most.

import { reasonOf } from '../errors.ts';
import type { LimitedLog } from '../observe/limited-log.ts';
import type { BundleTaken, Store } from '../store/store.ts';

/** Certificates whose bundle is remembered as noted. */
const MOST_REMEMBERED = 20_000;

/** Notes in `store` what is new. */
export function noteBundlesIn(store: Pick<Store, 'noteBundle'>, log: LimitedLog): (taken: BundleTaken) => void {
  const noted = new Map<string, string>();
  return (taken) => {
    const { serial, bundle } = taken;
    if (noted.get(serial) === bundle) return;
    if (noted.size >= MOST_REMEMBERED) noted.clear();
    noted.set(serial, bundle);
    store.noteBundle(taken).catch((error: unknown) => {
      noted.delete(serial);
      log.say('warn', 'bundle', { reason: reasonOf(error) }, 'not noted who has the trust bundle');
    });
  };
}
