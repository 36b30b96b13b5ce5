// The gate's record with its checkpoints: signed by the issuer that issues at the moment, whose key may be encrypted or behind
// a signer, and kept in the store as well, so that a file that was cut short is noticed when the gate starts. So are
// retirements of its oldest files signed.
import type { Authority } from '../../authority/authority.ts';
import { reasonOf } from '../../errors.ts';
import type { Head } from '../../observe/audit-chain.ts';
import { type Checkpoint, checkpointJson } from '../../observe/audit-checkpoint.ts';
import { type AuditLog, openAuditLog } from '../../observe/audit-log.ts';
import type { Retirement, Retiring } from '../../observe/audit-retirement.ts';
import type { RotationRules } from '../../observe/audit-rotation.ts';
import type { Log } from '../../observe/log.ts';
import { auditStatement, retirementStatement } from '../../pki/audit-statement.ts';
import type { Store } from '../../store/store.ts';
import { auditJudge, storedCheckpoint } from './checkpoints.ts';

/** From a line of the record to the checkpoint that covers it, ms. */
const EVERY = 60_000;
/** How often it is looked whether the record is to go on in another file, or the oldest may go, ms. */
const LOOK = 60_000;

export interface SignedAuditPlace {
  readonly authority: Authority;
  readonly store: Store;
  readonly log: Log;
  readonly rules: RotationRules;
}

/** CG_AUDIT_UNWRITABLE, CG_STORE_*. */
export async function openSignedAudit(path: string, place: SignedAuditPlace): Promise<AuditLog> {
  const { authority, store, log, rules } = place;
  const sign = async (record: Head): Promise<Checkpoint> => {
    const { issuer, trustDomain } = authority;
    const last = await store.lastAct();
    const act = last === null ? { seq: 0, hash: '0'.repeat(64) } : { seq: last.id, hash: last.hash };
    const facts = { time: Date.now(), trustDomain, record, act, issuer: issuer.keyId };
    const signature = await issuer.signer.sign(auditStatement(facts));
    return { ...facts, signature: Buffer.from(signature).toString('base64') };
  };
  const retire = async (retiring: Retiring): Promise<Retirement> => {
    const { issuer, trustDomain } = authority;
    const facts = { ...retiring, time: Date.now(), trustDomain, issuer: issuer.keyId };
    const signature = await issuer.signer.sign(retirementStatement(facts));
    return { ...facts, signature: Buffer.from(signature).toString('base64') };
  };
  const failed = (error: unknown): void => log.error({ reason: reasonOf(error) }, 'the record could not be signed');
  return openAuditLog(path, {
    known: (await storedCheckpoint(store))?.record ?? null,
    missing: (problem) => log.error({ path, problem }, 'the record is not as it was written: certgate audit --verify'),
    signing: {
      sign,
      every: EVERY,
      failed,
      signed: (checkpoint) => store.saveCheckpoint(checkpointJson(checkpoint)),
    },
    upkeep: {
      rules,
      every: LOOK,
      sign: retire,
      judge: () => auditJudge(store),
      rotated: (file) => log.info({ file }, 'the record continues in a new file'),
      retired: ({ from, to, rule }, files) =>
        log.info({ from, to: to.seq, rule, files }, 'the oldest files of the record are retired'),
      failed: (what, error) => log.error({ reason: reasonOf(error) }, `the record could not be ${what}`),
    },
  });
}
