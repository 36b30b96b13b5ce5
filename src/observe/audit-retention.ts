// Which of the record's oldest files may be removed by the rule that was given. Only whole files that lie behind the newest
// checkpoint, from the front and without a gap; and only when they are as they were written: to retire what somebody has
// changed or cut would be to cover it up. It reads only, and removes nothing.

import { type Head, START } from './audit-chain.ts';
import { filesOf } from './audit-files.ts';
import { auditLines, itemOf } from './audit-reader.ts';
import type { Retirement, Retiring } from './audit-retirement.ts';
import { type FirstLine, firstLine, type RotationRules } from './audit-rotation.ts';
import { type Judge, verifyAudit } from './audit-verify.ts';

export interface RetentionAsked {
  readonly rules: Pick<RotationRules, 'keepFor' | 'keepFiles'>;
  /** ms since the epoch */
  readonly now: number;
  /** The newest line that a checkpoint covers which is kept elsewhere: what it speaks of stays. */
  readonly saved: number;
  readonly judge: () => Promise<Judge>;
  /** Whether files may be here that were to go before: of a gate that was killed, or where it failed. */
  readonly unfinished: boolean;
}

/** Files that go, oldest first; `retiring` is null when it is on record already that they do. */
export interface Going {
  readonly files: readonly string[];
  readonly retiring: Omit<Retiring, 'record'> | null;
}

interface Placed extends FirstLine {
  readonly file: string;
}

/** Null when there is nothing to remove. An Error says why nothing may be, CG_AUDIT_UNREADABLE. */
export async function retirable(path: string, asked: RetentionAsked): Promise<Going | null> {
  const files = await placedFiles(path);
  const [first] = files;
  if (first === undefined) return null;
  const judge = await asked.judge();
  const chosen = choose(path, files, asked);
  // What was retired last is found by a look at each line of the newest file, which may have hundreds of megabytes.
  if (chosen.files.length === 0 && !asked.unfinished) return null;
  const before = first.seq === 1 ? null : await newestRetirement(files, judge);
  if (first.seq > 1) requireFront(first, before);
  if (before !== null && before.to.seq >= first.seq) return leftOver(files, before.to);

  const next = files[chosen.files.length];
  if (next === undefined || chosen.files.length === 0) return null;
  const names = chosen.files.map(({ file }) => file);
  const start = first.seq === 1 ? null : { seq: first.seq - 1, hash: first.prev };
  const verdict = await verifyAudit(names, { judge, ...(start === null ? {} : { start }) });
  const [wrong] = verdict.findings.filter(({ harmless }) => !harmless);
  if (wrong !== undefined) throw new Error(`${wrong.file}:${wrong.line ?? ''}: ${wrong.words}`);
  const to: Head = { seq: verdict.head.seq, hash: next.prev };
  if (next.seq !== to.seq + 1 || next.prev !== verdict.last) {
    throw new Error(`${next.file} begins with record ${next.seq}, which does not follow record ${to.seq} before it`);
  }
  return { files: names, retiring: { from: first.seq, to, rule: chosen.rule } };
}

/** The files with lines of the chain, by the number they begin with. */
async function placedFiles(path: string): Promise<Placed[]> {
  const files: Placed[] = [];
  for (const file of await filesOf(path)) {
    const first = await firstLine(file);
    if (first !== null) files.push({ file, ...first });
  }
  return files.toSorted((a, b) => a.seq - b.seq);
}

function choose(path: string, files: readonly Placed[], { rules, now, saved }: RetentionAsked) {
  const most = files.filter(({ file }) => file !== path).length - rules.keepFiles;
  const chosen: Placed[] = [];
  let rule = '';
  for (const [i, one] of files.entries()) {
    const next = files[i + 1];
    if (one.file === path || next === undefined || next.seq - 1 > saved) break;
    // The next file's first line was written right after this one's last.
    const old = next.time !== null && now - next.time >= rules.keepFor;
    if (!old && i >= most) break;
    rule = i < most ? `keepFiles ${rules.keepFiles}` : `keepFor ${lasting(rules.keepFor)}`;
    chosen.push(one);
  }
  return { files: chosen, rule };
}

/** In the largest unit in which it is a whole number, as the configuration could have it: `90d`, `90m`. */
function lasting(ms: number): string {
  const [unit, size] = UNITS.find((one) => ms % one[1] === 0) ?? ['ms', 1];
  return `${ms / size}${unit}`;
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

/** What is not here any more must have been retired: else somebody else removed it. */
function requireFront({ file, seq, prev }: Placed, before: Retirement | null): void {
  const to = before?.to ?? START;
  if (to.seq >= seq || (to.seq === seq - 1 && to.hash === prev)) return;
  const gone = to.seq + 1 === seq - 1 ? `record ${seq - 1} is` : `records ${to.seq + 1} to ${seq - 1} are`;
  throw new Error(
    to.seq === seq - 1
      ? `${file} does not follow record ${to.seq}, up to which the record was retired`
      : `${gone} not here, and were not retired by the gate`,
  );
}

/** The files that a gate which was killed had yet to remove. */
function leftOver(files: readonly Placed[], to: Head): Going | null {
  const end = files.findIndex(({ seq }) => seq > to.seq);
  const next = files[end];
  if (next === undefined || next.seq !== to.seq + 1 || next.prev !== to.hash) {
    throw new Error(`no file begins after record ${to.seq}, up to which the record was retired`);
  }
  return { files: files.slice(0, end).map(({ file }) => file), retiring: null };
}

/** The newest retirement that is on record and rightly signed; it stands in a late file. */
async function newestRetirement(files: readonly Placed[], judge: Judge): Promise<Retirement | null> {
  for (const { file } of files.toReversed()) {
    let newest: Retirement | null = null;
    for await (const line of auditLines(file)) {
      if (line.text === null || !line.text.includes('"retired":{')) continue;
      const item = itemOf(line);
      if (item?.kind === 'retirement' && judge(item.retirement).problem === null) newest = item.retirement;
    }
    if (newest !== null) return newest;
  }
  return null;
}
