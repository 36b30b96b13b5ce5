// Reads bytes as Go's net/http does: one Go process, built from ./go into .cache once for each of its sources, and fed many
// cases, one line each.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { base64, startAsking } from './asking.ts';
import type { AnswerParser, Parser, Seen, SeenAnswers } from './seen.ts';

const SOURCES = new URL('./go/', import.meta.url).pathname;
const CACHE = new URL('../../../.cache/go-reader/', import.meta.url).pathname;

export interface GoParser {
  readonly request: Parser;
  readonly answer: AnswerParser;
  stop(): Promise<void>;
}

/** Starts it, or says why it can't be. */
export async function startGoParser(): Promise<GoParser | string> {
  const program = await builtReader();
  if (program.path === null) return program.why;
  const reader = startAsking(program.path, []);
  return {
    async request(pieces) {
      const seen = (await reader.ask(base64(pieces))) as Seen;
      const requests = inWireOrder(pieces, seen.requests, (one, wire, from) =>
        wire.indexOf(`${one.method} ${one.target} HTTP/`, from),
      );
      return { requests, refused: seen.refused, rest: seen.rest === null ? null : fromBase64(seen.rest) };
    },
    async answer(methods, pieces) {
      const seen = (await reader.ask({ to: methods, pieces: base64(pieces) })) as SeenAnswers;
      const answers = inWireOrder(pieces, seen.answers, (one, wire, from) => {
        const at = wire.slice(from).search(new RegExp(`HTTP/1\\.[01] ${one.status}\\b`));
        return from + at;
      });
      return { answers, refused: seen.refused };
    },
    stop: async () => await reader.stop(),
  };
}

function fromBase64(text: string): string {
  return Buffer.from(text, 'base64').toString('latin1');
}

interface Message {
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  readonly body: string;
}

/**
 * Go keeps header lines by their names. Each message's are put where their names stand behind `begin`; what has no place there
 * comes last, and shows.
 */
function inWireOrder<M extends Message>(
  pieces: readonly Buffer[],
  messages: readonly M[],
  begin: (message: M, wire: string, from: number) => number,
): M[] {
  const wire = Buffer.concat(pieces).toString('latin1');
  let at = 0;
  return messages.map((message) => {
    const from = begin(message, wire, at);
    const end = wire.indexOf('\r\n\r\n', from);
    // A body may look like the next head; in chunks it has more bytes than this.
    at = end + 4 + message.body.length;
    const left = [...message.headers];
    const placed = wire
      .slice(from, end)
      .split('\r\n')
      .slice(1)
      .flatMap((line) => {
        const name = line.slice(0, line.indexOf(':')).toLowerCase();
        const place = left.findIndex(([one]) => one === name);
        return place < 0 ? [] : left.splice(place, 1);
      });
    return { ...message, headers: [...placed, ...left] };
  });
}

/** Where Go is; undefined for nowhere. */
export function goProgram(): string | undefined {
  return [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/go/bin']
    .map((folder) => join(folder, 'go'))
    .find(existsSync);
}

type Reader = { readonly path: string; readonly why: null } | { readonly path: null; readonly why: string };

async function builtReader(): Promise<Reader> {
  const hash = createHash('sha256');
  for (const name of globSync('*', { cwd: SOURCES }).toSorted()) hash.update(readFileSync(join(SOURCES, name)));
  const path = join(CACHE, hash.digest('hex').slice(0, 16));
  if (existsSync(path)) return { path, why: null };
  const go = goProgram();
  if (go === undefined) return { path: null, why: 'no Go on this machine: install Go 1.22 or newer' };
  mkdirSync(CACHE, { recursive: true });
  const own = `${path}.${process.pid}`;
  try {
    // As set-up builds Go's programs, of which the standard library is in Go's cache then.
    await promisify(execFile)(
      go,
      ['build', '-C', SOURCES, '-trimpath', '-buildvcs=false', '-gcflags=all=-N -l', '-o', own],
      { env: { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly' } },
    );
  } catch (error) {
    return { path: null, why: `Go cannot build the reader here: ${String((error as { stderr?: unknown }).stderr)}` };
  }
  renameSync(own, path);
  return { path, why: null };
}
