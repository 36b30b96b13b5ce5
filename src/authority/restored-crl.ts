// What a store restored from a backup may believe of the revocation lists that are given for it, decided without I/O: each
// list must be signed by an issuer of the backup and must not be older than the one the backup knows of, and none may be
// missing that an issuer once published, unless the person says so. RFC 5280 §5.2.3: numbers grow and never go back.
import type { X509Certificate } from 'node:crypto';
import { CertgateError, shown } from '../errors.ts';
import { encodingOf, toHex } from '../pki/der.ts';
import { frameOf } from '../pki/facts.ts';
import { keyIdOf } from '../pki/keys.ts';
import { isSignedBy, type ReadCrl } from '../pki/read-crl.ts';
import type { ListedRevocation } from '../store/sqlite-copy.ts';
import { type RevocationReason, revocationReasons } from '../store/store.ts';

export interface GivenCrl {
  /** Where it came from, for messages. */
  readonly source: string;
  readonly crl: ReadCrl;
}

export interface BackupOfCrls {
  /** The CA certificates in the backup. */
  readonly authorities: readonly X509Certificate[];
  /** Issuer key identifier to the number of its newest CRL, as the backup has it. */
  readonly crlNumbers: Readonly<Record<string, number>>;
  /** Who issued the certificates in the backup, by key identifier. */
  readonly issuers: readonly string[];
  /**
   * Of them, those that are trusted no more. Their last certificates had ended or been revoked by then, as the backup
   * knows, and no gate publishes their lists.
   */
  readonly retired: ReadonlySet<string>;
  /** When it was made, ms since the epoch. */
  readonly madeAt: number;
}

export interface JudgedCrl {
  readonly source: string;
  /** Key identifier of the issuer, hex. */
  readonly issuer: string;
  readonly number: number;
  /** ms since the epoch */
  readonly thisUpdate: number;
  readonly entries: number;
}

export interface Judgement {
  readonly lists: readonly JudgedCrl[];
  readonly listed: readonly ListedRevocation[];
  /** Issuer to the number that its next list must be above. */
  readonly crlNumbers: ReadonlyMap<string, number>;
  /** For people, one sentence each. */
  readonly warnings: readonly string[];
}

/** Lists come once a second at most; where none is known, this many numbers are skipped for each second since the backup. */
const NUMBERS_A_SECOND = 10;

/**
 * Judges `given` at `now`, ms since the epoch.
 * @throws CG_CRL_NEEDED, CG_CRL_FOREIGN, CG_CRL_NUMBER
 */
export function judgeCrls(
  given: readonly GivenCrl[],
  backup: BackupOfCrls,
  withoutCrl: boolean,
  now: number,
): Judgement {
  const authorities = backup.authorities.map((certificate) => ({
    certificate,
    keyId: keyIdOf(certificate),
  }));
  const lists: JudgedCrl[] = [];
  const listed: ListedRevocation[] = [];
  const warnings: string[] = [];
  for (const { source, crl } of given) {
    const issuer = signerAmong(authorities, source, crl);
    const number = requireNumber(source, crl, backup.crlNumbers[issuer.keyId] ?? 0);
    const { thisUpdate, nextUpdate } = crl.frame;
    lists.push({ source, issuer: issuer.keyId, number, thisUpdate: thisUpdate.getTime(), entries: crl.entries.length });
    for (const { serial, revokedAt, reason } of crl.entries) {
      listed.push({
        serial,
        issuer: issuer.keyId,
        revokedAt: revokedAt.getTime(),
        reason: acceptedReason(reason),
        issuerNotAfter: issuer.certificate.validToDate.getTime(),
      });
    }
    if (nextUpdate !== null && nextUpdate.getTime() < now) {
      warnings.push(
        `${source} should have been replaced by ${nextUpdate.toISOString()}: if there is a newer list, restore again with that`,
      );
    }
  }
  const without = authorities.filter(
    ({ keyId: id, certificate }) =>
      ((backup.crlNumbers[id] ?? 0) > 0 || backup.issuers.includes(id)) &&
      certificate.validToDate.getTime() > now &&
      !backup.retired.has(id) &&
      !lists.some(({ issuer }) => issuer === id),
  );
  const published = without.filter(({ keyId: id }) => (backup.crlNumbers[id] ?? 0) > 0);
  // A list of the root alone says of nobody who was let in whether they still are.
  const saysOfClients = lists.some(({ issuer }) => backup.issuers.includes(issuer));
  const missing = published.length > 0 || saysOfClients || given.length === 0 ? published : without;
  if (!withoutCrl && (given.length === 0 || missing.length > 0)) throw needed(missing, backup);
  const since = new Date(backup.madeAt).toISOString();
  for (const { certificate } of without) {
    warnings.push(
      `what was revoked after ${since} is forgotten, for certificates of ${nameOf(certificate)}: revoke again what you know of`,
    );
  }
  const skipped = NUMBERS_A_SECOND * Math.ceil(Math.max(0, now - backup.madeAt) / 1000 + 60);
  const numbers = new Map(without.map(({ keyId: id }) => [id, (backup.crlNumbers[id] ?? 0) + skipped]));
  for (const { issuer, number } of lists) numbers.set(issuer, Math.max(number, numbers.get(issuer) ?? 0));
  return { lists, listed, crlNumbers: numbers, warnings };
}

interface Candidate {
  readonly certificate: X509Certificate;
  readonly keyId: string;
}

function signerAmong(authorities: readonly Candidate[], source: string, crl: ReadCrl): Candidate {
  const named = authorities.filter(({ certificate }) => {
    const frame = frameOf(certificate);
    return toHex(encodingOf(frame.der, frame.subject)) === crl.issuer;
  });
  const wanted = crl.frame.authorityKeyId;
  const fitting = named.filter((one) => wanted === null || one.keyId === wanted);
  const signer = fitting.find(({ certificate }) => isSignedBy(crl, certificate.publicKey));
  if (signer !== undefined) return signer;
  const problem =
    fitting.length > 0
      ? 'has a signature that is not its issuer’s: it was changed or damaged'
      : `is of another CA: it was signed by the key ${wanted ?? 'of another name'}, the backup has ${authorities.map((one) => one.keyId).join(', ')}`;
  throw new CertgateError('CG_CRL_FOREIGN', { crl: source, problem });
}

function requireNumber(source: string, { number, frame }: ReadCrl, known: number): number {
  const made = frame.thisUpdate.toISOString();
  const refuse = (problem: string): never => {
    throw new CertgateError('CG_CRL_NUMBER', { crl: source, problem });
  };
  if (number === null) return refuse('has no CRL number, so it cannot be told how new it is');
  if (number > BigInt(Number.MAX_SAFE_INTEGER))
    return refuse(`has the CRL number ${number}, which certgate never assigns`);
  if (number < BigInt(known)) {
    return refuse(`is a number that goes back: list ${number} of ${made}, but the backup knows of list ${known}`);
  }
  return Number(number);
}

function needed(missing: readonly Candidate[], { crlNumbers, madeAt }: BackupOfCrls): CertgateError {
  const since = new Date(madeAt).toISOString();
  const whose = missing.map(
    ({ certificate, keyId: id }) =>
      `${nameOf(certificate)} (key ${id}${id in crlNumbers ? `, list ${crlNumbers[id]} or newer` : ''})`,
  );
  const problem =
    whose.length === 0
      ? `the backup is of ${since}: it does not know what was revoked after that`
      : `the backup is of ${since}: what was revoked after that is only in the newest revocation list of ${whose.join(' and of ')}`;
  return new CertgateError('CG_CRL_NEEDED', { problem });
}

function nameOf(certificate: X509Certificate): string {
  return shown(certificate.subject);
}

// A hold, or a reason of a later RFC, is a revocation all the same.
function acceptedReason(reason: string | null): RevocationReason {
  return revocationReasons.find((one) => one === reason) ?? 'unspecified';
}
