// What one scenario (one test file) stands on: a folder of its own, a shared Prefect server, and the promise that all
// it started ends with it, whether its test passed or not.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, inject, vi } from 'vitest';
import { type Echo, type EchoOptions, startEcho } from './echo.ts';
import { type House, makeHouse } from './house.ts';
import { type PrefectOptions, type PrefectServer, startPrefect } from './prefect.ts';
import { stopAll } from './processes.ts';

process.env['E2E_SESSION'] = inject('session');
process.env['E2E_CERTGATE'] = inject('certgate');
// All temporary folders go with the session, also those of a test file that was killed.
process.env['TMPDIR'] = inject('session');
// Longer than any wait in a test that uses no Prefect; the others say so.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });
const endings: Array<() => Promise<unknown>> = [];

afterAll(async () => {
  for (const end of endings.toReversed()) await end();
  await stopAll();
}, 60_000);

/** Calls `end` after the last test of the file, in reverse order. */
export function atEnd(end: () => Promise<unknown>): void {
  endings.push(end);
}

/** An empty folder, removed at the end. */
export async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'certgate-e2e-'));
  atEnd(async () => {
    await stopAll();
    await rm(dir, { recursive: true, force: true });
  });
  return dir;
}

/** A fresh installation of certgate. */
export async function house(): Promise<House> {
  return await makeHouse(join(await folder(), 'house'));
}

/**
 * A Prefect server that other scenarios use before and after this one; a scenario keeps to names of its own in it. None uses it
 * at the same time: its SQLite refuses who comes at the same moment.
 */
export function sharedPrefect(): string {
  const url = inject('prefectUrls')[Number(process.env['VITEST_POOL_ID']) - 1];
  if (url === undefined) throw new Error(`no Prefect server for worker ${process.env['VITEST_POOL_ID']}`);
  return url;
}

/** A Prefect server of the scenario's own. */
export async function ownPrefect(options: PrefectOptions = {}): Promise<PrefectServer> {
  const server = await startPrefect({ template: inject('prefectTemplate'), ...options });
  atEnd(async () => await server.stop());
  return server;
}

/** The upstream called echo. */
export async function echo(options: EchoOptions = {}): Promise<Echo> {
  const upstream = await startEcho(options);
  atEnd(async () => await upstream.stop());
  return upstream;
}
