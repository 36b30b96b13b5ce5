// What an issuer signs as a checkpoint of the audit record: how far the gate's record and the CA's acts had come at a moment.
// It names its purpose and its issuer, and is no structure that any other signature of a CA covers: it begins with
// `certgate`, and DER begins with 0x30. Docs/audit.md says how to verify one without certgate.
import { verify, type X509Certificate } from 'node:crypto';
import { signingAlgorithmOf } from './signing.ts';

export interface AuditStatement {
  readonly trustDomain: string;
  /** The number of the newest line of the record and its SHA-256, hex; the same of the CA's acts. */
  readonly record: { readonly seq: number; readonly hash: string };
  readonly act: { readonly seq: number; readonly hash: string };
  /** ms since the epoch */
  readonly time: number;
  /** Key identifier of the issuer, hex. */
  readonly issuer: string;
}

/** How every such statement begins. */
export const AUDIT_STATEMENT = 'certgate audit checkpoint ';

const SHAPE =
  /^certgate audit checkpoint 1\ndomain ([a-z0-9._-]{1,255})\nrecord (\d{1,15}) ([0-9a-f]{64})\nact (\d{1,15}) ([0-9a-f]{64})\ntime ([1-9]\d{0,14})\nissuer ([0-9a-f]{2,128})\n$/;

/** The octets that are signed. */
export function auditStatement({ trustDomain, record, act, time, issuer }: AuditStatement): Uint8Array {
  const lines = [
    `${AUDIT_STATEMENT}1`,
    `domain ${trustDomain}`,
    `record ${record.seq} ${record.hash}`,
    `act ${act.seq} ${act.hash}`,
    `time ${time}`,
    `issuer ${issuer}`,
  ];
  return Buffer.from(`${lines.join('\n')}\n`, 'latin1');
}

/** What `auditStatement` has made of what; null for anything else. */
export function readAuditStatement(content: Uint8Array): AuditStatement | null {
  const [, trustDomain = '', seq, hash = '', actSeq, actHash = '', time, issuer = ''] =
    SHAPE.exec(Buffer.from(content).toString('latin1')) ?? [];
  if (seq === undefined) return null;
  return {
    trustDomain,
    record: { seq: Number(seq), hash },
    act: { seq: Number(actSeq), hash: actHash },
    time: Number(time),
    issuer,
  };
}

/** Whether `signature` (base64) over the statement is by the key of `issuer`. */
export function auditStatementIsSigned(
  statement: AuditStatement,
  signature: string,
  { publicKey }: Pick<X509Certificate, 'publicKey'>,
): boolean {
  try {
    const { hash } = signingAlgorithmOf(publicKey);
    return verify(hash, auditStatement(statement), publicKey, Buffer.from(signature, 'base64'));
  } catch {
    return false; // a key of a kind that signs nothing of ours
  }
}
