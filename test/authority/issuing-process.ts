// A process of its own for the tests that kill it: `once DIR OUT [force]` issues one certificate of the CA in DIR into the
// folder OUT; `loop DIR OUT` issues into OUT-1, OUT-2, … until it is killed, replacing every other one; `init DIR` makes
// a CA. It prints a line after each success.
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority } from '../../src/authority/create.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { storeFile } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';

const [deed, dir = '', out = '', force] = process.argv.slice(2);
const [certsDir, stateDir, trustDomain] = [join(dir, 'certs'), join(dir, 'state'), 'prefect.example'];
const startCounting = (globalThis as { startCounting?: () => void }).startCounting ?? (() => {});

if (deed === 'init') {
  startCounting();
  await createAuthority({ certsDir, stateDir, trustDomain, actor: 'test' });
  writeSync(1, 'made\n');
} else {
  if (deed === 'once') startCounting();
  const store = openSqliteStore(storeFile(stateDir));
  const authority = await loadAuthority({ certsDir, store, trustDomain });
  const issue = async (folder: string, replace: boolean): Promise<void> => {
    const names = { identity: 'worker/etl-1', profile: 'client', actor: 'test' } as const;
    const { record } = await issueToDirectory(authority, { ...names, ttlMs: 3_600_000, out: folder, force: replace });
    writeSync(1, `issued ${record.serial}\n`);
  };
  if (deed === 'once') await issue(out, force === 'force');
  else {
    for (let n = 1; ; n++) {
      await issue(`${out}-${n}`, false);
      if (n % 2 === 0) await issue(`${out}-${n}`, true);
    }
  }
  await store.close();
}
