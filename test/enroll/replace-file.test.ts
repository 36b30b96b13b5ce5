import { fstatSync, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';

const done: string[] = [];
vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs')>();
  return {
    ...fs,
    fsyncSync(file: number): void {
      done.push(fstatSync(file).isDirectory() ? 'folder on the disk' : 'file on the disk');
      fs.fsyncSync(file);
    },
    renameSync(from: string, to: string): void {
      done.push('renamed');
      fs.renameSync(from, to);
    },
  };
});
afterAll(() => vi.restoreAllMocks());

const { replaceFile } = await import('../../src/enroll/replace-file.ts');

test('a file that is replaced is on the disk before it has its name, and its name before that is said', () => {
  const folder = mkdtempSync(join(tmpdir(), 'certgate-replace-'));
  const path = join(folder, 'ca.crt');
  replaceFile(path, 'old');
  done.length = 0;
  replaceFile(path, 'new');
  expect(done).toEqual(['file on the disk', 'renamed', 'folder on the disk']);
  expect(readFileSync(path, 'utf8')).toBe('new');
  expect(readdirSync(folder)).toEqual(['ca.crt']);
  expect(statSync(path).mode & 0o777).toBe(0o644);
});
