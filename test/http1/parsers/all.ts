// Every parser there is, as servers read requests and as clients read answers: llhttp (node:http) always, h11 and
// httptools where there is a Python with Prefect.

import { llhttpAnswerParser, llhttpParser } from './llhttp.ts';
import type { AnswerParser, Parser } from './seen.ts';
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
  if (uvicornPython === null) {
    process.stderr.write(
      'skipped: http1 against h11 and httptools: no Python with Prefect at .cache/prefect/bin/python; set CERTGATE_TEST_PREFECT_PYTHON\n',
    );
    return { requests, answers, stop: async () => {} };
  }
  const uvicorn = await startUvicornParsers(uvicornPython);
  for (const [name, parser] of uvicorn.parsers) requests.set(name, parser);
  for (const [name, parser] of uvicorn.answerParsers) answers.set(name, parser);
  for (const [name, why] of Object.entries(uvicorn.missing)) {
    process.stderr.write(`skipped: http1 against ${name}: it is not installed (${why})\n`);
  }
  return { requests, answers, stop: async () => await uvicorn.stop() };
}
