// Every parser there is, as servers read requests and as clients read answers: llhttp (node:http) always, h11, httptools and,
// for answers, http.client where there is a Python with Prefect, net/http where there is Go.

import { startGoParser } from './go.ts';
import { llhttpAnswerParser, llhttpParser } from './llhttp.ts';
import type { AnswerParser, Parser, Seen } from './seen.ts';
import { startUvicornParsers, uvicornPython } from './uvicorn.ts';

export interface AllParsers {
  readonly requests: ReadonlyMap<string, Parser>;
  readonly answers: ReadonlyMap<string, AnswerParser>;
  stop(): Promise<void>;
}

/** Starts them, and says on stderr which are missing and why. */
export async function startAllParsers(): Promise<AllParsers> {
  const requests = new Map<string, Parser>([['llhttp', llhttpParser()]]);
  const answers = new Map<string, AnswerParser>([['llhttp', llhttpAnswerParser()]]);
  const stops: Array<() => Promise<void>> = [];
  if (uvicornPython === null) {
    skipped(
      'h11 and httptools',
      'no Python with Prefect at .cache/prefect/bin/python; set CERTGATE_TEST_PREFECT_PYTHON',
    );
  } else {
    const uvicorn = await startUvicornParsers(uvicornPython);
    for (const [name, parser] of uvicorn.parsers) requests.set(name, parser);
    for (const [name, parser] of uvicorn.answerParsers) answers.set(name, parser);
    for (const [name, why] of Object.entries(uvicorn.missing)) skipped(name, `it is not installed (${why})`);
    stops.push(async () => await uvicorn.stop());
  }
  const go = await startGoParser();
  if (typeof go === 'string') {
    skipped('net/http', go);
  } else {
    requests.set('net/http', go.request);
    answers.set('net/http', go.answer);
    stops.push(async () => await go.stop());
  }
  return {
    requests,
    answers,
    stop: async () => {
      for (const stop of stops) await stop();
    },
  };
}

/** What each of the parsers sees in `pieces`. They are processes of their own, and read at the same time. */
export async function seenByEach(
  parsers: ReadonlyMap<string, Parser>,
  pieces: readonly Buffer[],
): Promise<ReadonlyArray<readonly [parser: string, seen: Seen]>> {
  return await Promise.all([...parsers].map(async ([name, read]) => [name, await read(pieces)] as const));
}

function skipped(parser: string, why: string): void {
  process.stderr.write(`skipped: http1 against ${parser}: ${why}\n`);
}
