import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { expectAllRecorded, expectPrivateKeys } from './after-a-kill.ts';
import { type MadeCa, newCa } from './fixture.ts';
import { killedAt as killedAtStep } from './killed-at.ts';

const program = join(import.meta.dirname, 'issuing-process.ts');

const killedAt = (n: number, args: readonly string[]) => killedAtStep(n, program, args);

const spareCa = async (name: string): Promise<MadeCa & { out: string }> => {
  const ca = await newCa();
  return { ...ca, out: join(ca.dir, 'out', name) };
};

it('a kill before any step of `issue` leaves no certificate or a recorded one', async () => {
  const { dir, storePath, out } = await spareCa('fresh');
  const { steps } = await killedAt(0, ['once', dir, out]);
  expect(steps).toBeGreaterThanOrEqual(30);
  const outcomes = new Set<string>();
  for (let n = 1; n <= steps; n++) {
    const folder = `${out}-${n}`;
    const end = await killedAt(n, ['once', dir, folder]);
    expect(end.killed).toBe(true);
    if (end.out !== '') expect(existsSync(join(folder, 'tls.crt'))).toBe(true);
    outcomes.add(existsSync(folder) ? 'whole folder' : 'no folder');
  }
  const { onDisk, recorded } = await expectAllRecorded(join(dir, 'out'), storePath);
  expect(recorded).toBeGreaterThan(1);
  expect(recorded).toBeGreaterThanOrEqual(onDisk);
  expect(outcomes).toEqual(new Set(['whole folder', 'no folder']));
}, 600_000);

it('a kill before any step of a replacing `issue` leaves the old pair, the new pair or none, never a mixed one', async () => {
  const { dir, storePath, out } = await spareCa('worker');
  await killedAt(0, ['once', dir, out]);
  const { steps } = await killedAt(0, ['once', dir, out, 'force']);
  let without = 0;
  for (let n = Math.floor(steps * 0.6); n <= steps; n++) {
    expect((await killedAt(n, ['once', dir, out, 'force'])).killed).toBe(true);
    if (existsSync(out)) continue;
    without += 1; // between the two renames: both pairs are there, beside it
    const beside = readdirSync(join(dir, 'out'));
    for (const purpose of ['.worker.issuing-', '.worker.replaced-']) {
      const whole = beside
        .filter((name) => name.startsWith(purpose))
        .filter(
          (name) => existsSync(join(dir, 'out', name, 'tls.key')) && existsSync(join(dir, 'out', name, 'ca.crt')),
        );
      expect(whole, `a whole pair in ${purpose}…`).not.toEqual([]);
    }
    await killedAt(0, ['once', dir, out, 'force']);
    expect(existsSync(out)).toBe(true);
  }
  expect(without).toBe(1);
  await expectAllRecorded(join(dir, 'out'), storePath);
}, 600_000);

it('a kill at any moment, with two processes issuing, loses no record', async () => {
  const { dir, storePath, out } = await spareCa('loop');
  mkdirSync(join(dir, 'out'));
  const promised: string[] = [];
  const issueUntilKilled = async (name: string): Promise<void> => {
    const child = spawn(process.execPath, [program, 'loop', dir, `${out}-${name}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'close');
    const lines: Buffer[] = [];
    child.stdout.on('data', (bytes: Buffer) => lines.push(bytes));
    await once(child.stdout, 'data'); // it is issuing now
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
    child.kill('SIGKILL');
    expect(await ended).toEqual([null, 'SIGKILL']);
    promised.push(...Buffer.concat(lines).toString().split('\n').slice(0, -1));
  };
  for (let round = 0; round < 15; round++) {
    await Promise.all([issueUntilKilled(`a${round}`), issueUntilKilled(`b${round}`)]);
  }
  const { onDisk, recorded } = await expectAllRecorded(join(dir, 'out'), storePath);
  expect(recorded).toBeGreaterThanOrEqual(promised.length);
  expect(onDisk).toBeGreaterThan(30);
}, 600_000);

it('a kill before any step of `init` leaves a whole CA, or something that the next `init` names or replaces', async () => {
  const { dir } = await newCa();
  const { steps } = await killedAt(0, ['init', join(dir, 'first')]);
  const outcomes = { whole: 0, refused: 0, anew: 0 };
  for (let n = 2; n <= steps; n += 2) {
    const place = join(dir, `init-${n}`);
    expect((await killedAt(n, ['init', place])).killed).toBe(true);
    if (existsSync(join(place, 'certs', 'issuer.crt'))) {
      expect((await killedAt(0, ['once', place, join(place, 'out')])).out).toContain('issued');
      outcomes.whole += 1;
      continue;
    }
    const { createAuthority } = await import('../../src/authority/create.ts');
    const again = {
      certsDir: join(place, 'certs'),
      stateDir: join(place, 'state'),
      trustDomain: 'a.example',
      actor: 'test',
    };
    const refused = await createAuthority(again).then(
      () => null,
      (error: unknown) => error,
    );
    if (refused !== null) expect(refused).toMatchObject({ code: 'CG_CA_EXISTS' });
    outcomes[refused === null ? 'anew' : 'refused'] += 1;
  }
  expectPrivateKeys(dir);
  expect(outcomes.anew).toBeGreaterThan(outcomes.refused);
  expect(outcomes.whole).toBeGreaterThan(0);
}, 600_000);
