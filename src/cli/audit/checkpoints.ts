// Checkpoints of the record: the newest one, and one that was kept, read back; and whether what a record says of itself is
// signed by an issuer of this CA, whatever has become of it since.
import { readFileSync } from 'node:fs';
import { CertgateError, fileReason, reasonOf } from '../../errors.ts';
import { type Checkpoint, checkpointIn } from '../../observe/audit-checkpoint.ts';
import type { Judge } from '../../observe/audit-verify.ts';
import { auditStatementIsSigned } from '../../pki/audit-statement.ts';
import { readCertificate } from '../../pki/certificates.ts';
import { keyIdOf } from '../../pki/keys.ts';
import type { Store } from '../../store/store.ts';
import { momentWords } from './print.ts';

/** A signature that was under way when its issuer was retired, ms. */
const SLACK = 300_000;

/** Judges signatures by the issuers that this CA has, and those that it had, as of now. CG_STORE_*. */
export async function auditJudge(store: Store): Promise<Judge> {
  const trustDomain = await store.meta('trustDomain');
  const issuers = new Map(
    (await store.listCa()).flatMap((record) => {
      if (record.role !== 'issuer') return [];
      const certificate = readCertificate(record.der);
      const by = `issuer ${record.generation}, ${record.state}, certificate ${certificate.serialNumber.toLowerCase()}`;
      return [[keyIdOf(certificate), { record, certificate, by }] as const];
    }),
  );
  return (said) => {
    const issuer = issuers.get(said.issuer);
    if (issuer === undefined) return { problem: `this CA has no issuer ${said.issuer}`, by: null };
    const { record, certificate, by } = issuer;
    if (said.trustDomain !== trustDomain) return { problem: `it is of the trust domain ${said.trustDomain}`, by };
    if (!auditStatementIsSigned(said, said.signature, certificate)) return { problem: 'its signature is wrong', by };
    const late = record.state === 'retired' && said.time > record.changedAt + SLACK;
    // Its key is of no use to the CA any more, and may be in other hands.
    const words = `issuer ${record.generation} was retired before, at ${momentWords(record.changedAt)}`;
    return { problem: late ? words : null, by };
  };
}

/** The checkpoint that stands in `file`, as `--checkpoint` wrote it. CG_AUDIT_CHECKPOINT. */
export function readCheckpoint(file: string): Checkpoint {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const problem = `cannot be read: ${fileReason(error)}`;
    throw new CertgateError('CG_AUDIT_CHECKPOINT', { file, problem }, { cause: error });
  }
  return checkpointOf(text, file);
}

/** The newest checkpoint on record; null for none. CG_AUDIT_CHECKPOINT for one that somebody has changed beyond reading. */
export async function storedCheckpoint(store: Store): Promise<Checkpoint | null> {
  const line = await store.checkpoint();
  return line === null ? null : checkpointOf(line, store.location);
}

/** The checkpoint that stands in `text`, which came from `from`. CG_AUDIT_CHECKPOINT. */
export function checkpointOf(text: string, from: string): Checkpoint {
  try {
    const checkpoint = checkpointIn(JSON.parse(text));
    if (checkpoint !== null) return checkpoint;
  } catch (error) {
    const problem = `is not a checkpoint of a record: ${reasonOf(error)}`;
    throw new CertgateError('CG_AUDIT_CHECKPOINT', { file: from, problem }, { cause: error });
  }
  throw new CertgateError('CG_AUDIT_CHECKPOINT', { file: from, problem: 'is not a checkpoint of a record' });
}
