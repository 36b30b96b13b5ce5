// A store with a million certificates, written by SQL alone: what fills it is not what is measured. Each has the audit entry
// of its issue, a DER of the size that certgate's leaves have, and one of `identities` names.

import { DatabaseSync } from 'node:sqlite';

export const MILLION = 1_000_000;
const DAY_MS = 86_400_000;

export interface Filling {
  /** Key identifier of the issuer, hex. */
  readonly issuer: string;
  /** Octets of a leaf. */
  readonly derBytes: number;
  /** The last so many are revoked, none for keyCompromise. */
  readonly revoked: number;
  /** Issued evenly over so many days, each for one: the rest has expired. */
  readonly days: number;
  /** Days of validity. */
  readonly lasts: number;
  readonly now: number;
}

/** Adds MILLION certificates to the store in `file`, which nobody has open. */
export function fillStore(file: string, { issuer, derBytes, revoked, days, lasts, now }: Filling): void {
  const db = new DatabaseSync(file);
  try {
    db.exec('PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -400000; BEGIN');
    const step = (days * DAY_MS) / MILLION;
    const values = {
      issuer,
      derBytes,
      from: MILLION - revoked,
      step,
      start: now - days * DAY_MS,
      life: lasts * DAY_MS,
      now,
    };
    db.prepare(
      `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${MILLION - 1}),
         one AS (SELECT i, 'worker/etl-' || (i * 7919 % 20000) AS who, CAST(:start + i * :step AS INTEGER) AS at FROM n)
       INSERT INTO certificates (serial, issuer, identity, profile, subject, not_before, not_after, fingerprint, issued_at,
           revoked, revoked_at, reason, revoked_revision, der)
         SELECT lower(hex(randomblob(16))), :issuer, who, 'client', 'CN=' || who, at - 60000, at + :life,
           lower(hex(randomblob(32))), at, i >= :from, iif(i >= :from, :now, NULL),
           iif(i >= :from, 'cessationOfOperation', NULL), iif(i >= :from, i - :from + 10, NULL), randomblob(:derBytes)
         FROM one`,
    ).run(values);
    db.exec(
      `INSERT INTO audit (time, actor, action, object, detail) SELECT issued_at, 'token:0123456789abcdef',
         'certificate.issue', identity, json_object('serial', serial, 'profile', profile, 'notAfter', not_after,
         'fingerprint', fingerprint, 'dns', '', 'ip', '', 'token', '0123456789abcdef') FROM certificates;
       UPDATE revision SET number = number + ${2 * MILLION}`,
    );
    db.exec('COMMIT');
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  } finally {
    db.close();
  }
}
