// Whether a record is the one that was written: goes through its files, oldest first, and says of every line that was
// changed, taken out, put in or moved which one it is and what stood there. What was cut off at the end can only be told by
// a checkpoint that is kept elsewhere. A line that a crash tore is no tampering: the line after it names it.

import { basename } from 'node:path';
import { type Head, placeOf, START } from './audit-chain.ts';
import type { Checkpoint } from './audit-checkpoint.ts';
import { type AuditLine, auditLines, itemOf } from './audit-reader.ts';
import { LATEST } from './audit-signing.ts';

/** Something that is not as it was written; or, with `harmless`, that one should know. */
export interface Finding {
  readonly harmless: boolean;
  readonly file: string;
  /** From 1; null when it is about no line. */
  readonly line: number | null;
  readonly words: string;
}

export interface Verdict {
  readonly findings: readonly Finding[];
  readonly files: number;
  /** Lines of the chain. */
  readonly lines: number;
  /** Lines before the chain begins. */
  readonly unchained: number;
  /** The newest line. */
  readonly head: Head;
  /** The newest checkpoint whose signature is right and that speaks of what is here. */
  readonly signed: Checkpoint | null;
}

export interface VerifyOptions {
  /** Null when the checkpoint's signature is right, else what is wrong. */
  readonly judge: (checkpoint: Checkpoint) => string | null;
  /** Checkpoints that are kept elsewhere: what they speak of must be here. */
  readonly kept?: ReadonlyArray<{ readonly from: string; readonly checkpoint: Checkpoint }>;
}

/** Longest list of findings: who has rewritten everything need not be told so for every line. */
const MOST_FINDINGS = 100;

/** How a line of a checkpoint begins. */
const CHECKPOINT = /^\{"time":\d+,"checkpoint":\{/;

/** CG_AUDIT_UNREADABLE when a file can't be read. */
export async function verifyAudit(files: readonly string[], options: VerifyOptions): Promise<Verdict> {
  const { judge, kept = [] } = options;
  const findings: Finding[] = [];
  const wanted = new Map(kept.map(({ checkpoint }) => [checkpoint.record.seq, '']));
  let [lines, unchained, first] = [0, 0, 0];
  let head: Head = START;
  /** Of the line before, whatever it was. */
  let before = START.hash;
  let headPlace: { file: string; line: number } | null = null;
  /** Lines that are no part of the chain, and that the next one has to name. */
  let odd: Array<{ file: string; line: AuditLine; problem: string }> = [];
  let signed: Checkpoint | null = null;
  /** Hashes of the last lines: a checkpoint may be signed while others are written. */
  const recent = new Map<number, string>();

  const say = (harmless: boolean, file: string, line: number | null, words: string): void => {
    if (findings.length < MOST_FINDINGS) findings.push({ harmless, file, line, words });
  };

  const chained = (file: string, line: AuditLine, text: string, seq: number, prev: string): void => {
    lines++;
    if (head.seq > 0 && seq <= head.seq) {
      say(false, file, line.number, `record ${seq} stands after record ${head.seq}: repeated, or moved from its place`);
      return;
    }
    if (head.seq === 0) {
      first = seq;
      if (seq > 1) say(anchored(seq, prev), file, line.number, beginning(seq));
      else if (prev !== before) say(false, file, line.number, changed('what stands before record 1', before, prev));
    } else if (seq > head.seq + 1) {
      say(false, file, line.number, `${missing(head.seq + 1, seq - 1)} before record ${seq}${oddWords(odd)}`);
    } else if (prev !== before && prev !== head.hash) {
      const at = headPlace ?? { file, line: line.number };
      say(false, at.file, at.line, changed(`record ${head.seq}`, head.hash, prev));
    } else if (odd.length > 0) {
      const named = prev === before;
      for (const one of odd) {
        const told = named ? `it was there when record ${seq} was written, which is the next` : 'it was put in later';
        say(named, one.file, one.line.number, `${one.problem}: ${told}; no record is missing here`);
      }
    }
    odd = [];
    head = { seq, hash: line.hash };
    recent.set(seq, line.hash);
    recent.delete(seq - LATEST - 1);
    headPlace = { file, line: line.number };
    if (wanted.has(seq)) wanted.set(seq, line.hash);
    const item = CHECKPOINT.test(text) ? itemOf(line) : null;
    if (item?.kind === 'checkpoint') checkpoint(file, line.number, item.checkpoint, { seq: seq - 1, hash: prev });
  };

  const checkpoint = (file: string, line: number, said: Checkpoint, at: Head): void => {
    const { seq, hash } = said.record;
    const is = seq === at.seq ? at.hash : recent.get(seq);
    const problem = judge(said) ?? (is === hash ? null : `it speaks of a record ${seq} that is not here`);
    if (problem !== null) say(false, file, line, `the checkpoint in record ${at.seq + 1} is not valid: ${problem}`);
    else signed = said;
  };

  const anchored = (seq: number, prev: string): boolean =>
    kept.some(({ checkpoint: { record } }) => record.seq >= seq || (record.seq === seq - 1 && record.hash === prev));

  for (const [place, file] of files.entries()) {
    for await (const line of auditLines(file, { hashed: true })) {
      const found = line.text === null ? null : placeOf(line.text);
      if (found !== null && line.ended) {
        chained(file, line, line.text ?? '', found.seq, found.prev);
      } else if (head.seq === 0) {
        unchained++;
      } else {
        const problem = line.ended ? 'this line is no record' : 'this line was cut short by a crash or a full disk';
        odd.push({ file, line, problem });
      }
      before = line.hash;
    }
    const [last] = odd.slice(-1);
    if (place === files.length - 1 && last !== undefined) {
      say(
        !last.line.ended,
        file,
        last.line.number,
        `${last.problem}, and no record stands after it${last.line.ended ? '' : ' yet'}`,
      );
    }
  }

  for (const { from, checkpoint: said } of kept) {
    const { seq, hash } = said.record;
    const problem = judge(said);
    if (problem !== null) say(false, from, null, `the checkpoint is not valid: ${problem}`);
    else if (seq > head.seq) say(false, from, null, cutOff(said, head.seq));
    else if (seq > 0 && seq >= first && wanted.get(seq) !== hash) {
      say(
        false,
        from,
        null,
        changed(
          `record ${seq}, which was signed at ${new Date(said.time).toISOString()},`,
          wanted.get(seq) ?? 'missing',
          hash,
        ),
      );
    } else if (seq > 0 && seq < first - 1) {
      say(true, from, null, `it speaks of record ${seq}; the files that are here begin with ${first}`);
    }
  }
  return { findings, files: files.length, lines, unchained, head, signed };
}

function missing(from: number, to: number): string {
  return from === to ? `record ${from} is missing` : `records ${from} to ${to} are missing`;
}

function beginning(seq: number): string {
  return `${missing(1, seq - 1)}: the chain begins here with record ${seq}, and the files before it are not among those verified`;
}

function changed(what: string, is: string, named: string): string {
  return `${what} was changed: its SHA-256 is ${is}, and the record that follows or the checkpoint has ${named}`;
}

function cutOff({ time, record }: Checkpoint, seq: number): string {
  return `${missing(seq + 1, record.seq)} at the end: record ${record.seq} was signed at ${new Date(time).toISOString()}`;
}

function oddWords(odd: ReadonlyArray<{ file: string; line: AuditLine }>): string {
  if (odd.length === 0) return '';
  return `; ${odd.map(({ file, line }) => `${basename(file)}:${line.number} is no record`).join(', ')}`;
}
