// Who may keep a connection: decided once, after the TLS handshake, from the certificate that OpenSSL verified. The
// certificate must chain to our CA, be in its time, be a client's (pki/client-profile.ts), yield an identity by the
// rules, and stand unrevoked in the records: a certificate of our CA that was never recorded is refused too, also under
// the serial number of one that was. Last, no lock may stand on it. Nothing is ever admitted by default.

import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { type LockTable, lockOn, targetWords, untilWords } from '../authority/lock-table.ts';
import { isCertgateError, reasonOf } from '../errors.ts';
import type { Attributes } from '../policy/policy.ts';
import type { LockRecord, Store } from '../store/store.ts';
import type { ReadClient } from './client-reader.ts';

/** What Node has no name for among OpenSSL's verdicts. */
const UNNAMED = 'its key or signature may be too weak, or a name in it outside of what its issuer may sign';

/** A client that may be served. */
export interface Admitted {
  readonly ok: true;
  readonly identity: string;
  /** The rule that named it, e.g. `identity.rules[0]`. */
  readonly rule: string;
  /** What its certificate says besides. */
  readonly attributes: Attributes;
  readonly serial: string;
  readonly issuer: string;
  /** Whom the certificate was issued to; null for one that is not on record. */
  readonly recorded: string | null;
  /** ms since the epoch */
  readonly notAfter: number;
  /** Header lines that say upstream whose certificate it is. */
  readonly lines: string;
}

/** A client that may not. `detail` is for the client, `reason` for the log. */
export interface Refused {
  readonly ok: false;
  readonly code: string;
  readonly status: number;
  readonly reason: string;
  readonly detail: string;
  readonly identity: string | null;
  readonly serial: string | null;
  /** Whether our own CA signed it, so that the refusal is about somebody we know. */
  readonly ours: boolean;
}

export interface AdmissionRules {
  readonly store: Store;
  /** Null for a certificate that none of our issuers signed. */
  readonly read: (certificate: X509Certificate) => ReadClient | null;
  /** The locks as they are now known (RevocationWatch): to be asked for after the records. */
  readonly locks: () => LockTable;
  /** Admits certificates of this CA that are not on record: made by another tool with the issuer's key. */
  readonly unsafeUnrecorded: boolean;
}

/** Decides about the peer of a completed handshake. Never throws; a store that can't be read refuses with 503. */
export async function admit(socket: TLSSocket, admission: AdmissionRules): Promise<Admitted | Refused> {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) {
    return refused('CG_CLIENT_NO_CERTIFICATE', 'no client certificate was presented', {
      detail: 'certgate: a client certificate is required',
    });
  }
  if (!socket.authorized) {
    // Node's types say Error; it is the name of an OpenSSL verification result.
    const verification: unknown = socket.authorizationError;
    return refuseChain(typeof verification === 'string' ? verification : 'unknown', certificate);
  }
  try {
    const read = admission.read(certificate);
    // Of the company that our root belongs to, say, but not of this CA.
    if (read === null) return refuseChain('not by an issuer of this CA', certificate);
    const { who, unfit, serial, issuer, notAfter, lines } = read;
    if (unfit !== null) {
      return refused('CG_CLIENT_PURPOSE', `the certificate ${unfit}`, {
        detail: `certgate: the certificate ${unfit}, so it is not a client certificate`,
        serial,
        ours: true,
      });
    }
    if (!who.ok) {
      return refused(who.code, who.reason, {
        detail: `certgate: the client certificate yields no identity: ${who.reason}`,
        serial,
        ours: true,
      });
    }
    const standing = await admission.store.standing(issuer, serial);
    const known = { identity: who.identity, serial, ours: true };
    if (standing !== null && standing.revokedAt !== null) {
      return refused('CG_CLIENT_REVOKED', 'the certificate was revoked', {
        detail: `certgate: the certificate of ${who.identity} was revoked`,
        ...known,
      });
    }
    const isRecorded = standing?.fingerprint === read.fingerprint;
    if (!isRecorded && !admission.unsafeUnrecorded) {
      const other = standing === null ? '' : `: its serial number is that of one for ${standing.identity}`;
      return refused('CG_CLIENT_UNRECORDED', `the certificate is from this CA but not in its records${other}`, {
        detail: 'certgate: the client certificate is not in the records of this CA',
        ...known,
      });
    }
    const recorded = isRecorded ? standing.identity : null;
    const lock = lockOn(admission.locks(), { identity: who.identity, recorded, serial }, Date.now());
    if (lock !== null) {
      return refused('CG_CLIENT_LOCKED', `${targetWords(lock)} is locked ${untilWords(lock)}: ${lock.reason}`, {
        detail: `certgate: ${lockedWords(lock, who.identity)}, not revoked, ${untilWords(lock)}`,
        ...known,
      });
    }
    const { identity, rule } = who;
    return { ok: true, identity, rule, attributes: who, serial, issuer, recorded, notAfter, lines };
  } catch (error) {
    if (isCertgateError(error, 'CG_CERT_UNREADABLE')) {
      return refused(error.code, error.message, { detail: 'certgate: the client certificate cannot be read' });
    }
    return refused('CG_STORE_UNAVAILABLE', reasonOf(error), {
      status: 503,
      detail: "certgate: the gate can't read its records",
    });
  }
}

/**
 * Whether the peer of a completed handshake would be let in but for a certificate that has expired less than `graceMs` ago.
 * OpenSSL's verdict names one fault of several, so the signature is verified here, against our own issuers (ReadClient).
 */
export async function admitLate(
  socket: TLSSocket,
  admission: AdmissionRules,
  graceMs: number,
): Promise<{ readonly ok: true; readonly serial: string } | { readonly ok: false }> {
  const certificate = socket.getPeerX509Certificate();
  try {
    const read = certificate === undefined ? null : admission.read(certificate);
    if (read === null || read.unfit !== null || !read.who.ok) return { ok: false };
    const { serial, issuer, notAfter, who } = read;
    const now = Date.now();
    if (now >= notAfter + graceMs) return { ok: false };
    const standing = await admission.store.standing(issuer, serial);
    if (standing?.fingerprint !== read.fingerprint || standing.revokedAt !== null) return { ok: false };
    const known = { identity: who.identity, recorded: standing.identity, serial };
    return lockOn(admission.locks(), known, now) === null ? { ok: true, serial } : { ok: false };
  } catch {
    return { ok: false };
  }
}

// Why it was locked is the operator's, and not for the client.
function lockedWords({ scope }: LockRecord, identity: string): string {
  if (scope === 'all') return `all clients are locked, ${identity} among them`;
  return scope === 'serial' ? `the certificate of ${identity} is locked` : `${identity} is locked`;
}

function refuseChain(verification: string, certificate: X509Certificate): Refused {
  switch (verification) {
    case 'CERT_HAS_EXPIRED':
      return refused('CG_CLIENT_EXPIRED', `the certificate expired at ${certificate.validToDate.toISOString()}`, {
        detail: `certgate: the client certificate expired at ${certificate.validToDate.toISOString()}`,
      });
    case 'CERT_NOT_YET_VALID':
      return refused(
        'CG_CLIENT_NOT_YET_VALID',
        `the certificate is valid from ${certificate.validFromDate.toISOString()}`,
        {
          detail: `certgate: the client certificate is valid only from ${certificate.validFromDate.toISOString()}`,
        },
      );
    case 'INVALID_PURPOSE':
      return refused('CG_CLIENT_PURPOSE', 'the certificate is not for clients', {
        detail: 'certgate: the certificate is not a client certificate (extended key usage clientAuth is missing)',
      });
    case 'UNSPECIFIED':
      return refused('CG_CLIENT_UNTRUSTED', `OpenSSL refuses the certificate; ${UNNAMED}`, {
        detail: `certgate: the client certificate is not one that this gate can trust: ${UNNAMED}`,
      });
    default:
      return refused('CG_CLIENT_UNTRUSTED', `the certificate does not chain to this CA (${verification})`, {
        detail: 'certgate: the client certificate is not from the CA of this gate',
      });
  }
}

function refused(
  code: string,
  reason: string,
  more: { detail: string; status?: number; identity?: string; serial?: string; ours?: boolean },
): Refused {
  return {
    ok: false,
    code,
    status: more.status ?? 403,
    reason,
    detail: more.detail,
    identity: more.identity ?? null,
    serial: more.serial ?? null,
    ours: more.ours ?? false,
  };
}
