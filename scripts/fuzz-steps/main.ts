// The command line of scripts/fuzz: reads the options, runs, writes findings into the corpus, prints what came of it.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CORPUS } from '../../test/http1/corpus.ts';
import { type FuzzFigures, fuzz } from './fuzz.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string' }, seed: { type: 'string' }, cases: { type: 'string' } },
});

function numberOf(name: 'minutes' | 'seed' | 'cases', fallback: number): number {
  const text = values[name];
  const number = text === undefined ? fallback : Number(text);
  if (!Number.isFinite(number) || number < 0) {
    process.stderr.write(`error: --${name} must be a number, not '${text}'\n`);
    process.exit(2);
  }
  return number;
}

const seed = Math.floor(numberOf('seed', Math.floor(Math.random() * 2 ** 32)));
const cases = values.cases === undefined ? Number.POSITIVE_INFINITY : numberOf('cases', 0);
const minutes = numberOf('minutes', values.cases === undefined ? 1 : 1_440);
const began = performance.now();

function line({ cases: done, accepted, refused }: FuzzFigures): string {
  const seconds = (performance.now() - began) / 1000;
  return `${done} cases (${accepted} passed on, ${refused} refused or incomplete) in ${seconds.toFixed(0)} s\n`;
}

process.stderr.write(`seed ${seed}\n`);
const { figures, findings } = await fuzz({
  seed,
  cases,
  milliseconds: minutes * 60_000,
  progress: (so) => void process.stderr.write(`  ${line(so)}`),
});
for (const { kind, method, text, problem, at } of findings) {
  const folder = join(CORPUS, 'findings');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${kind}-${seed}-${at}${method === 'HEAD' ? '-to-head' : ''}.http`);
  writeFileSync(file, text, 'latin1');
  process.stdout.write(`finding: ${problem}\n  file: ${file}\n  again: scripts/fuzz --seed ${seed} --cases ${at}\n`);
}
process.stdout.write(`seed ${seed}: ${line(figures).trimEnd()}, ${findings.length} findings\n`);
process.exitCode = findings.length === 0 ? 0 : 1;
