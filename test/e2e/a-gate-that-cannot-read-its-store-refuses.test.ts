import { once } from 'node:events';
import { mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { within } from './harness/eventually.ts';
import { certgateCommand, credentialsIn, type House, type Serving } from './harness/house.ts';
import { cleanEnvironment, finish } from './harness/processes.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, type Credentials, get, openTls } from './harness/wire.ts';

const FILES = ['certgate.db', 'certgate.db-wal', 'certgate.db-shm'];
let home: House;
let gate: Serving;
let alice: Credentials;
let sidecar: { readonly url: string };

beforeAll(async () => {
  home = await house();
  gate = await home.serve({ upstream: (await echo()).url });
  const identity = await home.issue('user/alice');
  alice = await credentialsIn(identity);
  sidecar = await home.connect(gate, identity);
}, 60_000);

/** Moves the store's files, those that exist. */
async function move(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const name of FILES) {
    await rename(join(from, name), join(to, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}

const state = (): string => join(home.dir, 'state');
const refusals = (): number =>
  gate.log().filter((line) => line.msg === 'the store cannot be read: refusing everyone').length;
const recoveries = (): number => gate.log().filter((line) => line.msg === 'the store can be read again').length;

/** Makes the store unreadable, sees everyone refused and the log say so, restores it, and sees all go on. */
async function lostAndFound(lose: () => Promise<void>, restore: () => Promise<void>): Promise<void> {
  const [told, again] = [refusals(), recoveries()];
  const open = await openTls(gate.port, alice);
  expect((await ask(open, get('/api/hello'))).status).toBe(200);

  await lose();
  await gate.logged(() => refusals() > told);
  for (const wire of [open, await openTls(gate.port, alice)]) {
    const answer = await ask(wire, get('/api/hello'));
    expect(answer.status).toBe(503);
    expect([answer.headers['retry-after'], answer.headers['prefect-maintenance']]).toEqual(['2', 'true']);
    expect(JSON.parse(answer.body.toString())).toEqual({
      detail: "certgate: the gate can't read its records and lets nobody pass until it can",
    });
  }
  // Prefect's clients lose queued events when an upgrade is answered with an HTTP error, but come back after a close.
  const socket = new WebSocket(`${sidecar.url.replace('http', 'ws')}/api/events/in`, 'prefect');
  const closed = once(socket, 'close');
  await once(socket, 'open');
  expect((await closed)[0]).toBe(1012);

  await restore();
  await gate.logged(() => recoveries() > again);
  expect((await ask(open, get('/api/hello'))).status).toBe(200);
  open.socket.destroy();
}

test('a store that is deleted, and put back', async () => {
  const aside = join(home.dir, 'aside');
  await lostAndFound(
    async () => await move(state(), aside),
    async () => await move(aside, state()),
  );
});

test('a store whose file is replaced by something else, and put back', async () => {
  const aside = join(home.dir, 'aside');
  await lostAndFound(
    async () => {
      await move(state(), aside);
      await writeFile(join(state(), 'certgate.db'), 'not a database '.repeat(1000), { mode: 0o600 });
    },
    async () => await move(aside, state()),
  );
});

test('a store whose write-ahead log is taken away: nothing is forgotten, and who was revoked stays out', async () => {
  const [told, again] = [refusals(), recoveries()];
  const gone = await credentialsIn(await home.issue('worker/gone'));
  const ran = await finish(...certgateCommand(['revoke', 'worker/gone', '--config', home.config]), {
    env: cleanEnvironment(),
  });
  expect(ran.code, ran.stderr).toBe(0);
  // The gate writes what its open log holds into the store before it opens the store anew.
  await rename(join(state(), 'certgate.db-wal'), join(home.dir, 'taken-away'));
  await gate.logged(() => refusals() > told && recoveries() > again);
  expect((await ask(await openTls(gate.port, alice), get('/api/hello'))).status).toBe(200);
  const refused = await openTls(gate.port, gone).then(
    async (wire) => (await ask(wire, get('/api/hello'))).status,
    () => 'no connection',
  );
  expect(refused).not.toBe(200);
});

test('a store that is truncated in place, and restored from a backup', async () => {
  const [database, backup] = [join(state(), 'certgate.db'), join(home.dir, 'backup.db')];
  const store = new DatabaseSync(database, { readOnly: true });
  store.exec(`VACUUM INTO '${backup}'`);
  store.close();
  await lostAndFound(
    async () => await truncate(database, 100),
    async () => {
      // As SQLite wants it: what belonged to the damaged file goes first.
      for (const name of FILES.slice(1)) await rm(join(state(), name), { force: true });
      await rename(backup, database);
    },
  );
});

test('who is revoked while the gate can’t read its store is cut as soon as it can', async () => {
  const aside = join(home.dir, 'aside');
  const [worker, stays] = [
    await openTls(gate.port, await credentialsIn(await home.issue('worker/etl-1'))),
    await openTls(gate.port, alice),
  ];
  expect((await ask(worker, get('/api/hello'))).status).toBe(200);
  const told = refusals();
  await move(state(), aside);
  await gate.logged(() => refusals() > told);
  const ran = await finish(...certgateCommand(['revoke', 'worker/etl-1', '--config', home.config]), {
    env: cleanEnvironment({ CERTGATE_STATE_DIR: aside }),
  });
  expect(ran.code, ran.stderr).toBe(0);
  await move(aside, state());

  await within('the worker is cut', worker.ended);
  expect((await ask(stays, get('/api/hello'))).status).toBe(200);
  stays.socket.destroy();
});
