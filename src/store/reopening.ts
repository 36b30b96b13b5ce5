// A store that a long-running process can hold for months: when it fails, it is closed, every call fails with what is
// wrong, and a later call opens it anew. A gate that can't read its records refuses until that works, and needs no
// restart when the file is back. It never answers from memory what it could not read.

import type { Store } from './store.ts';

/** Opens with `open` at the first call and again after any failure of `revision()`, the call that watches its health. */
export function openReopeningStore(location: string, open: () => Promise<Store>): Store {
  let current: Promise<Store> | null = null;
  let openings = 0;

  const use = async <T>(act: (store: Store) => Promise<T>): Promise<T> => {
    if (current === null) {
      current = open();
      openings++;
    }
    const opened = current;
    try {
      return await act(await opened);
    } catch (error) {
      // Opening failed: the next call tries again.
      if (current === opened) await opened.catch(() => forget(opened));
      throw error;
    }
  };
  const forget = (opened: Promise<Store>): void => {
    if (current === opened) current = null;
    void opened.then((store) => store.close()).catch(() => {});
  };

  return {
    location,
    get openings() {
      return openings;
    },
    meta: (key) => use((store) => store.meta(key)),
    addCertificate: (record, audit, approve, cause) =>
      use((store) => store.addCertificate(record, audit, approve, cause)),
    revoke: (serials, reason, at, audit) => use((store) => store.revoke(serials, reason, at, audit)),
    listCertificates: (filter) => use((store) => store.listCertificates(filter)),
    standing: (issuer, serial) => use((store) => store.standing(issuer, serial)),
    addAudit: (entry) => use((store) => store.addAudit(entry)),
    listAudit: (filter) => use((store) => store.listAudit(filter)),
    lastAct: () => use((store) => store.lastAct()),
    saveCheckpoint: (line) => use((store) => store.saveCheckpoint(line)),
    checkpoint: () => use((store) => store.checkpoint()),
    revocationsSince: (revision, limit) => use((store) => store.revocationsSince(revision, limit)),
    compromisedSince: (revision, limit) => use((store) => store.compromisedSince(revision, limit)),
    listCa: () => use((store) => store.listCa()),
    changeCa: (change, audit) => use((store) => store.changeCa(change, audit)),
    lock: (lock, audit) => use((store) => store.lock(lock, audit)),
    unlock: (scope, subject, at, audit) => use((store) => store.unlock(scope, subject, at, audit)),
    locks: (now) => use((store) => store.locks(now)),
    crlNumber: (issuer) => use((store) => store.crlNumber(issuer)),
    nextCrlNumber: (issuer, above) => use((store) => store.nextCrlNumber(issuer, above)),
    noteBundle: (taken) => use((store) => store.noteBundle(taken)),
    identitiesWithout: (bundle, now) => use((store) => store.identitiesWithout(bundle, now)),
    liveIdentities: (issuer, now) => use((store) => store.liveIdentities(issuer, now)),
    lastEnd: (issuer, now) => use((store) => store.lastEnd(issuer, now)),
    addToken: (token, audit) => use((store) => store.addToken(token, audit)),
    token: (id) => use((store) => store.token(id)),
    tokens: () => use((store) => store.tokens()),
    tokenUses: (id) => use((store) => store.tokenUses(id)),
    tokenFor: (id, by) => use((store) => store.tokenFor(id, by)),
    revokeToken: (id, at, audit) => use((store) => store.revokeToken(id, at, audit)),
    identityTokenUses: (token) => use((store) => store.identityTokenUses(token)),
    flag: (flag, by, audit) => use((store) => store.flag(flag, by, audit)),
    unflag: (identity, audit) => use((store) => store.unflag(identity, audit)),
    flags: () => use((store) => store.flags()),
    successors: (serial) => use((store) => store.successors(serial)),
    unseenSuccession: (serial) => use((store) => store.unseenSuccession(serial)),
    markSeen: (serial, at) => use((store) => store.markSeen(serial, at)),
    async revision() {
      try {
        return await use((store) => store.revision());
      } catch (error) {
        if (current !== null) forget(current);
        throw error;
      }
    },
    async close() {
      const opened = current;
      current = null;
      await opened?.then((store) => store.close()).catch(() => {});
    },
  };
}
