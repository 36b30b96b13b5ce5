// For tests of `certgate audit`: a CA, and a record of as many writes as a gate would have written and signed.

import { join } from 'node:path';
import { vi } from 'vitest';
import { openKeyStore } from '../../src/authority/key-store.ts';
import { storeFile } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { signedElsewhere } from '../../src/authority/remote-signer.ts';
import { openSignedAudit } from '../../src/cli/audit/signed-audit.ts';
import type { RotationRules } from '../../src/observe/audit-rotation.ts';
import { openLog } from '../../src/observe/log.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { auditRecord } from '../observe/records.ts';
import { NEVER } from '../observe/signed.ts';
import { openShell, type Shell } from './golden.ts';

export interface Recorded {
  readonly shell: Shell;
  /** Of the record, and of the store. */
  readonly path: string;
  readonly db: string;
}

export interface Writing {
  readonly rules?: Partial<RotationRules>;
  /** The socket of a signer that has the issuer's key. */
  readonly signer?: string;
  /** Waited for before the gate ends. */
  readonly until?: () => void;
}

export function initialised(shell = openShell()): Recorded {
  shell.run('certgate init');
  const stateDir = join(shell.dir, 'state');
  return { shell, path: join(stateDir, 'audit.jsonl'), db: storeFile(stateDir) };
}

/** As a gate that runs for a moment. What it logs comes back. */
export async function record({ shell, path, db }: Recorded, count: number, writing: Writing = {}): Promise<string[]> {
  const { rules = {}, signer, until } = writing;
  const logged: string[] = [];
  const log = openLog({ level: 'info', destination: { write: (line) => void logged.push(line) } });
  const files = openKeyStore({ passphrase: null });
  const store = openSqliteStore(db);
  const authority = await loadAuthority({
    certsDir: join(shell.dir, 'certs'),
    store,
    trustDomain: 'certgate.internal',
    keys: signer === undefined ? files : signedElsewhere(signer, files),
  });
  const audit = await openSignedAudit(path, { authority, store, log, rules: { ...NEVER, ...rules } });
  for (let i = 0; i < count; i++) {
    const requestId = `r-${i}`;
    const identity = i === 0 ? '=cmd|calc' : 'worker/etl-1';
    await audit.append(auditRecord({ requestId, identity, path: `/api/flows/name/${'x'.repeat(100)}` }));
    audit.outcome({ time: 1, requestId, outcome: 201, ending: 'complete', ms: 4 });
  }
  if (until !== undefined) await vi.waitFor(until, { timeout: 10_000 });
  await audit.close();
  await store.close();
  return logged;
}

export async function recorded(count: number, writing: Writing = {}): Promise<Recorded> {
  const made = initialised();
  await record(made, count, writing);
  return made;
}
