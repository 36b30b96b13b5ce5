// certgate audit --verify: whether what is on record is what was recorded, the gate's and the CA's. It says which line or act
// is not, and what should stand there; and how far it can be sure of it: what was cut off after the newest checkpoint that
// is kept elsewhere cannot be told.
import { relative } from 'node:path';
import { CertgateError } from '../../errors.ts';
import type { Checkpoint } from '../../observe/audit-checkpoint.ts';
import { overFiles } from '../../observe/audit-files.ts';
import type { Retirement } from '../../observe/audit-retirement.ts';
import { type Finding, type Verdict, verifyAudit } from '../../observe/audit-verify.ts';
import type { Store } from '../../store/store.ts';
import { printable, printableJson } from '../escape.ts';
import type { CommandIo } from '../io.ts';
import { auditJudge, readCheckpoint, storedCheckpoint } from './checkpoints.ts';
import { momentWords } from './print.ts';
import { type ActsVerdict, verifyActs } from './verify-acts.ts';

export interface VerifyAsked {
  /** Of the gate's record. */
  readonly path: string;
  /** Files to verify in place of all that are found. */
  readonly files: readonly string[];
  /** Checkpoints that were kept elsewhere. */
  readonly since: readonly string[];
  readonly json: boolean;
}

/** Prints what was found. CG_AUDIT_TAMPERED when something is not as it was written. */
export async function verify(asked: VerifyAsked, store: Store, io: CommandIo): Promise<void> {
  const stored = await storedCheckpoint(store);
  const kept = [
    ...asked.since.map((file) => ({ from: file, checkpoint: readCheckpoint(file) })),
    ...(stored === null ? [] : [{ from: store.location, checkpoint: stored }]),
  ];
  const judge = await auditJudge(store);
  const partial = asked.files.length > 0;
  const over = (files: readonly string[]): Promise<Verdict> => verifyAudit(files, { judge, kept, partial });
  const verdict = partial ? await over(asked.files) : await overFiles(asked.path, over);
  const acts = await verifyActs(store, [...kept, ...recordedOf(verdict, asked)]);
  const findings = [...verdict.findings, ...acts.findings];
  const wrong = findings.filter(({ harmless }) => !harmless);
  if (asked.json) io.out(printableJson(result(verdict, acts, wrong.length === 0)));
  else {
    for (const finding of findings)
      io.out(printable(`${finding.harmless ? 'note' : 'WRONG'}: ${words(finding, io.cwd)}`));
    for (const line of summary(verdict, acts, asked.since.length)) io.out(line);
  }
  if (wrong.length > 0)
    throw new CertgateError('CG_AUDIT_TAMPERED', { problems: wrong.length, first: words(wrong[0], io.cwd) });
}

/** The newest checkpoint in the record itself: who puts an older store back puts its checkpoint back too. */
function recordedOf({ signed }: Verdict, { path, files }: VerifyAsked) {
  return signed === null ? [] : [{ from: files.at(-1) ?? path, checkpoint: signed }];
}

function words(finding: Finding | undefined, cwd: string): string {
  if (finding === undefined) return '';
  const { file, line, words: said } = finding;
  const near = relative(cwd, file);
  const name = near !== '' && near.length < file.length && !near.startsWith('..') ? near : file;
  return `${name}${line === null ? '' : `:${line}`}: ${said}`;
}

function summary(verdict: Verdict, acts: ActsVerdict, kept: number): string[] {
  const { lines, files, unchained, head, signed, signedBy, retired, retiredBy } = verdict;
  const old = (count: number, what: string) =>
    count === 0 ? [] : [`${count} ${what} are older than the chain, so they cannot be verified`];
  return [
    `the gate's record: ${lines} in the chain, in ${files} ${files === 1 ? 'file' : 'files'}, up to number ${head.seq}`,
    ...old(unchained, 'lines before them'),
    ...(retired === null ? [] : [retiredWords(retired, retiredBy)]),
    signedWords(signed, signedBy, head.seq),
    `the CA's acts: ${acts.count} in the chain, up to number ${acts.head.seq}`,
    ...old(acts.unchained, 'acts before them'),
    ...(kept > 0
      ? []
      : [
          'only a checkpoint that is kept elsewhere can show whether the end was cut off: certgate audit --checkpoint FILE',
        ]),
  ];
}

function signedWords(signed: Checkpoint | null, by: string | null, seq: number): string {
  if (signed === null) return 'no checkpoint in it is signed';
  const after = seq - signed.record.seq - 1;
  const when = momentWords(signed.time);
  const rest = after > 0 ? `; ${after} after it` : '';
  return `signed up to number ${signed.record.seq} at ${when} by ${by ?? signed.issuer}${rest}`;
}

function retiredWords({ to, time, rule, issuer }: Retirement, by: string | null): string {
  const when = momentWords(time);
  return `retired by the gate up to number ${to.seq} at ${when} (${rule}), signed by ${by ?? issuer}`;
}

function result(verdict: Verdict, acts: ActsVerdict, ok: boolean): object {
  const { findings, files, lines, unchained, head, signed, signedBy, retired, retiredBy } = verdict;
  return {
    ok,
    findings: [...findings, ...acts.findings],
    record: { files, lines, unchained, head, signed, signedBy, retired, retiredBy },
    acts: { count: acts.count, unchained: acts.unchained, head: acts.head },
  };
}
