// Taking certificates back. By serial or by the certificate itself it is that one; by identity it is all that could
// still be used. Something must match: a revocation that finds nothing is an error, not a success. It needs the records
// only, never the CA's key: who has lost the key, or whose issuer has expired, can still revoke.
import { CertgateError, shown } from '../errors.ts';
import { parseIdentityName } from '../identity/name.ts';
import { factsOf, readCertificate } from '../pki/certificates.ts';
import { fingerprintOf } from '../pki/facts.ts';
import type { CertificateRecord, CertificateState, RevocationReason, Store } from '../store/store.ts';

export type RevocationSelector =
  | { readonly identity: string }
  /** Hexadecimal digits in either case, with or without colons and leading zeros. */
  | { readonly serial: string }
  /** PEM; only when it is, byte for byte, the one recorded. */
  | { readonly certificatePem: string };

/** A certificate as it is after a revocation. */
export interface RevokedRecord extends CertificateRecord {
  /** The lesser reason that it was revoked for until this revocation; null when that changed no reason. */
  readonly reasonBefore: RevocationReason | null;
}

/** What expired less than this before now may still be valid by another's clock, ms. */
const SLOW_CLOCK = 3_600_000;

/**
 * Revokes what `selector` names at `now`, ms since the epoch, and answers it as it then is. Idempotent: what was revoked
 * before keeps its first moment and reason, and has no second audit entry; but keyCompromise takes the place of a lesser
 * reason (RFC 5280 §5.3.1: verifiers, and who certifies keys, must know). By identity it is every certificate that has
 * not expired, or expired within the last hour, for slow clocks, or within `graceMs`, for which an ended one is renewed.
 * @throws CG_NOT_FOUND, CG_SERIAL, CG_IDENTITY_NAME, CG_CERT_UNREADABLE, CG_PEM, CG_STORE_*
 */
export async function revokeCertificates(
  store: Store,
  selector: RevocationSelector,
  reason: RevocationReason,
  actor: string,
  now: number,
  graceMs = 0,
): Promise<readonly RevokedRecord[]> {
  const since = now - Math.max(SLOW_CLOCK, graceMs);
  const raised = new Map<string, RevocationReason>();
  const revoke = (serials: readonly string[]): Promise<readonly CertificateRecord[]> =>
    store.revoke(serials, reason, now, (record, before) => {
      if (before !== null) raised.set(record.serial, before);
      return {
        time: now,
        actor,
        action: 'certificate.revoke',
        object: record.identity,
        detail: { serial: record.serial, reason, notAfter: record.notAfter, ...(before === null ? {} : { before }) },
      };
    });
  const records: CertificateRecord[] = [];
  let serials = await selectCertificates(store, selector, now, since);
  while (serials.length > 0) {
    records.push(...(await revoke(serials)));
    // Its holder may have renewed one while they were looked for; of what is revoked by now no other can come.
    serials = 'identity' in selector ? await serialsOf(store, selector.identity, 'valid', since) : [];
  }
  return records.map((record) => ({ ...record, reasonBefore: raised.get(record.serial) ?? null }));
}

// The serials that `selector` names at `now`; at least one. `since` is from when on what has expired counts.
async function selectCertificates(
  store: Store,
  selector: RevocationSelector,
  now: number,
  since: number,
): Promise<readonly string[]> {
  if ('serial' in selector) {
    const serial = canonicalSerial(selector.serial);
    if ((await store.listCertificates({ serial, now })).length > 0) return [serial];
    throw new CertgateError('CG_NOT_FOUND', {
      what: `serial number ${serial}`,
      problem: `no such certificate in ${store.location}`,
    });
  }
  if ('certificatePem' in selector) {
    const certificate = readCertificate(selector.certificatePem);
    const { serial } = factsOf(certificate);
    const fingerprint = fingerprintOf(certificate);
    const [record] = await store.listCertificates({ serial, now });
    if (record?.fingerprint === fingerprint) return [serial];
    const problem = `it is not recorded in ${store.location}, so it was not issued by this CA`;
    throw new CertgateError('CG_NOT_FOUND', { what: `certificate ${serial}`, problem });
  }
  const identity = parseIdentityName(selector.identity);
  const usable = [
    ...(await serialsOf(store, identity, 'valid', since)),
    ...(await serialsOf(store, identity, 'revoked', since)),
  ];
  if (usable.length > 0) return usable;
  const expired = await store.listCertificates({ identity, now, limit: 1 });
  const problem = expired.length === 0 ? 'no certificate was ever issued' : 'all certificates have expired';
  throw new CertgateError('CG_NOT_FOUND', { what: `identity ${shown(identity)}`, problem });
}

// Those of its certificates in `state` that end after `since`.
async function serialsOf(
  store: Store,
  identity: string,
  state: CertificateState,
  since: number,
): Promise<readonly string[]> {
  const found: string[] = [];
  for (let after: { issuedAt: number; serial: string } | undefined; ; ) {
    const page = await store.listCertificates({
      identity,
      state,
      now: since,
      limit: 1000,
      ...(after === undefined ? {} : { after }),
    });
    found.push(...page.filter(({ notAfter }) => notAfter > since).map(({ serial }) => serial));
    after = page.at(-1);
    if (page.length < 1000) return found;
  }
}

/** A serial number as the store keeps it, whole octets without leading zero octets. CG_SERIAL. */
export function canonicalSerial(text: string): string {
  const digits = text.replaceAll(':', '').trim().toLowerCase();
  if (!/^[0-9a-f]{1,40}$/.test(digits)) throw new CertgateError('CG_SERIAL', { serial: text });
  const bare = digits.replace(/^0+(?=.)/, '');
  return bare.length % 2 === 0 ? bare : `0${bare}`;
}
