// A restore into a folder that is there, whose disk fails between two of the parts that it puts there.
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { restoreBackup } from '../../src/authority/restore.ts';
import { failureOf, integrityOf, newFolder } from '../store/fixture.ts';
import { backedUp, restoreOf } from './backup-fixture.ts';
import { openCa } from './fixture.ts';

const refused = vi.hoisted(() => ({ path: '' }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  return {
    ...real,
    rename: async (from: string, to: string) => {
      if (to !== refused.path) return real.rename(from, to);
      refused.path = '';
      throw Object.assign(new Error(`EIO: i/o error, rename '${from}' -> '${to}'`), {
        ...{ code: 'EIO', syscall: 'rename', path: from, dest: to },
      });
    },
  };
});

it.each(['certs', 'state'])(
  'a restore that could not put %s in its place takes back what it had put there, and the same one works then',
  async (part) => {
    const backup = await backedUp(await openCa());
    const dir = join(newFolder(), 'again');
    mkdirSync(dir);
    const request = restoreOf(backup, dir, { withoutCrl: true });
    refused.path = join(dir, part);
    await failureOf('CG_BACKUP_WRITE', () => restoreBackup(request));
    expect(readdirSync(dir)).toEqual([]);
    await restoreBackup(request);
    expect(readdirSync(dir).toSorted()).toEqual(['certgate.yaml', 'certs', 'state']);
    expect(integrityOf(join(dir, 'state', 'certgate.db'))).toBe('ok');
  },
);
