import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { copyFile } from '../../src/authority/copy-file.ts';
import { makeFolders, readKeyFile } from '../../src/authority/files.ts';
import { newFolder } from '../store/fixture.ts';

describe('folders', () => {
  test('are made where they are missing, private, and told outermost first', async () => {
    const dir = newFolder();
    mkdirSync(join(dir, 'a'));
    const [b, c] = [join(dir, 'a', 'b'), join(dir, 'a', 'b', 'c')];
    expect(await makeFolders(c, 0o700)).toEqual([b, c]);
    expect([b, c].map((folder) => statSync(folder).mode & 0o777)).toEqual([0o700, 0o700]);
    expect(await makeFolders(c, 0o700)).toEqual([]);
  });

  test('are made by several at once', async () => {
    const path = join(newFolder(), 'a', 'b', 'c');
    const made = await Promise.all(Array.from({ length: 8 }, () => makeFolders(path, 0o700)));
    expect(made.flat().toSorted()).toHaveLength(3);
  });

  test.each(['/proc/nowhere', '/proc/nowhere/below'])(
    'that can not be made, as %s, are an error and no endless try',
    async (path) => {
      await expect(makeFolders(path, 0o700)).rejects.toMatchObject({ code: 'ENOENT' });
    },
  );

  test('are not made below a file, nor in its place', async () => {
    const file = join(newFolder(), 'file');
    writeFileSync(file, '');
    await expect(makeFolders(join(file, 'a'), 0o700)).rejects.toMatchObject({ code: 'ENOTDIR' });
    await expect(makeFolders(file, 0o700)).rejects.toMatchObject({ code: 'EEXIST' });
  });
});

test('a key’s file that cannot be read is named in what the system says of it', async () => {
  const path = join(newFolder(), 'tls.key');
  writeFileSync(path, 'x', { mode: 0o600 });
  const handle = await open(path);
  await handle.close();
  const reads = vi
    .spyOn(Object.getPrototypeOf(handle) as typeof handle, 'readFile')
    .mockRejectedValue(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' }));
  onTestFinished(() => reads.mockRestore());
  await expect(readKeyFile(path)).rejects.toMatchObject({ code: 'EIO', path });
});

test('a copy that fails because its source cannot be read says so of the source', async () => {
  const dir = newFolder();
  const [from, to] = [join(dir, 'from'), join(dir, 'to')];
  writeFileSync(from, 'x');
  const handle = await open(from);
  await handle.close();
  const reads = vi
    .spyOn(Object.getPrototypeOf(handle) as typeof handle, 'read')
    .mockRejectedValue(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' }));
  onTestFinished(() => reads.mockRestore());
  await expect(copyFile(from, to, 0o600)).rejects.toMatchObject({ code: 'EIO', path: from });
});
