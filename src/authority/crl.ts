// One list from the records: what `crl export` writes, and what a gate publishes. The number is taken from the store
// before the list is signed, so that no two lists of an issuer ever share one; a list that then can't be signed leaves a
// gap, which RFC 5280 §5.2.3 allows.
import type { Issuer } from '../pki/certificates.ts';
import { addRevoked, type CrlEntries, createCrl, openCrlEntries } from '../pki/crl.ts';
import type { Revocation, Store } from '../store/store.ts';
import { BACKDATED } from './authority.ts';

/** How long a list is valid, ms. */
export const CRL_LIFETIME = 86_400_000;
/**
 * How long after its certificate expired a revocation is still taken up, ms: while a list is valid that does not say so.
 * It leaves once a list has named it after that (RFC 5280 §3.3).
 */
const KEPT = 2 * CRL_LIFETIME;

/** Of revocations: one or two ms. */
const PAGE = 500;

/** The event loop goes round, and whoever waits has his turn. */
export const turn = (): Promise<unknown> => new Promise(setImmediate);

export interface SignedCrl {
  /** Its DER, in parts that follow one another; of a million entries some 47 MB. */
  readonly parts: readonly Uint8Array[];
  readonly number: number;
  /** ms since the epoch, whole seconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** How many certificates it revokes. */
  readonly listed: number;
}

export interface CrlOrder {
  readonly store: Store;
  readonly issuer: Issuer;
  readonly entries: CrlEntries;
  /** The URL that leaves name; null for a list about all certificates of the issuer. */
  readonly distributionPoint: string | null;
  /** ms since the epoch */
  readonly now: number;
  /** ms; CRL_LIFETIME when left out. */
  readonly lifetime?: number;
}

/** The revocations of `issuer` in the records that a list made at `now` must name. CG_STORE_*. */
export async function entriesOf(store: Store, issuer: string, now: number): Promise<CrlEntries> {
  const entries = openCrlEntries();
  for await (const page of revocationsAfter(store, 0)) takeUp(entries, page, issuer, now);
  return entries;
}

/** The revocations after `revision` in pages, with a turn of the event loop after each: a million take seconds. CG_STORE_*. */
export async function* revocationsAfter(
  store: Pick<Store, 'revocationsSince'>,
  revision: number,
): AsyncGenerator<readonly Revocation[]> {
  for (let after = revision; ; ) {
    const page = await store.revocationsSince(after, PAGE);
    if (page.length > 0) yield page;
    if (page.length < PAGE) return;
    after = page.at(-1)?.revision ?? after;
    await turn();
  }
}

/** Adds those of `revocations` that `issuer` made certificates for; answers how many. */
export function takeUp(entries: CrlEntries, revocations: readonly Revocation[], issuer: string, now: number): number {
  const before = entries.count;
  for (const revocation of revocations) {
    if (revocation.issuer === issuer && revocation.notAfter > now - KEPT) addRevoked(entries, revocation);
  }
  return entries.count - before;
}

/** A list with a number of its own. It begins a little in the past, for the clocks of others. CG_STORE_*, the signer's. */
export async function signCrl(order: CrlOrder): Promise<SignedCrl> {
  const { store, issuer, entries, distributionPoint, now, lifetime = CRL_LIFETIME } = order;
  const number = await store.nextCrlNumber(issuer.keyId);
  const thisUpdate = Math.floor((now - BACKDATED) / 1000) * 1000;
  const nextUpdate = Math.floor((now + lifetime) / 1000) * 1000;
  const dates = { thisUpdate: new Date(thisUpdate), nextUpdate: new Date(nextUpdate) };
  const { parts, listed } = await createCrl({ issuer, entries, number, distributionPoint, turn, ...dates });
  return { parts, number, thisUpdate, nextUpdate, listed };
}
