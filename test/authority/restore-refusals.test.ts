// A backup that is damaged, incomplete, forged or of another CA is refused whole; nothing is left of the attempt.

import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { restoreBackup } from '../../src/authority/restore.ts';
import { failureOf } from '../store/fixture.ts';
import { backedUp, entriesOf, issued, makeTrue, newSpot, restoreOf } from './backup-fixture.ts';
import { newCa, openCa } from './fixture.ts';

describe('a backup is refused, and nothing is left of the attempt,', () => {
  const damages: ReadonlyArray<readonly [what: string, damage: (backup: string) => void]> = [
    [
      'with one octet changed',
      (backup) => {
        const path = join(backup, 'certs', 'root.crt');
        const bytes = readFileSync(path);
        bytes[100] = (bytes[100] ?? 0) ^ 1;
        writeFileSync(path, bytes);
      },
    ],
    ['cut short', (backup) => writeFileSync(join(backup, 'state', 'certgate.db'), '')],
    ['with a file missing', (backup) => rmSync(join(backup, 'certs', 'issuer.key'))],
    ['without its manifest', (backup) => rmSync(join(backup, 'manifest.json'))],
    ['with a manifest that is none', (backup) => writeFileSync(join(backup, 'manifest.json'), '{"files":[]}')],
    [
      'with a manifest cut short',
      (backup) => {
        const path = join(backup, 'manifest.json');
        writeFileSync(path, readFileSync(path, 'utf8').slice(0, 300));
      },
    ],
    [
      'with a link in place of a file',
      (backup) => {
        const path = join(backup, 'certs', 'issuer.key');
        cpSync(path, `${path}.aside`);
        rmSync(path);
        symlinkSync(`${path}.aside`, path);
      },
    ],
  ];
  it.each(damages)('%s', async (_, damage) => {
    const backup = await backedUp(await newCa());
    damage(backup);
    const dir = newSpot();
    await failureOf('CG_BACKUP_UNUSABLE', () => restoreBackup(restoreOf(backup, dir, { withoutCrl: true })));
    expect(entriesOf(dir)).toEqual([]);
  });

  it.each([
    '../outside',
    'certs/../../outside',
    '/etc/passwd',
    'certs/.hidden',
    'certs//x',
    'state/other',
    'certs\\x',
    'certs',
  ])('with a manifest that names %s', async (path) => {
    const backup = await backedUp(await newCa());
    const file = join(backup, 'manifest.json');
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as { files: unknown[] };
    manifest.files.push({ path, bytes: 0, sha256: '0'.repeat(64) });
    writeFileSync(file, JSON.stringify(manifest));
    const error = await failureOf('CG_BACKUP_UNUSABLE', () =>
      restoreBackup(restoreOf(backup, newSpot(), { withoutCrl: true })),
    );
    expect(error.message).toContain('that no backup has');
  });

  it('that is put together from two: a store, a key or a certificate of another CA', async () => {
    const [one, other] = [await openCa(), await openCa()];
    await issued(one);
    for (const path of ['state/certgate.db', 'certs/issuer.key', 'certs/issuer.crt', 'certs/root.crt']) {
      const [backup, foreign] = [await backedUp(one), await backedUp(other)];
      cpSync(join(foreign, path), join(backup, path));
      await makeTrue(backup);
      const dir = newSpot();
      const error = await failureOf('CG_CA_MISMATCH', () =>
        restoreBackup(restoreOf(backup, dir, { withoutCrl: true })),
      );
      expect([path, error.message]).toEqual([path, expect.stringContaining('backup')]);
      expect(entriesOf(dir)).toEqual([]);
    }
  });

  it('whose configuration is for another trust domain', async () => {
    const ca = await newCa();
    const backup = await backedUp(ca);
    const different = { withoutCrl: true, configuration: (text: string) => ({ text, trustDomain: 'other.example' }) };
    await failureOf('CG_TRUST_DOMAIN_MISMATCH', () => restoreBackup(restoreOf(backup, newSpot(), different)));
  });

  it('whose store is damaged although its digest is right', async () => {
    const ca = await openCa();
    for (let n = 0; n < 30; n++) await issued(ca);
    const backup = await backedUp(ca);
    const path = join(backup, 'state', 'certgate.db');
    const bytes = readFileSync(path);
    bytes.fill(0xff, bytes.length - 4096);
    writeFileSync(path, bytes);
    await makeTrue(backup);
    const dir = newSpot();
    const error = await failureOf('CG_BACKUP_UNUSABLE', () =>
      restoreBackup(restoreOf(backup, dir, { withoutCrl: true })),
    );
    expect(error.message).toContain(path);
    expect(entriesOf(dir)).toEqual([]);
  });
});
