// Whether a record is the one that was written: goes through its files, oldest first, and says of every line that was
// changed, taken out, put in or moved which one it is and what stood there. At the front only what the gate has retired, and
// has signed that it did, may be missing. What was cut off at the end can only be told by a checkpoint that is kept elsewhere.
// A line that a crash tore is no tampering: the line after it names it.

import { basename } from 'node:path';
import { type Head, hashWith, placeOf, START } from './audit-chain.ts';
import type { Checkpoint } from './audit-checkpoint.ts';
import { type AuditLine, auditLines, itemOf, objectIn } from './audit-reader.ts';
import type { Retirement } from './audit-retirement.ts';
import { LATEST } from './audit-signing.ts';

/** Something that is not as it was written; or, with `harmless`, that one should know. */
export interface Finding {
  readonly harmless: boolean;
  readonly file: string;
  /** From 1; null when it is about no line. */
  readonly line: number | null;
  readonly words: string;
}

/** What a record says of itself, signed. */
export type Said = Checkpoint | Retirement;

/** Null when the signature is right, else what is wrong with it; and whose it is, where that is known. */
export type Judge = (said: Said) => { readonly problem: string | null; readonly by: string | null };

export interface Verdict {
  readonly findings: readonly Finding[];
  readonly files: number;
  /** Lines of the chain. */
  readonly lines: number;
  /** Lines before the chain begins. */
  readonly unchained: number;
  /** The newest line. */
  readonly head: Head;
  /** What the next line would name: the newest line, with what stands after it. */
  readonly last: string;
  /** The newest checkpoint whose signature is right and that speaks of what is here; and who has signed it. */
  readonly signed: Checkpoint | null;
  readonly signedBy: string | null;
  /** The newest retirement of which the same is so: what the gate has removed from the front. */
  readonly retired: Retirement | null;
  readonly retiredBy: string | null;
}

export interface VerifyOptions {
  readonly judge: Judge;
  /** Checkpoints that are kept elsewhere: what they speak of must be here. */
  readonly kept?: ReadonlyArray<{ readonly from: string; readonly checkpoint: Checkpoint }>;
  /** The line that stands before the first one, where that is known for certain. */
  readonly start?: Head;
  /** Only some of the files, which may begin anywhere. */
  readonly partial?: boolean;
}

/** Longest list of findings: who has rewritten everything need not be told so for every line. */
const MOST_FINDINGS = 100;

/** How a line begins in which the record says something of itself. */
const SAID = /^\{"time":\d+,"(?:checkpoint|retired|continues)":/;

/** CG_AUDIT_UNREADABLE when a file can't be read. */
export async function verifyAudit(files: readonly string[], options: VerifyOptions): Promise<Verdict> {
  const { judge, kept = [] } = options;
  const findings: Finding[] = [];
  // Each has its own bound: no number of notes may hide what is wrong.
  let [notes, wrongs] = [0, 0];
  const wanted = new Map(kept.map(({ checkpoint }) => [checkpoint.record.seq, '']));
  let [lines, unchained] = [0, 0];
  let first: Beginning | null = null;
  let head: Head = START;
  /** What the next line is to name. */
  let before = START.hash;
  let headPlace: { file: string; line: AuditLine } | null = null;
  /** Lines that are no part of the chain, and that the next one has to name. */
  let odd: Odd[] = [];
  /** Lines before the first number, by file. */
  const older = new Map<string, number>();
  let signed: { readonly said: Checkpoint; readonly by: string | null } | null = null;
  let retired: { readonly said: Retirement; readonly by: string | null } | null = null;
  /** Hashes of the last lines: a statement may be signed while others are written. */
  const recent = new Map<number, string>();

  const say = (harmless: boolean, file: string, line: number | null, words: string): void => {
    const count = harmless ? ++notes : ++wrongs;
    if (count <= MOST_FINDINGS) findings.push({ harmless, file, line, words });
  };

  const chained = (file: string, line: AuditLine, text: string, seq: number, prev: string): void => {
    lines++;
    if (head.seq > 0 && seq <= head.seq) {
      say(false, file, line.number, `record ${seq} stands after record ${head.seq}: repeated, or moved from its place`);
      return;
    }
    const item = SAID.test(text) ? itemOf(line) : null;
    if (first === null) {
      first = { seq, prev, file, line: line.number };
      if (seq === 1 && prev !== before)
        say(false, file, line.number, changed('what stands before record 1', before, prev));
    } else if (seq > head.seq + 1) {
      const name = item?.kind === 'opening' ? `, and the file ${item.continues}` : '';
      say(false, file, line.number, `${missing(head.seq + 1, seq - 1, name)} before record ${seq}${oddWords(odd)}`);
    } else if (prev !== before && prev !== head.hash) {
      const at = headPlace ?? { file, line };
      say(false, at.file, at.line.number, changed(`record ${head.seq}`, head.hash, prev));
    } else if (odd.length > 0) {
      const named = prev === before;
      for (const one of odd) {
        const told = named ? `it was there when record ${seq} was written, which is the next` : 'it was put in later';
        say(named, one.file, one.line, `${one.problem}: ${told}; no record is missing here`);
      }
    }
    odd = [];
    const at = { seq: seq - 1, hash: prev };
    head = { seq, hash: line.hash };
    recent.set(seq, line.hash);
    recent.delete(seq - LATEST - 1);
    headPlace = { file, line };
    if (wanted.has(seq)) wanted.set(seq, line.hash);
    if (item?.kind === 'checkpoint') {
      const { problem, by, proves } = heard(item.checkpoint, at);
      if (proves) signed = { said: item.checkpoint, by };
      else if (problem !== null)
        say(false, file, line.number, `the checkpoint in record ${seq} is not valid: ${problem}`);
    } else if (item?.kind === 'retirement') {
      const { problem, by, proves } = heard(item.retirement, at);
      const odder = problem ?? retirementProblem(item.retirement, retired?.said ?? null);
      if (odder === null && proves) retired = { said: item.retirement, by };
      else if (odder !== null) say(false, file, line.number, `the retirement in record ${seq} is not valid: ${odder}`);
    }
  };

  /** What is wrong with a statement that stands after the line `at`, and whether it proves anything of what is here. */
  const heard = (said: Said, at: Head): { problem: string | null; by: string | null; proves: boolean } => {
    const { seq, hash } = said.record;
    const { problem, by } = judge(said);
    if (problem !== null) return { problem, by, proves: false };
    const is = seq === at.seq ? at.hash : seq === (first?.seq ?? 1) - 1 ? first?.prev : recent.get(seq);
    if (is === hash) return { problem: null, by, proves: true };
    // It was signed while others were written, and what it speaks of was retired with the file before.
    const gone = first !== null && seq < first.seq - 1 && at.seq - seq <= LATEST;
    return { problem: gone ? null : `it speaks of a record ${seq} that is not here`, by, proves: false };
  };

  for (const [place, file] of files.entries()) {
    for await (const line of auditLines(file, { hashed: true })) {
      const found = line.text === null ? null : placeOf(line.text);
      if (found !== null && line.ended) {
        chained(file, line, line.text ?? '', found.seq, found.prev);
      } else if (head.seq === 0) {
        unchained++;
        older.set(file, (older.get(file) ?? 0) + 1);
      } else {
        const problem = line.ended ? 'this line is no record' : 'this line was cut short by a crash or a full disk';
        // However many there are; the last one always.
        if (odd.length === MOST_FINDINGS) odd.pop();
        odd.push({ file, line: line.number, ended: line.ended, problem });
      }
      before = odd.length > 0 ? hashWith(before, line.hash) : line.hash;
    }
    const [last] = odd.slice(-1);
    if (place === files.length - 1 && last !== undefined) {
      const words = `${last.problem}, and no record stands after it${last.ended ? '' : ' yet'}`;
      say(!last.ended, file, last.line, words);
    }
  }

  const newest = headPlace as { file: string; line: AuditLine } | null;
  // Nothing names it yet. A newer certgate may have kinds of lines that this one does not know.
  if (newest !== null && objectIn(newest.line.text ?? '') === null)
    say(false, newest.file, newest.line.number, `record ${head.seq}, the last, was changed: it can't be read`);
  const begins = first as Beginning | null;
  const gone = retired as { said: Retirement; by: string | null } | null;
  const vouched = signed as { said: Checkpoint; by: string | null } | null;
  if (begins !== null && begins.seq > 1) {
    const { harmless, words } = frontWords(begins, gone?.said ?? null, options);
    if (words !== '') say(harmless, begins.file, begins.line, words);
    // Record 1 names what stood before it; once that is retired, nothing does.
    for (const [file, count] of older) {
      const own = file === begins.file;
      say(!own || options.partial === true, file, own ? 1 : null, olderWords(count, own ? begins.seq : null));
    }
  }
  for (const { from, checkpoint: said } of kept) {
    const { seq, hash } = said.record;
    const { problem } = judge(said);
    const firstSeq = begins?.seq ?? 0;
    const retiredTo = seq === gone?.said.to.seq ? gone.said.to.hash : '';
    const named = seq === firstSeq - 1 ? (begins?.prev ?? '') : retiredTo;
    const is = [wanted.get(seq) ?? '', named].find((one) => one !== '') ?? '';
    if (problem !== null) say(false, from, null, `the checkpoint is not valid: ${problem}`);
    else if (seq > head.seq) say(false, from, null, cutOff(said, head.seq));
    else if (seq > 0 && seq < firstSeq - 1 && is === '') {
      say(true, from, null, `it speaks of record ${seq}; the files that are here begin with ${firstSeq}`);
    } else if (seq > 0 && is !== hash) {
      const when = new Date(said.time).toISOString();
      say(false, from, null, changed(`record ${seq}, which was signed at ${when},`, is === '' ? 'missing' : is, hash));
    }
  }
  return {
    ...{ findings, files: files.length, lines, unchained, head, last: before },
    ...{ signed: vouched?.said ?? null, signedBy: vouched?.by ?? null },
    ...{ retired: gone?.said ?? null, retiredBy: gone?.by ?? null },
  };
}

/** A line that is no part of the chain. */
interface Odd {
  readonly file: string;
  readonly line: number;
  readonly ended: boolean;
  readonly problem: string;
}

interface Beginning {
  readonly seq: number;
  readonly prev: string;
  readonly file: string;
  readonly line: number;
}

/** What is to be said of a record that does not begin with its first line. Only what was retired may be missing there. */
function frontWords(
  { seq, prev }: Beginning,
  retired: Retirement | null,
  { judge, kept = [], start, partial = false }: VerifyOptions,
): { readonly harmless: boolean; readonly words: string } {
  const is = (head: Head): boolean => head.seq === seq - 1 && head.hash === prev;
  if (start !== undefined && is(start)) return { harmless: true, words: '' };
  const to = retired?.to.seq ?? 0;
  if (retired !== null && is(retired.to)) return { harmless: true, words: '' };
  if (to >= seq) {
    const words = `records ${seq} to ${to} were retired too, and are still here: a gate removes them when it starts`;
    return { harmless: true, words };
  }
  if (to === seq - 1 && to > 0) {
    return {
      harmless: false,
      words: changed(`record ${to}, up to which the gate has retired,`, prev, retired?.to.hash ?? ''),
    };
  }
  if (kept.some(({ checkpoint }) => is(checkpoint.record) && judge(checkpoint).problem === null)) {
    return { harmless: true, words: `${missing(1, seq - 1)}: a checkpoint that was kept vouches for the last of them` };
  }
  const since = to > 0 ? `: the gate has retired what is before record ${to + 1}, and no more` : '';
  const words = `${missing(to + 1, seq - 1)}${since}: the chain begins here with record ${seq}, and the files before it are not among those verified`;
  return { harmless: partial, words };
}

/** Of lines without a number; `seq` of the record that they stand before in its file. */
function olderWords(count: number, seq: number | null): string {
  const lines = count === 1 ? 'line' : 'lines';
  return seq === null
    ? `${count} ${lines} without a number: what vouched for them was retired, so that anybody may have written them`
    : `${count} ${lines} without a number before record ${seq}: put in later, or nothing says what they are`;
}

/** What is wrong with a retirement of which the signature is right; `before` is the one that stands before it. */
function retirementProblem({ from, to, record }: Retirement, before: Retirement | null): string | null {
  if (from > to.seq || to.seq > record.seq) return `it speaks of records ${from} to ${to.seq} of ${record.seq}`;
  if (before !== null && to.seq < before.to.seq) {
    return `it ends with record ${to.seq}, and the one before it with ${before.to.seq}: it is of an earlier time`;
  }
  return null;
}

function missing(from: number, to: number, also = ''): string {
  return from === to && also === ''
    ? `record ${from} is missing`
    : from === to
      ? `record ${from}${also} are missing`
      : `records ${from} to ${to}${also} are missing`;
}

function changed(what: string, is: string, named: string): string {
  return `${what} was changed: its SHA-256 is ${is}, and the record that follows or the checkpoint has ${named}`;
}

function cutOff({ time, record }: Checkpoint, seq: number): string {
  return `${missing(seq + 1, record.seq)} at the end: record ${record.seq} was signed at ${new Date(time).toISOString()}`;
}

function oddWords(odd: readonly Odd[]): string {
  if (odd.length === 0) return '';
  return `; ${odd.map(({ file, line }) => `${basename(file)}:${line} is no record`).join(', ')}`;
}
