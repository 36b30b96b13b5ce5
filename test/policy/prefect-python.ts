// The Python that has Prefect, for tests that ask the real thing: CERTGATE_TEST_PREFECT_PYTHON, else the one the set-up
// script installs. A script started here speaks JSON, one value a line, and ends when its standard input does.

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

const REPOSITORY = new URL('../../', import.meta.url).pathname;
const PYTHONS = [process.env['CERTGATE_TEST_PREFECT_PYTHON'], `${REPOSITORY}.cache/prefect/bin/python`];
const EXTRAS = [process.env['CERTGATE_TEST_PREFECT_EXTRAS'], `${REPOSITORY}.cache/prefect-extras`];

/** The interpreter, or why there is none. */
export const prefectPython: { readonly path: string } | { readonly missing: string } = (() => {
  const path = PYTHONS.find((candidate) => candidate !== undefined && existsSync(candidate));
  if (path !== undefined) return { path };
  return {
    missing: `no Python with Prefect at .cache/prefect/bin/python: run ./scripts/test once, or set CERTGATE_TEST_PREFECT_PYTHON`,
  };
})();

/** Folders with uvicorn parsers that Prefect itself does not install (httptools, wsproto). */
export const parserFolders: readonly string[] = EXTRAS.filter(
  (folder) => folder !== undefined && existsSync(folder),
).map(String);

export interface PythonScript {
  /** Writes a value if one is given, and reads the next line's. Rejects with the script's stderr when it has ended. */
  ask(question?: unknown): Promise<unknown>;
  stop(): Promise<void>;
}

/** Starts test/policy/prefect/NAME with the found Python. */
export function startScript(python: string, name: string, ...args: readonly string[]): PythonScript {
  const file = new URL(`./prefect/${name}`, import.meta.url).pathname;
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(python, [file, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-4000);
  });
  child.stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async ask(question) {
      if (question !== undefined) child.stdin.write(`${JSON.stringify(question)}\n`);
      const next = await lines.next();
      if (next.done === true) throw new Error(`${name} ended: ${words}`);
      return JSON.parse(next.value) as unknown;
    },
    async stop() {
      child.stdin.end();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}
