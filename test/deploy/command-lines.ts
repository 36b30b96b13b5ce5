// Whether a container of ours, its probes included, runs commands of certgate that there are, with flags and variables that
// these know: asked of the program itself.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { CommandIo } from '../../src/cli/io.ts';
import { buildProgram } from '../../src/cli/program.ts';
import type { Container } from './pods.ts';
import { root } from './tools.ts';

const io = { env: {}, cwd: root } as unknown as CommandIo;
const documented = readFileSync(join(root, 'docs/configuration.md'), 'utf8');

/** Words of command lines, and names of variables, that certgate does not know. */
export async function unknownWords(container: Container): Promise<string[]> {
  const { command, args, env = [], startupProbe, livenessProbe, readinessProbe } = container;
  const probes = [startupProbe, livenessProbe, readinessProbe].flatMap((probe) =>
    probe?.exec ? [probe.exec.command] : [],
  );
  const lines = [...(command === undefined ? [['certgate', ...(args ?? [])]] : [command]), ...probes];
  const variables = env.map(({ name }) => name).filter((name) => name.startsWith('CERTGATE_'));
  return [
    ...(await Promise.all(lines.map(unknownIn))).flat(),
    ...variables.filter((name) => !documented.includes(`\`${name}\``)),
  ];
}

/** Of one command line: `certgate …`, or a shell's script that has it; anything else is not certgate's. */
export async function unknownIn(line: readonly string[]): Promise<string[]> {
  const script = line[0] === 'sh' ? (line[2] ?? '') : '';
  const inScript = /certgate (init|serve|connect)( .*)?$/.exec(script);
  const words =
    inScript === null ? line : ['certgate', inScript[1] ?? '', ...(inScript[2] ?? '').split(' '), ...line.slice(4)];
  if (words[0]?.split('/').at(-1) !== 'certgate') return line[0] === 'sh' ? [`no certgate in ${script}`] : [];
  const program = await buildProgram(io);
  let at: Command = program;
  const rest = words.slice(1);
  while (rest[0] !== undefined && !rest[0].startsWith('-')) {
    const sub = at.commands.find((one) => one.name() === rest[0]);
    if (sub === undefined) break;
    at = sub;
    rest.shift();
  }
  if (at === program) return [`no command in ${words.join(' ')}`];
  const known = [...at.options, ...program.options].flatMap(({ long }) => long ?? []);
  const mine = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest;
  return mine.filter((word) => word.startsWith('--') && !known.includes(word));
}
