// The loop: take a message, change it, see whether the promises of test/http1/request-oracle.ts and answer-oracle.ts hold.
// Messages that were accepted are kept and changed further, so that a run walks away from where it began. The same seed
// over the same corpus is the same run.

import { answerProblem, type Exchanges, openExchanges } from '../../test/http1/answer-oracle.ts';
import { readCorpus } from '../../test/http1/corpus.ts';
import { type AllParsers, startAllParsers } from '../../test/http1/parsers/all.ts';
import { cutAt, latin1 } from '../../test/http1/read.ts';
import { requestProblem, verdictOf } from '../../test/http1/request-oracle.ts';
import { mutate } from './mutate.ts';
import { type Random, randomOf } from './random.ts';

export interface FuzzOptions {
  readonly seed: number;
  /** Whichever comes first. */
  readonly milliseconds: number;
  readonly cases: number;
  /** Called now and then. */
  readonly progress?: (figures: FuzzFigures) => void;
}

export interface FuzzFigures {
  readonly cases: number;
  /** Requests and answers of which something was passed on. */
  readonly accepted: number;
  readonly refused: number;
}

export interface Finding {
  readonly kind: 'request' | 'answer';
  readonly method: string;
  /** latin1, made small. */
  readonly text: string;
  readonly problem: string;
  /** The number of the case, from 1. */
  readonly at: number;
}

const MOST_KEPT = 500;
const MOST_FINDINGS = 10;

/** Fuzzes until the time or the cases are over, or ten findings were made. */
export async function fuzz(options: FuzzOptions): Promise<{ figures: FuzzFigures; findings: readonly Finding[] }> {
  const parsers = await startAllParsers();
  const exchanges = await openExchanges();
  const random = randomOf(options.seed);
  const corpus = readCorpus().filter(({ verdict }) => verdict !== 'findings');
  const kept = {
    request: corpus.filter(({ kind }) => kind === 'request').map(({ bytes }) => bytes.toString('latin1')),
    answer: corpus.filter(({ kind }) => kind === 'answer').map(({ bytes }) => bytes.toString('latin1')),
  };
  const most = { request: kept.request.length + MOST_KEPT, answer: kept.answer.length + MOST_KEPT };
  const findings: Finding[] = [];
  const figures = { cases: 0, accepted: 0, refused: 0 };
  const end = performance.now() + options.milliseconds;
  let told = performance.now();
  try {
    while (figures.cases < options.cases && performance.now() < end && findings.length < MOST_FINDINGS) {
      figures.cases++;
      // An answer costs a connection or two, a request none.
      const kind = random.oneIn(6) ? 'answer' : 'request';
      const pool = kept[kind];
      const text = mutate(pool[random.below(pool.length)] ?? '', pool[random.below(pool.length)] ?? '', random);
      const method = kind === 'answer' && random.oneIn(8) ? 'HEAD' : 'GET';
      const pieces = cutSomewhere(latin1(text), random);
      const problem = await problemOf(parsers, exchanges, kind, method, pieces);
      if (problem !== null)
        findings.push(await small(parsers, exchanges, { kind, method, text, problem, at: figures.cases }));
      const passed = kind === 'answer' ? problem === null : verdictOf(latin1(text)) === 'accepted';
      if (passed) {
        figures.accepted++;
        if (random.oneIn(4)) {
          if (pool.length < most[kind]) pool.push(text);
          else pool[most[kind] - 1 - random.below(MOST_KEPT)] = text;
        }
      } else figures.refused++;
      if (performance.now() - told > 10_000) {
        told = performance.now();
        options.progress?.({ ...figures });
      }
    }
  } finally {
    await exchanges.close();
    await parsers.stop();
  }
  return { figures, findings };
}

function cutSomewhere(bytes: Buffer, random: Random): Buffer[] {
  const cuts = Array.from({ length: random.below(5) }, () => random.below(Math.max(bytes.length, 1)));
  return cutAt(bytes, cuts);
}

async function problemOf(
  parsers: AllParsers,
  exchanges: Exchanges,
  kind: 'request' | 'answer',
  method: string,
  pieces: readonly Buffer[],
): Promise<string | null> {
  try {
    return kind === 'request'
      ? await requestProblem(parsers, pieces)
      : await answerProblem(parsers, exchanges, method, pieces);
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? ` ${error.cause.stack}` : '';
    return `thrown: ${error instanceof Error ? error.message : String(error)}${cause}`;
  }
}

/** The finding with as much left out as it bears: halves, quarters, … single bytes. */
async function small(parsers: AllParsers, exchanges: Exchanges, finding: Finding): Promise<Finding> {
  let best = finding;
  for (let size = Math.ceil(finding.text.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < best.text.length; ) {
      const text = best.text.slice(0, at) + best.text.slice(at + size);
      const problem = await problemOf(parsers, exchanges, finding.kind, finding.method, [latin1(text)]);
      if (problem === null) at += size;
      else best = { ...best, text, problem };
    }
  }
  return best;
}
