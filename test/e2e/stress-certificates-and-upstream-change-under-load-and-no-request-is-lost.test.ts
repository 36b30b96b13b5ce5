import { cpSync, renameSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { startEcho } from './harness/echo.ts';
import { eventually } from './harness/eventually.ts';
import { credentialsIn, type House, makeHouse, type Serving } from './harness/house.ts';
import { atEnd, echo, folder } from './harness/scenario.ts';
import { ask, type Credentials, get, openTls } from './harness/wire.ts';

const CLIENTS = 6;

let home: House;
let gate: Serving;
let sidecar: Serving;
let identity: string;
let credentials: Credentials;
let upstream: Awaited<ReturnType<typeof echo>>;

beforeAll(async () => {
  const clock = `--import=${join(import.meta.dirname, 'harness/clock-that-was-behind.ts')}`;
  // The CA is as old as the gate will believe to be.
  home = await makeHouse(join(await folder(), 'house'), { NODE_OPTIONS: clock });
  upstream = await echo();
  gate = await home.serve({
    upstream: upstream.url,
    env: {
      CERTGATE_SERVE_SERVER_TTL: '5m',
      CERTGATE_LOG_ACCESS: 'false',
      NODE_OPTIONS: clock,
      CLOCK_PUT_RIGHT: join(home.dir, 'clock-put-right'),
    },
  });
  identity = await home.issue('worker/etl-1');
  credentials = await credentialsIn(identity);
  sidecar = await home.connect(gate, identity, [], { CERTGATE_LOG_ACCESS: 'false' });
}, 60_000);

interface Got {
  readonly status: number;
  readonly maintenance: boolean;
}

/** One request through both sidecars, on kept connections; rejects when it gets no answer. */
const agent = new Agent({ keepAlive: true });
async function throughSidecar(method: string): Promise<Got> {
  return await new Promise((resolve, reject) => {
    const asked = request(
      { agent, host: '127.0.0.1', port: sidecar.port, method, path: '/api/flow_runs/filter' },
      (response) => {
        response.on('error', reject).resume();
        response.once('end', () => {
          const maintenance = response.headers['prefect-maintenance'] === 'true';
          resolve({ status: response.statusCode ?? 0, maintenance });
        });
      },
    );
    asked.once('error', reject);
    asked.end(method === 'POST' ? '{}' : undefined);
  });
}

/** Clients of the sidecar, and of the gate on kept and on new connections, until `over`; answers all that they got. */
async function loadUntil(over: () => boolean): Promise<readonly Got[]> {
  const got: Got[] = [];
  const loop = async (one: () => Promise<Got>): Promise<void> => {
    while (!over()) {
      got.push(await one());
      await sleep(5);
    }
  };
  const kept = await openTls(gate.port, credentials);
  const plain = ({ status, headers }: { status: number; headers: Readonly<Record<string, string>> }): Got => ({
    status,
    maintenance: headers['prefect-maintenance'] === 'true',
  });
  await Promise.all([
    ...Array.from(
      { length: CLIENTS },
      async (_, at) => await loop(() => throughSidecar(at % 2 === 0 ? 'GET' : 'POST')),
    ),
    loop(async () => plain(await ask(kept, get('/api/hello')))),
    loop(async () => {
      const fresh = await openTls(gate.port, credentials);
      const answer = await ask(fresh, get('/api/hello'));
      fresh.socket.destroy();
      return plain(answer);
    }),
  ]);
  kept.socket.destroy();
  return got;
}

test('the gate’s certificate and the sidecar’s are renewed under load, and every request is answered', async () => {
  const [renewed, taken] = [
    (): boolean => gate.log().some(({ msg }) => msg === 'server certificate renewed'),
    (): number => sidecar.log().filter(({ msg }) => msg === 'new credentials taken').length,
  ];
  let over = false;
  const load = loadUntil(() => over);
  writeFileSync(join(home.dir, 'clock-put-right'), '');
  for (let round = 1; round <= 2; round++) {
    const fresh = join(home.dir, `fresh-${round}`);
    await home.certgate(['issue', 'worker/etl-1', '--config', home.config, '--out', fresh]);
    // As cert-manager does: whole files, each put in place at once.
    for (const name of ['tls.key', 'tls.crt']) {
      cpSync(join(fresh, name), join(identity, `${name}.new`));
      renameSync(join(identity, `${name}.new`), join(identity, name));
    }
    await eventually('the sidecar has taken them', () => (taken() >= round ? true : undefined));
  }
  await eventually('the gate has renewed its own', () => (renewed() ? true : undefined));
  const served = (await openTls(gate.port, credentials)).socket;
  const serial = served.getPeerX509Certificate()?.serialNumber.toLowerCase();
  served.destroy();
  expect((await gate.logged(({ msg }) => msg === 'server certificate renewed'))['serial']).toBe(serial);
  over = true;
  const got = await load;
  expect(got.length).toBeGreaterThan(100);
  expect(got.filter(({ status }) => status !== 200)).toEqual([]);
});

test('while upstream restarts every request has an answer, and one that says when to come again', async () => {
  let over = false;
  const load = loadUntil(() => over);
  await upstream.stop();
  await gate.logged(({ msg }) => msg === 'upstream failed');
  const again = await startEcho({ port: upstream.port });
  atEnd(async () => await again.stop());
  await eventually('upstream is reached again', () => (again.heads.length > 20 ? true : undefined));
  over = true;
  const got = await load;
  // 502 for what upstream broke off in the midst of it, which Prefect's client repeats as well.
  for (const one of got) expect([200, 502, 503]).toContain(one.status);
  const waits = got.filter(({ status }) => status === 503);
  expect(waits.length).toBeGreaterThan(0);
  for (const { maintenance } of waits) expect(maintenance).toBe(true);
});
