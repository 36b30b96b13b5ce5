// Every raw message of the corpus has its verdict, in whatever pieces it comes, and what is passed on is one message to
// every parser.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answerProblem, answerVerdict, type Exchanges, openExchanges } from './answer-oracle.ts';
import { readCorpus } from './corpus.ts';
import { type AllParsers, startAllParsers } from './parsers/all.ts';
import { cutAt } from './read.ts';
import { requestProblem, verdictOf } from './request-oracle.ts';

const files = readCorpus();
let parsers: AllParsers;
let exchanges: Exchanges;
beforeAll(async () => {
  parsers = await startAllParsers();
  exchanges = await openExchanges();
});
afterAll(async () => {
  await exchanges.close();
  await parsers.stop();
});

const everywhere = (bytes: Buffer): Buffer[] => cutAt(bytes, Array.from(bytes.keys()));
const inThirds = (bytes: Buffer): Buffer[] =>
  cutAt(bytes, [Math.floor(bytes.length / 3), Math.floor((bytes.length * 2) / 3)]);

test('the corpus has messages of every verdict', () => {
  const verdicts = new Set(files.map(({ kind, verdict }) => `${kind} ${verdict}`));
  for (const verdict of ['accepted', 'incomplete', '400', '417', '426', '431', '501', '505']) {
    expect(verdicts).toContain(`request ${verdict}`);
  }
  for (const verdict of ['accepted', 'refused', 'broken']) expect(verdicts).toContain(`answer ${verdict}`);
});

describe('a request', () => {
  test.each(files.filter(({ kind }) => kind === 'request').map((file) => [file.path, file] as const))(
    '%s',
    async (_path, { bytes, verdict }) => {
      if (verdict !== 'findings') expect(String(verdictOf(bytes))).toBe(verdict);
      for (const pieces of [[bytes], inThirds(bytes), everywhere(bytes)]) {
        expect(await requestProblem(parsers, pieces)).toBeNull();
      }
    },
  );
});

describe('an answer', () => {
  test.each(files.filter(({ kind }) => kind === 'answer').map((file) => [file.path, file] as const))(
    '%s',
    async (_path, { bytes, verdict, method }) => {
      if (verdict !== 'findings') expect(await answerVerdict(exchanges, method, bytes)).toBe(verdict);
      for (const pieces of [[bytes], inThirds(bytes), everywhere(bytes)]) {
        expect(await answerProblem(parsers, exchanges, method, pieces)).toBeNull();
      }
    },
  );
});
