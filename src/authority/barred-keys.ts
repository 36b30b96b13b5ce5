// Keys that must never be certified: the CA's own of any generation, for whoever is shown such a leaf is shown the CA's
// key at work elsewhere; and those of certificates revoked for keyCompromise, because whoever has such a key would have
// the new certificate's as well (RFC 5280 §5.3.1). Keys are told by the SHA-256 of their SubjectPublicKeyInfo. What the
// store has revoked is read once and from then on only what came since: one look into an index a certificate.
import { hash, type KeyObject } from 'node:crypto';
import { CertgateError } from '../errors.ts';
import { encodingOf } from '../pki/der.ts';
import { unlessFaulty } from '../pki/facts.ts';
import { spkiHashOf } from '../pki/public-keys.ts';
import { readFrame } from '../pki/structure.ts';
import type { CaRecord, Store } from '../store/store.ts';

/** Compromised certificates that are read in one go: some 20 ms. */
const PAGE = 1000;

export interface BarredKeys {
  /** Returns when `publicKey` may be certified. CG_KEY_BARRED, CG_STORE_*. */
  check(publicKey: KeyObject): Promise<void>;
}

/** `ca` answers all certificates the CA has had, as far as this process knows. */
export function openBarredKeys(store: Store, ca: () => readonly CaRecord[]): BarredKeys {
  /** By hash, what is wrong with the key. */
  const barred = new Map<string, string>();
  let known: readonly CaRecord[] = [];
  let seen = 0;
  let { openings } = store;
  const bar = (der: Uint8Array, problem: string): void => {
    const { publicKey } = unlessFaulty(() => readFrame(der));
    const id = hash('sha256', encodingOf(der, publicKey));
    if (!barred.has(id)) barred.set(id, problem);
  };
  return {
    async check(publicKey) {
      if (ca() !== known) {
        known = ca();
        for (const { role, generation, der } of known)
          bar(der, `it is the key of the ${role} of generation ${generation}`);
      }
      // It may be another past, of which less was seen.
      if (store.openings !== openings) [seen, openings] = [0, store.openings];
      for (;;) {
        const page = await store.compromisedSince(seen, PAGE);
        for (const { serial, identity, der, revision } of page) {
          bar(der, `it was that of certificate ${serial} of ${identity}, which was revoked for keyCompromise`);
          seen = Math.max(seen, revision);
        }
        if (page.length < PAGE) break;
        await new Promise(setImmediate);
      }
      const problem = barred.get(spkiHashOf(publicKey));
      if (problem !== undefined) throw new CertgateError('CG_KEY_BARRED', { problem });
    },
  };
}
