import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { requireFreePlace, writeOutputFile } from '../../src/authority/output-file.ts';

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'certgate-output-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const content = Buffer.from([0x30, 0x00, 0xff]);
const write = (path: string, force = false): Promise<void> => writeOutputFile(path, content, { mode: 0o600, force });

describe('an output file', () => {
  test('has its octets and its mode, and nothing lies beside it', async () => {
    const folder = newFolder();
    await write(join(folder, 'a.p12'));
    expect(readFileSync(join(folder, 'a.p12'))).toEqual(content);
    expect(statSync(join(folder, 'a.p12')).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['a.p12']);
  });

  test('is not replaced, not even when it comes at the same moment', async () => {
    const folder = newFolder();
    const path = join(folder, 'a.p12');
    const ended = await Promise.allSettled(Array.from({ length: 8 }, () => write(path)));
    const failures = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    expect(failures).toHaveLength(7);
    for (const failure of failures) expect(failure).toMatchObject({ code: 'CG_FILE_EXISTS', facts: { path } });
    expect(readdirSync(folder)).toEqual(['a.p12']);
  });

  test('replaces a plain file when it is asked to, and nothing else', async () => {
    const folder = newFolder();
    for (const name of ['file', 'target']) writeFileSync(join(folder, name), 'before');
    mkdirSync(join(folder, 'folder'));
    symlinkSync('target', join(folder, 'link'));
    await write(join(folder, 'file'), true);
    expect(readFileSync(join(folder, 'file'))).toEqual(content);
    for (const name of ['folder', 'link']) {
      const replaceable = { code: 'CG_FILE_EXISTS', facts: { replaceable: false } };
      await expect(write(join(folder, name), true)).rejects.toMatchObject(replaceable);
      await expect(requireFreePlace(join(folder, name), { force: true })).rejects.toMatchObject(replaceable);
    }
    expect(readFileSync(join(folder, 'target'), 'utf8')).toBe('before');
  });

  test('takes away what a killed process left of the same file, and of no other', async () => {
    const folder = newFolder();
    const [old, fresh, other] = [
      '.a.p12.exporting-999999999-00000000',
      '.a.p12.exporting-999999999-11111111',
      '.b.p12.exporting-999999999-00000000',
    ];
    for (const name of [old, fresh, other]) writeFileSync(join(folder, name), 'half', { mode: 0o600 });
    for (const name of [old, other]) utimesSync(join(folder, name), 1, 1);
    await write(join(folder, 'a.p12'));
    expect(readdirSync(folder).toSorted()).toEqual([fresh, other, 'a.p12'].toSorted());
  });

  test('names itself and not its draft when the folder is not there', async () => {
    const path = join(newFolder(), 'nowhere/a.p12');
    await expect(write(path)).rejects.toMatchObject({ code: 'ENOENT', path });
  });
});
