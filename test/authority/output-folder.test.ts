import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startOutputFolder } from '../../src/authority/output-folder.ts';
import { failureOf, newFolder } from '../store/fixture.ts';

test('an output folder is nowhere until something is written: who waits before that may be stopped', async () => {
  const dir = newFolder();
  const folder = await startOutputFolder(join(dir, 'identity'), { force: false, withKey: true });
  expect(readdirSync(dir)).toEqual([]);
  await Promise.all(['tls.crt', 'ca.crt'].map((name) => folder.write(name as 'tls.crt', 'x', 0o644)));
  expect(readdirSync(dir)).toEqual([expect.stringMatching(/^\.identity\.issuing-/)]);
  await folder.publish();
  expect(readdirSync(dir)).toEqual(['identity']);
  await (await startOutputFolder(join(dir, 'other'), { force: false, withKey: true })).discard();
  expect(readdirSync(dir)).toEqual(['identity']);
});

test('where no folder can be made, that is known before anything is written', async () => {
  const dir = newFolder();
  writeFileSync(join(dir, 'file'), '');
  mkdirSync(join(dir, 'taken'));
  writeFileSync(join(dir, 'taken', 'mine'), '');
  const begin = (name: string) => () => startOutputFolder(join(dir, name), { force: false, withKey: true });
  await failureOf('CG_OUT_UNUSABLE', begin('file/below'));
  await failureOf('CG_OUT_EXISTS', begin('taken'));
  expect(readdirSync(dir).toSorted()).toEqual(['file', 'taken']);
});

test('a folder that could be made, but not be made private, is gone again; and a quota is told as such', async () => {
  const dir = newFolder();
  const handle = await open(dir);
  await handle.close();
  // As Node makes it: libuv has no name for EDQUOT.
  const failing = vi.spyOn(Object.getPrototypeOf(handle) as typeof handle, 'chmod').mockRejectedValue(
    Object.assign(new Error(`Unknown system error -${constants.errno.EDQUOT}: fchmod`), {
      ...{ code: `Unknown system error -${constants.errno.EDQUOT}`, syscall: 'fchmod' },
    }),
  );
  onTestFinished(() => failing.mockRestore());
  const path = join(dir, 'identity');
  const error = await failureOf('CG_OUT_UNUSABLE', () => startOutputFolder(path, { force: false, withKey: true }));
  expect(error.message).toBe(`${path} cannot be written: no room (the disk quota is used up)`);
  expect(error.hint).toContain('df -h');
  expect(readdirSync(dir)).toEqual([]);
});
