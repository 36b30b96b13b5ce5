// The commands that a page prints, taken from its own code blocks and run as a person pastes them, so that the page cannot say
// what does not work. Only addresses and names may be put in, and a block that is not there fails the test.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { certgateCommand } from './house.ts';
import { finish, type Running, start } from './processes.ts';

const root = resolve(import.meta.dirname, '../../..');

/** The blocks of shell commands below a heading of `page`, of whatever level, up to the next of the same or a higher one. */
export function shellBlocks(page: string, heading: string): readonly string[] {
  const lines = readFileSync(join(root, page), 'utf8').split('\n');
  const at = lines.findIndex((line) => /^#+ /.test(line) && line.replace(/^#+ /, '') === heading);
  const level = /^#+/.exec(lines[at] ?? '')?.[0].length ?? 0;
  const rest = lines.slice(at + 1);
  const end = rest.findIndex((line) => level >= (/^#{1,6}(?= )/.exec(line)?.[0].length ?? 7));
  const section = rest.slice(0, end === -1 ? undefined : end).join('\n');
  const blocks = [...section.matchAll(/^```(?:ba)?sh\n(.*?)^```$/gms)].map(([, text = '']) => text);
  if (level === 0 || blocks.length === 0) throw new Error(`${page} has no commands below "${heading}"`);
  return blocks;
}

/** A folder with a `certgate` in it that is run from the sources, to be put on PATH. */
export function certgateOnPath(dir: string): string {
  const [node, [main = '']] = certgateCommand([]);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'certgate'), `#!/bin/sh\nexec '${node}' '${main}' "$@"\n`, { mode: 0o755 });
  return dir;
}

/** A terminal: where commands are pasted, and with which environment. */
export interface Terminal {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

// No rc file: bash reads one where its standard input is a socket, as under rsh.
/** Runs commands to their end, and answers both streams; fails unless each of them does well. */
export async function paste(
  commands: string,
  { cwd, env }: Terminal,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const ran = await finish('bash', ['--norc', '-euo', 'pipefail', '-c', commands], { env, cwd });
  if (ran.code === 0) return ran;
  throw new Error(`${commands}\nended with ${ran.code ?? ran.signal}\n${ran.stdout}\n${ran.stderr}`);
}

/** Runs one that goes on. */
export function pasteAndLeave(commands: string, { cwd, env }: Terminal): Running {
  return start('bash', ['--norc', '-euo', 'pipefail', '-c', `exec ${commands.trim()}`], { env, cwd });
}
