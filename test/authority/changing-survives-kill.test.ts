// The commands that change the CA's own certificates, killed: what is there afterwards is a CA, and the same command again
// completes it.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { examineCa } from '../../src/cli/check/examine.ts';
import { loadConfig } from '../../src/config/load.ts';
import { type Ran, runIn } from '../cli/run-in.ts';
import { integrityOf, newFolder } from '../store/fixture.ts';
import { expectPrivateKeys } from './after-a-kill.ts';
import { CA_EXTENSIONS, newCompany } from './company.ts';
import { killedAt, spread } from './killed-at.ts';

const program = join(import.meta.dirname, 'command-process.ts');

const ran = (line: string, cwd: string): Promise<Ran> => runIn(cwd, line.split(' '));

async function failures(cwd: string): Promise<readonly string[]> {
  const sections = await examineCa(loadConfig({ file: undefined, env: {}, flags: {}, cwd }), Date.now(), String);
  const findings = sections.flatMap(({ findings: some }) => some);
  return findings.filter(({ level }) => level === 'fail').map(({ check, found }) => `${check}: ${found}`);
}

test.each<readonly [command: string, before: readonly string[], points: number]>([
  ['ca import', [], 14],
  ['ca rotate issuer', ['init'], 3],
  ['ca rotate root prepare', ['init'], 3],
  ['ca rotate root activate', ['init', 'ca rotate root prepare'], 3],
  ['ca rotate root retire', ['init', 'ca rotate root prepare', 'ca rotate root activate'], 3],
])('a kill before any step of `%s` leaves a CA that the same command completes', async (command, before, points) => {
  const whole = newFolder();
  for (const line of before) expect(await ran(line, whole)).toMatchObject({ code: 0 });
  let line = command;
  if (command === 'ca import') {
    const company = newCompany();
    const [chain, signed] = [join(whole, 'chain.pem'), join(whole, 'signed.pem')];
    writeFileSync(chain, company.chain);
    expect(await ran(`init --root-cert ${chain}`, whole)).toMatchObject({ code: 0 });
    const request = readFileSync(join(whole, 'certs', 'issuer.csr'), 'utf8');
    writeFileSync(signed, company.sign(request, CA_EXTENSIONS) + company.chain);
    line += ` ${signed}`;
  }
  const copied = (): string => {
    const dir = newFolder();
    cpSync(whole, dir, { recursive: true });
    return dir;
  };
  const killed = async (n: number, dir: string) =>
    await killedAt(n, program, [...line.split(' '), '--config', join(dir, 'certgate.yaml')]);
  const { steps } = await killed(0, copied());
  expect(steps).toBeGreaterThan(20);
  for (const n of spread(steps, points)) {
    const dir = copied();
    expect((await killed(n, dir)).killed).toBe(true);
    expectPrivateKeys(dir);
    const { code, all } = await ran(line, dir);
    // 3: it was done, and there is no such step any more.
    expect([0, 3], `before step ${n}: ${all}`).toContain(code);
    expect(await failures(dir), `before step ${n}`).toEqual([]);
    expect(integrityOf(join(dir, 'state', 'certgate.db'))).toBe('ok');
  }
});
