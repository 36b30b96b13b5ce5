import { describe, expect, test } from 'vitest';
import type { CommandIo } from '../../src/cli/io.ts';
import { buildProgram, run } from '../../src/cli/program.ts';
import { settingsOf } from '../../src/cli/settings.ts';
import { leaves } from '../../src/config/leaves.ts';

/** An Io that collects what is written. */
function collectingIo() {
  const written = { out: [] as string[], say: [] as string[] };
  const io: CommandIo = {
    out: (text) => void written.out.push(text),
    say: (text) => void written.say.push(text),
    input: async () => new Uint8Array(),
    env: {},
    cwd: '/',
    isTerminal: false,
    program: 'certgate',
    setExitCode: () => {},
  };
  return { io, written };
}

const program = await buildProgram(collectingIo().io);
const names = program.commands.map((command) => command.name());

describe.each(names)('certgate %s --help', (name) => {
  test('goes to stdout, examples first, then the options, and ends with 0', async () => {
    const { io, written } = collectingIo();
    expect(await run([name, '--help'], io)).toBe(0);
    const text = written.out.join('\n');
    const places = ['\nexamples:\n', `\nusage: certgate ${name} `, '\noptions:\n'].map((title) => text.indexOf(title));
    expect(places).not.toContain(-1);
    expect(places.toSorted((a, b) => a - b)).toEqual(places);
    expect(written.say).toEqual([]);
  });

  test('shows examples that this program understands', () => {
    const command = program.commands.find((one) => one.name() === name);
    const known = command?.options.flatMap((option) => [option.long, option.short]) ?? [];
    const examples =
      command
        ?.helpInformation()
        .split('\n')
        .filter((line) => line.trim().startsWith('certgate ')) ?? [];
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) {
      const own = (example.trim().split(' -- ')[0] ?? '').replace(/ \|.*$/, '');
      if (own.split(' ')[1] !== name) continue;
      for (const flag of own.match(/(?<= )--?[a-z0-9-]+/g) ?? []) expect(known, example).toContain(flag);
    }
  });
});

test('certgate --help names every command and what every exit code means', async () => {
  const { io, written } = collectingIo();
  expect(await run(['--help'], io)).toBe(0);
  const text = written.out.join('\n');
  for (const name of names) expect(text).toMatch(new RegExp(`^  ${name} `, 'm'));
  for (const code of ['0', '1', '2', '3', '4', '5', '6', '7', '128+n']) {
    expect(text).toMatch(new RegExp(`^  ${code.replace('+', '\\+')} `, 'm'));
  }
});

test('every flag that a setting has is taken by a command', () => {
  const taken = new Set(program.commands.flatMap((command) => settingsOf(command)));
  const flagged = leaves.filter(({ setting }) => setting.flag !== undefined).map(({ path }) => path);
  expect(flagged.filter((path) => !taken.has(path))).toEqual([]);
});

test('every command that prints data can print it as JSON', () => {
  for (const name of ['init', 'issue', 'revoke', 'list', 'inspect', 'audit', 'doctor', 'health']) {
    const command = program.commands.find((one) => one.name() === name);
    expect(
      command?.options.map((option) => option.long),
      name,
    ).toContain('--json');
  }
});
