// Taking a flag off an identity, once a person has looked (store/flags.ts). It needs the records only, never the CA's key.
import type { FlagRecord } from '../store/flags.ts';
import type { Store } from '../store/store.ts';

/** Takes it off at `now`, ms since the epoch; null when there is none. CG_STORE_* */
export function unflagIdentity(store: Store, identity: string, actor: string, now: number): Promise<FlagRecord | null> {
  return store.unflag(identity, ({ reason, flaggedAt }) => ({
    time: now,
    actor,
    action: 'client.unflag',
    object: identity,
    detail: { reason, flaggedAt },
  }));
}
