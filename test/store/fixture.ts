// What the store's tests need: a folder of their own, records that look like certificates, child processes.
import { type SpawnOptions, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { onTestFinished } from 'vitest';
import { CertgateError, type ErrorCode } from '../../src/errors.ts';
import type { AuditEntry } from '../../src/store/audit-entry.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { CertificateRecord, Store } from '../../src/store/store.ts';
import type { TokenRecord } from '../../src/store/tokens.ts';

export const ISSUER = 'aa11';
export const NOW = Date.UTC(2026, 10, 23, 12);
export const HOUR = 3_600_000;

/** A new folder that is removed after the test. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'certgate-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  return folder;
}

/** A new store in a new folder, closed after the test. */
export function newStore(path = join(newFolder(), 'certgate.db')): Store {
  return closing(openSqliteStore(path, { create: true }));
}

export function closing(store: Store): Store {
  onTestFinished(() => store.close());
  return store;
}

export function newRecord(values: Partial<CertificateRecord> = {}): CertificateRecord {
  const issuedAt = values.issuedAt ?? NOW;
  const identity = values.identity ?? 'worker/etl-1';
  return {
    serial: randomBytes(16).toString('hex'),
    issuer: ISSUER,
    identity,
    profile: 'client',
    subject: `CN=${identity}`,
    notBefore: issuedAt - 60_000,
    notAfter: issuedAt + 24 * HOUR,
    fingerprint: randomBytes(32).toString('hex'),
    der: new Uint8Array(randomBytes(40)),
    issuedAt,
    revokedAt: null,
    reason: null,
    ...values,
  };
}

export function newToken(values: Partial<TokenRecord> = {}): TokenRecord {
  return {
    id: '0011223344556677',
    secretHash: 'ef'.repeat(32),
    subject: 'worker/etl-1',
    uses: 1,
    usesLeft: 1,
    ttlMs: 24 * HOUR,
    expiresAt: NOW + HOUR,
    createdAt: NOW,
    createdBy: 'cli:root@host',
    revokedAt: null,
    flaggedAt: null,
    flag: null,
    ...values,
  };
}

export function newAudit(values: Partial<AuditEntry> = {}): AuditEntry {
  return { time: NOW, actor: 'test', action: 'certificate.issue', object: 'worker/etl-1', detail: {}, ...values };
}

export async function addAll(store: Store, records: readonly CertificateRecord[]): Promise<void> {
  for (const record of records) await store.addCertificate(record, newAudit({ object: record.identity }));
}

/** The catalogue's error that the deed fails with; fails itself when there is none or another. */
export async function failureOf<C extends ErrorCode>(code: C, deed: () => unknown): Promise<CertgateError<C>> {
  try {
    await deed();
  } catch (error) {
    if (error instanceof CertgateError && error.code === code) return error as CertgateError<C>;
    throw new Error(`expected ${code}`, { cause: error });
  }
  throw new Error(`expected ${code}, but it succeeded`);
}

/** SQLite's own verdict on the file: `ok`. To be asked when no store of this process is open on it. */
export function integrityOf(path: string): unknown {
  const db = new DatabaseSync(path);
  try {
    return db.prepare('PRAGMA integrity_check').get()?.['integrity_check'];
  } finally {
    db.close();
  }
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a program to its end. */
export function run(program: string, args: readonly string[], options: SpawnOptions = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout?.on('data', (bytes: Buffer) => out.push(bytes));
    child.stderr?.on('data', (bytes: Buffer) => err.push(bytes));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve({ code, signal, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() });
    });
  });
}

/** Runs one of the programs beside the tests with this Node, as another user when `uid` is given. */
export function runScript(script: string, args: readonly string[], options: SpawnOptions = {}): Promise<Ended> {
  return run(process.execPath, [script, ...args], options);
}
