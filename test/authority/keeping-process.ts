// A process of its own for the tests that kill it: `lock DIR`, `crl DIR`, `backup DIR OUT`, `restore FROM DIR CRL`, with
// the CA in DIR. It prints a line after each success, for `crl` the number that it took.
import { readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makeBackup } from '../../src/authority/backup.ts';
import { storeFile } from '../../src/authority/layout.ts';
import { restoreBackup } from '../../src/authority/restore.ts';
import { readCrl } from '../../src/pki/read-crl.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';

const [deed, first = '', second = '', third = ''] = process.argv.slice(2);
const stateDir = join(first, 'state');
(globalThis as { startCounting?: () => void }).startCounting?.();

if (deed === 'lock' || deed === 'crl') {
  const store = openSqliteStore(storeFile(stateDir));
  const now = Date.now();
  const subject = `worker/${process.pid}`;
  const lock = { scope: 'identity', subject, reason: 'x', actor: 'test', lockedAt: now, until: null } as const;
  const audit = { time: now, actor: 'test', action: 'lock', object: subject, detail: {} };
  if (deed === 'lock') await store.lock(lock, audit);
  writeSync(1, deed === 'lock' ? `locked ${subject}\n` : `${await store.nextCrlNumber('aa11')}\n`);
  await store.close();
} else if (deed === 'backup') {
  const { path } = await makeBackup({
    certsDir: join(first, 'certs'),
    store: storeFile(stateDir),
    configuration: null,
    record: join(stateDir, 'audit.jsonl'),
    out: second,
    withKeys: true,
    version: '0.0.0',
    now: Date.now(),
  });
  writeSync(1, `made ${path}\n`);
} else {
  const { dir } = await restoreBackup({
    from: first,
    dir: second,
    crls: [{ source: third, crl: readCrl(readFileSync(third)) }],
    withoutCrl: false,
    bundleAbove: 0,
    configuration: (text) => ({ text, trustDomain: null }),
    actor: 'test',
    now: Date.now(),
  });
  writeSync(1, `restored ${dir}\n`);
}
