// What the authority's tests need: a CA with its store in a folder of its own.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { join } from 'node:path';
import type { Authority, IssueRequest } from '../../src/authority/authority.ts';
import { createAuthority } from '../../src/authority/create.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { closing, HOUR, newFolder } from '../store/fixture.ts';

export const TRUST_DOMAIN = 'prefect.example';

export interface MadeCa {
  /** Holds certs/ and state/. */
  readonly dir: string;
  readonly certsDir: string;
  readonly storePath: string;
}

/** A new CA in a new folder; `clock` says when it is made. */
export async function newCa(clock?: () => number): Promise<MadeCa> {
  const dir = newFolder();
  const certsDir = join(dir, 'certs');
  const made = await createAuthority({
    certsDir,
    stateDir: join(dir, 'state'),
    trustDomain: TRUST_DOMAIN,
    actor: 'test',
    ...(clock === undefined ? {} : { clock }),
  });
  return { dir, certsDir, storePath: made.store };
}

export interface OpenCa extends MadeCa {
  readonly store: Store;
  readonly authority: Authority;
}

/** A new CA, loaded from its files; `clock` is the authority's. */
export async function openCa(clock?: () => number): Promise<OpenCa> {
  const ca = await newCa(clock);
  const store = closing(openSqliteStore(ca.storePath));
  const { certsDir } = ca;
  const authority = await loadAuthority({
    certsDir,
    store,
    trustDomain: TRUST_DOMAIN,
    ...(clock === undefined ? {} : { clock }),
  });
  return { ...ca, store, authority };
}

export function newPublicKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
}

export function request(values: Partial<IssueRequest> = {}): IssueRequest {
  return {
    identity: 'worker/etl-1',
    profile: 'client',
    ttlMs: 24 * HOUR,
    publicKey: newPublicKey(),
    actor: 'cli:test@host',
    ...values,
  };
}
