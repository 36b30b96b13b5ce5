// Reads bytes as uvicorn's parsers h11 and httptools do: one Python process, fed many cases, one line each. The Python
// is CERTGATE_TEST_PREFECT_PYTHON, else the one the set-up script installs, else /tmp/prefect.

import { existsSync } from 'node:fs';
import { base64, startAsking } from './asking.ts';
import type { AnswerParser, Parser, Seen, SeenAnswers } from './seen.ts';

const REPOSITORY = new URL('../../../', import.meta.url).pathname;
const SCRIPT = new URL('./uvicorn_parsers.py', import.meta.url).pathname;

function existing(...candidates: ReadonlyArray<string | undefined>): string[] {
  return candidates.filter((path) => path !== undefined).filter((path) => existsSync(path));
}

const pythons = existing(
  process.env['CERTGATE_TEST_PREFECT_PYTHON'],
  `${REPOSITORY}.cache/prefect/bin/python`,
  '/tmp/prefect/bin/python',
);
/** Folders of more Python packages, for its path. */
export const uvicornExtras: readonly string[] = existing(
  process.env['CERTGATE_TEST_PREFECT_EXTRAS'],
  `${REPOSITORY}.cache/prefect-extras`,
  '/tmp/prefect-extras',
);

/** The Python that has Prefect, and so uvicorn; null for none. */
export const uvicornPython: string | null = pythons[0] ?? null;

export interface UvicornParsers {
  /** By name: `h11`, `httptools`. */
  readonly parsers: ReadonlyMap<string, Parser>;
  /** The same as clients, reading answers, and `http.client`. */
  readonly answerParsers: ReadonlyMap<string, AnswerParser>;
  /** Why a parser is not among them. */
  readonly missing: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

interface Line {
  readonly requests: Seen['requests'];
  readonly refused: string | null;
  readonly rest: string | null;
}

/** Starts the process. One case at a time: all parsers read it together, the answer is kept until the next case. */
export async function startUvicornParsers(python: string): Promise<UvicornParsers> {
  const reader = startAsking(python, [SCRIPT, ...uvicornExtras]);
  const { found, clients, missing } = (await reader.next()) as {
    readonly found: readonly string[];
    readonly clients: readonly string[];
    readonly missing: Record<string, string>;
  };
  const parsers = new Map<string, Parser>();
  for (const name of found) {
    parsers.set(name, async (pieces) => {
      const line = ((await reader.ask(base64(pieces))) as Record<string, Line>)[name];
      if (line === undefined) throw new Error(`no answer from ${name}`);
      return { ...line, rest: line.rest === null ? null : Buffer.from(line.rest, 'base64').toString('latin1') };
    });
  }
  const answerParsers = new Map<string, AnswerParser>();
  for (const name of clients) {
    answerParsers.set(name, async (methods, pieces) => {
      const answer = (await reader.ask({ to: methods, pieces: base64(pieces) })) as Record<string, SeenAnswers | null>;
      return answer[name] ?? null;
    });
  }
  return {
    parsers,
    answerParsers,
    missing,
    stop: async () => await reader.stop(),
  };
}
