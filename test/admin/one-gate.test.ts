import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { claimStateFolder } from '../../src/admin/one-gate.ts';
import { failureOf, newFolder } from '../store/fixture.ts';

const program = join(import.meta.dirname, 'claiming-process.ts');

test('a state folder is one gate’s until it lets go, and the refusal names the folder', async () => {
  const folder = newFolder();
  const first = claimStateFolder(folder);
  const error = await failureOf('CG_GATE_RUNNING', () => claimStateFolder(folder));
  expect(error.message).toContain(folder);
  first.release();
  first.release();
  claimStateFolder(folder).release();
  expect(readdirSync(folder)).toEqual(['gate.lock']);
  expect(statSync(join(folder, 'gate.lock')).mode & 0o777).toBe(0o600);
});

test('a gate that was killed holds nothing', async () => {
  const folder = newFolder();
  const child = spawn(process.execPath, [program, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  expect(String(await once(child.stdout, 'data'))).toContain('claimed');
  await failureOf('CG_GATE_RUNNING', () => claimStateFolder(folder));
  child.kill('SIGKILL');
  await ended;
  claimStateFolder(folder).release();
});

test('of many that start at once exactly one has it', async () => {
  const folder = newFolder();
  const children = Array.from({ length: 6 }, () =>
    spawn(process.execPath, [program, folder], { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  const words = await Promise.all(children.map(async ({ stdout }) => String(await once(stdout, 'data')).trim()));
  expect(words.toSorted()).toEqual([
    'CG_GATE_RUNNING',
    'CG_GATE_RUNNING',
    'CG_GATE_RUNNING',
    'CG_GATE_RUNNING',
    'CG_GATE_RUNNING',
    'claimed',
  ]);
  await Promise.all(
    children.map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'close');
    }),
  );
});

test('a folder in which nothing can be made is told as that', async () => {
  const error = await failureOf('CG_STORE_IO', () => claimStateFolder(join(newFolder(), 'none')));
  expect(error.message).toContain('gate.lock');
});
