import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { openShell, type Shell } from './golden.ts';

let shell: Shell;

beforeEach(() => {
  shell = openShell();
  shell.run('certgate init');
});

test('crl export takes the place of an earlier list, and of nothing else', () => {
  const key = join(shell.dir, 'certs', 'issuer.key');
  const before = readFileSync(key, 'utf8');
  const refused = shell.run('certgate crl export --out certs/issuer.key');
  expect(refused.stderr).toContain('exists already and is not a revocation list [CG_FILE_EXISTS]');
  expect(readFileSync(key, 'utf8')).toBe(before);

  for (const format of ['pem', 'der']) {
    const line = `certgate crl export --format ${format} --out list.${format}`;
    expect([shell.run(line).status, shell.run(line).status]).toEqual([0, 0]);
  }
  writeFileSync(join(shell.dir, 'notes'), 'mine');
  symlinkSync('list.pem', join(shell.dir, 'link'));
  expect([
    shell.run('certgate crl export --out notes').status,
    shell.run('certgate crl export --out link').status,
  ]).toEqual([3, 3]);
  expect(readFileSync(join(shell.dir, 'notes'), 'utf8')).toBe('mine');
});

test('crl export takes the key of a root for the list of a root only', () => {
  const { status, stderr } = shell.run('certgate crl export --root-key certs/root.key');
  expect([status, stderr]).toEqual([2, expect.stringContaining('--root-key is for the list of a root') as string]);
});
