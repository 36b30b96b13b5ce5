import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
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
