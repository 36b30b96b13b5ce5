// Rows of the SQLite tables as the store's records. The tables are STRICT, so a value of another type than the schema's
// means that somebody else wrote the schema: an error, never a guess.
import type { SQLInputValue, SQLOutputValue, StatementSync } from 'node:sqlite';
import type { FlagRecord } from './flags.ts';
import type {
  CaRecord,
  CaRole,
  CaState,
  CertificateRecord,
  CertificateStanding,
  CompromisedCertificate,
  LockRecord,
  LockScope,
  Revocation,
  RevocationReason,
} from './store.ts';
import type { TokenUse } from './token-use.ts';
import type { TokenFace, TokenRecord } from './tokens.ts';

export type Row = Record<string, SQLOutputValue>;

/** A row as an array, its columns in the statement's order: it takes half the time of an object. */
export type Cells = readonly SQLOutputValue[];

export interface CellStatement {
  get(...values: SQLInputValue[]): Cells | undefined;
  all(...values: SQLInputValue[]): readonly Cells[];
}

/** `statement` itself, from now on with its rows as arrays, of which Node's types know nothing. */
export function inCells(statement: StatementSync): CellStatement {
  statement.setReturnArrays(true);
  return statement as unknown as CellStatement;
}

/** The columns that `certificateOf` reads. */
export const certificateColumns =
  'serial, issuer, identity, profile, subject, not_before, not_after, fingerprint, der, issued_at, wanted_ttl, member_of, renewable, revoked_at, reason';

export function certificateOf(row: Row): CertificateRecord {
  const revokedAt = numberOrNull(row, 'revoked_at');
  return {
    serial: textOf(row, 'serial'),
    issuer: textOf(row, 'issuer'),
    identity: textOf(row, 'identity'),
    profile: textOf(row, 'profile') === 'server' ? 'server' : 'client',
    subject: textOf(row, 'subject'),
    notBefore: numberOf(row, 'not_before'),
    notAfter: numberOf(row, 'not_after'),
    fingerprint: textOf(row, 'fingerprint'),
    der: bytesOf(row, 'der'),
    issuedAt: numberOf(row, 'issued_at'),
    ...(row['wanted_ttl'] === null ? {} : { wantedTtl: numberOf(row, 'wanted_ttl') }),
    ...groupsIn(row['member_of']),
    ...(row['renewable'] === 0 ? { renewable: false } : {}),
    revokedAt,
    reason: revocationReasonOf(row),
  };
}

/** Written by `groupsText`. */
function groupsIn(value: SQLOutputValue | undefined): { readonly groups?: readonly string[] } {
  return value === null ? {} : { groups: textIn(value, 'member_of').split('\n') };
}

/** No group has a line end in its name; null for none. */
export function groupsText(groups: readonly string[] = []): string | null {
  return groups.length === 0 ? null : groups.join('\n');
}

/** Identity, not_after, fingerprint and revoked_at, in that order. */
export function standingOf([identity, notAfter, fingerprint, revokedAt]: Cells): CertificateStanding {
  return {
    identity: textIn(identity, 'identity'),
    notAfter: numberIn(notAfter, 'not_after'),
    fingerprint: textIn(fingerprint, 'fingerprint'),
    revokedAt: revokedAt === null ? null : numberIn(revokedAt, 'revoked_at'),
  };
}

/** The columns that `revocationOf` reads, in its order. */
export const revocationColumns = 'serial, issuer, identity, revoked_at, reason, not_after, revoked_revision, regraded';

export function revocationOf(row: Cells): Revocation {
  const [serial, issuer, identity, revokedAt, reason, notAfter, revision, regraded] = row;
  return {
    serial: textIn(serial, 'serial'),
    issuer: textIn(issuer, 'issuer'),
    identity: textIn(identity, 'identity'),
    revokedAt: numberIn(revokedAt, 'revoked_at'),
    reason: textIn(reason, 'reason') as RevocationReason, // as in revocationReasonOf
    notAfter: numberIn(notAfter, 'not_after'),
    revision: numberIn(revision, 'revoked_revision'),
    isNew: numberIn(regraded, 'regraded') === 0,
  };
}

export function caOf(row: Row): CaRecord {
  return {
    keyId: textOf(row, 'key_id'),
    role: textOf(row, 'role') as CaRole, // the schema's CHECKs let no other in
    generation: numberOf(row, 'generation'),
    parent: textOf(row, 'parent'),
    state: textOf(row, 'state') as CaState,
    der: bytesOf(row, 'der'),
    addedAt: numberOf(row, 'added_at'),
    changedAt: numberOf(row, 'changed_at'),
  };
}

export const lockColumns = 'scope, subject, reason, actor, locked_at, until';

export function lockOf(row: Row): LockRecord {
  return {
    scope: textOf(row, 'scope') as LockScope, // as above
    subject: textOf(row, 'subject'),
    reason: textOf(row, 'reason'),
    actor: textOf(row, 'actor'),
    lockedAt: numberOf(row, 'locked_at'),
    until: numberOrNull(row, 'until'),
  };
}

/** The columns that `tokenFaceOf` reads, in its order. */
export const tokenFaceColumns = 'id, subject, uses, uses_left, expires_at, created_at, flag';
/** The columns that `tokenOf` reads, in its order. */
export const tokenColumns = `${tokenFaceColumns}, secret_hash, ttl, member_of, created_by, revoked_at, flagged_at`;

export function tokenFaceOf(row: Cells): TokenFace {
  const [id, subject, uses, usesLeft, expiresAt, createdAt, flag] = row;
  return {
    id: textIn(id, 'id'),
    subject: textIn(subject, 'subject'),
    uses: numberIn(uses, 'uses'),
    usesLeft: numberIn(usesLeft, 'uses_left'),
    expiresAt: numberIn(expiresAt, 'expires_at'),
    createdAt: numberIn(createdAt, 'created_at'),
    flag: flag === null ? null : textIn(flag, 'flag'),
  };
}

export function tokenOf(row: Cells): TokenRecord {
  const [secretHash, ttl, memberOf, createdBy, revokedAt, flaggedAt] = row.slice(7);
  return {
    ...tokenFaceOf(row),
    secretHash: textIn(secretHash, 'secret_hash'),
    ttlMs: numberIn(ttl, 'ttl'),
    ...groupsIn(memberOf),
    createdBy: textIn(createdBy, 'created_by'),
    revokedAt: revokedAt === null ? null : numberIn(revokedAt, 'revoked_at'),
    flaggedAt: flaggedAt === null ? null : numberIn(flaggedAt, 'flagged_at'),
  };
}

/** Of a use of a one-time token and of an identity token. */
export function tokenUseOf(row: Row): TokenUse {
  return {
    token: textOf(row, 'token'),
    keyHash: textOf(row, 'key_hash'),
    identity: textOf(row, 'identity'),
    serial: textOf(row, 'serial'),
    usedAt: numberOf(row, 'used_at'),
  };
}

/** The columns that `flagOf` reads. */
export const flagColumns = 'identity, reason, flagged_at';

export function flagOf(row: Row): FlagRecord {
  return {
    identity: textOf(row, 'identity'),
    reason: textOf(row, 'reason'),
    flaggedAt: numberOf(row, 'flagged_at'),
  };
}

export function compromisedOf(row: Row): CompromisedCertificate {
  return {
    serial: textOf(row, 'serial'),
    identity: textOf(row, 'identity'),
    der: bytesOf(row, 'der'),
    revision: numberOf(row, 'revoked_revision'),
  };
}

export function numberOf(row: Row | undefined, column: string): number {
  return numberIn(row?.[column], column);
}

export function textOf(row: Row, column: string): string {
  return textIn(row[column], column);
}

export function numberIn(value: SQLOutputValue | undefined, column: string): number {
  if (typeof value === 'number') return value;
  throw new TypeError(`column ${column} holds no number`);
}

function textIn(value: SQLOutputValue | undefined, column: string): string {
  if (typeof value === 'string') return value;
  throw new TypeError(`column ${column} holds no text`);
}

/** For a column that may be NULL. */
export function numberOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : numberOf(row, column);
}

export function bytesOf(row: Row, column: string): Uint8Array {
  const value = row[column];
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`column ${column} holds no bytes`);
}

// What was written was one of them; a reason of a later certgate is still a revocation.
export function revocationReasonOf(row: Row): RevocationReason | null {
  return row['reason'] === null ? null : (textOf(row, 'reason') as RevocationReason);
}
