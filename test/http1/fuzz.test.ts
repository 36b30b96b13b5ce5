// A short run of scripts/fuzz, and that its oracles find what is wrong.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fuzz } from '../../scripts/fuzz-steps/fuzz.ts';
import { mutate } from '../../scripts/fuzz-steps/mutate.ts';
import { randomOf } from '../../scripts/fuzz-steps/random.ts';
import { answerProblem } from './answer-oracle.ts';
import { type AllParsers, startAllParsers } from './parsers/all.ts';
import { latin1, requestWith } from './read.ts';
import { requestProblem } from './request-oracle.ts';

test('3,000 changed messages: what is passed on means the same to every parser', async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  process.stderr.write(`again: scripts/fuzz --seed ${seed} --cases 3000\n`);
  const { figures, findings } = await fuzz({ seed, cases: 3_000, milliseconds: Number.POSITIVE_INFINITY });
  expect(findings).toEqual([]);
  expect(figures.accepted).toBeGreaterThan(500);
  expect(figures.refused).toBeGreaterThan(500);
});

test('the same seed changes the same message in the same way', () => {
  const [one, other] = [randomOf(7), randomOf(7)];
  const text = requestWith('Content-Length: 5\r\n');
  for (let i = 0; i < 200; i++) expect(mutate(text, text, one)).toBe(mutate(text, text, other));
});

describe('the oracles find', () => {
  let parsers: AllParsers;
  beforeAll(async () => {
    parsers = await startAllParsers();
  });
  afterAll(async () => await parsers.stop());

  test('a parser behind the gate that sees another request', async () => {
    const blind = async () => ({ requests: [], refused: null, rest: null });
    const some: AllParsers = { ...parsers, requests: new Map([['blind', blind]]) };
    expect(await requestProblem(parsers, [latin1(requestWith(''))])).toBeNull();
    expect(await requestProblem(some, [latin1(requestWith(''))])).toContain('blind behind the gate saw');
  });

  const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi';
  test.each<[string, string, string, boolean]>([
    ['a split answer', OK, `${OK}${OK}`, true],
    ['a header that was not meant', OK, OK.replace('\r\n', '\r\nset-cookie: a=b\r\n'), true],
    ['another status', OK, OK.replace('200', '201'), true],
    ['another body', OK, OK.replace('hi', 'ho'), true],
    ['a broken answer that looks whole', OK.slice(0, -1), OK, false],
    ['a whole answer of half of one', OK.slice(0, -1), OK, true],
    ['an answer that is none', 'HTTP/1.1 200 OK\nx: y\n\n', OK, true],
  ])('%s', async (_what, sent, text, whole) => {
    const exchanges = { exchange: async () => ({ text, whole }), close: async () => {} };
    expect(await answerProblem(parsers, exchanges, 'GET', [latin1(sent)])).not.toBeNull();
  });
});
