// What an issuer signs about the audit record: a checkpoint says how far the gate's record and the CA's acts had come at a
// moment; a retirement, up to where the gate itself has removed the record's oldest files, and by which rule. Each names its
// purpose and its issuer, and is no structure that any other signature of a CA covers: it begins with `certgate`, and DER
// begins with 0x30. Docs/audit.md says how to verify one without certgate.
import { verify, type X509Certificate } from 'node:crypto';
import { signingAlgorithmOf } from './signing.ts';

/** A line of the record, or an act of the CA: its number and its SHA-256, hex. */
interface Place {
  readonly seq: number;
  readonly hash: string;
}

interface Signed {
  readonly trustDomain: string;
  /** The newest line of the record. */
  readonly record: Place;
  /** ms since the epoch */
  readonly time: number;
  /** Key identifier of the issuer, hex. */
  readonly issuer: string;
}

export interface AuditStatement extends Signed {
  /** The newest act of the CA. */
  readonly act: Place;
}

export interface RetirementStatement extends Signed {
  /** The first and the last record that were removed. */
  readonly from: number;
  readonly to: Place;
  /** What asked for it, as the configuration has it: `keepFor 90d` or `keepFiles 12`. */
  readonly rule: string;
}

/** How every such statement begins. */
export const AUDIT_STATEMENTS = ['certgate audit checkpoint ', 'certgate audit retirement '] as const;

const HEAD = String.raw`domain ([a-z0-9._-]{1,255})\nrecord (\d{1,15}) ([0-9a-f]{64})\n`;
const END = String.raw`time ([1-9]\d{0,14})\nissuer ([0-9a-f]{2,128})\n`;
const CHECKPOINT = new RegExp(String.raw`^certgate audit checkpoint 1\n${HEAD}act (\d{1,15}) ([0-9a-f]{64})\n${END}$`);
const RULE = String.raw`keep(?:For \d{1,15}(?:d|h|m|s|ms)|Files \d{1,9})`;
const RETIREMENT = new RegExp(
  String.raw`^certgate audit retirement 1\n${HEAD}retired ([1-9]\d{0,14}) ([1-9]\d{0,14}) ([0-9a-f]{64})\nrule (${RULE})\n${END}$`,
);

/** The octets that are signed of a checkpoint. */
export function auditStatement({ trustDomain, record, act, time, issuer }: AuditStatement): Uint8Array {
  return octets([
    `${AUDIT_STATEMENTS[0]}1`,
    `domain ${trustDomain}`,
    `record ${record.seq} ${record.hash}`,
    `act ${act.seq} ${act.hash}`,
    `time ${time}`,
    `issuer ${issuer}`,
  ]);
}

/** The octets that are signed of a retirement. */
export function retirementStatement(statement: RetirementStatement): Uint8Array {
  const { trustDomain, record, from, to, rule, time, issuer } = statement;
  return octets([
    `${AUDIT_STATEMENTS[1]}1`,
    `domain ${trustDomain}`,
    `record ${record.seq} ${record.hash}`,
    `retired ${from} ${to.seq} ${to.hash}`,
    `rule ${rule}`,
    `time ${time}`,
    `issuer ${issuer}`,
  ]);
}

function octets(lines: readonly string[]): Uint8Array {
  return Buffer.from(`${lines.join('\n')}\n`, 'latin1');
}

/** What `auditStatement` has made of what; null for anything else. */
export function readAuditStatement(content: Uint8Array): AuditStatement | null {
  const [, trustDomain = '', seq, hash = '', actSeq, actHash = '', time, issuer = ''] =
    CHECKPOINT.exec(Buffer.from(content).toString('latin1')) ?? [];
  if (seq === undefined) return null;
  return {
    trustDomain,
    record: { seq: Number(seq), hash },
    act: { seq: Number(actSeq), hash: actHash },
    time: Number(time),
    issuer,
  };
}

/** What `retirementStatement` has made of what; null for anything else, and for one of more than there was. */
export function readRetirementStatement(content: Uint8Array): RetirementStatement | null {
  const [, trustDomain = '', seq, hash = '', from, to, toHash = '', rule = '', time, issuer = ''] =
    RETIREMENT.exec(Buffer.from(content).toString('latin1')) ?? [];
  const read = {
    trustDomain,
    record: { seq: Number(seq), hash },
    from: Number(from),
    to: { seq: Number(to), hash: toHash },
    rule,
    time: Number(time),
    issuer,
  };
  return seq !== undefined && read.from <= read.to.seq && read.to.seq <= read.record.seq ? read : null;
}

/** Whether `signature` (base64) over a checkpoint or a retirement is by the key of `issuer`. */
export function auditStatementIsSigned(
  statement: AuditStatement | RetirementStatement,
  signature: string,
  { publicKey }: Pick<X509Certificate, 'publicKey'>,
): boolean {
  const content = 'rule' in statement ? retirementStatement(statement) : auditStatement(statement);
  // What could not be read back could say something else.
  if ('rule' in statement && readRetirementStatement(content) === null) return false;
  try {
    const { hash } = signingAlgorithmOf(publicKey);
    return verify(hash, content, publicKey, Buffer.from(signature, 'base64'));
  } catch {
    return false; // a key of a kind that signs nothing of ours
  }
}
