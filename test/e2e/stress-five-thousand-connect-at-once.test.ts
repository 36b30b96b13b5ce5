import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { eventually, within } from './harness/eventually.ts';
import { credentialsIn, type House, type Serving } from './harness/house.ts';
import { descriptorsOf } from './harness/proc.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, type Credentials, get, openTcp, openTls, type Wire } from './harness/wire.ts';

const AT_ONCE = 5000;
/** Of those: a handshake costs a millisecond at each end. */
const GO_ON = 600;
const HALF_HELLO = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);

const PATIENT = {
  CERTGATE_LOG_ACCESS: 'false',
  CERTGATE_SERVE_LIMITS_HANDSHAKE: '2m',
  CERTGATE_SERVE_LIMITS_HEAD: '2m',
  CERTGATE_SERVE_LIMITS_UPSTREAM_CONNECT: '1m',
  // All of them come from one address.
  CERTGATE_SERVE_LIMITS_HANDSHAKES_PER_ADDRESS: 'off',
};

let home: House;
let gate: Serving;
let credentials: Credentials;
/** Open before all the rest, and used all the while. */
let steady: Wire;
/** The gate's descriptors when only `steady` is open, and some that Node may open for itself later. */
let base: number;
const NODES_OWN = 4;

beforeAll(async () => {
  home = await house();
  credentials = await credentialsIn(await home.issue('worker/etl-1'));
  // A machine that is busy with both ends of so many connections takes its time for the last of them.
  gate = await home.serve({ upstream: (await echo()).url, env: PATIENT });
  base = descriptorsOf(gate.running.pid) + 1 + NODES_OWN;
  steady = await openTls(gate.port, credentials);
}, 60_000);

async function isAsBefore(): Promise<void> {
  expect((await within('an answer', ask(steady, get('/api/hello')))).status).toBe(200);
  await eventually('its descriptors are back', () => (descriptorsOf(gate.running.pid) <= base ? true : undefined));
  const { stdout } = await home.certgate(['health', '--config', home.config, '--json']);
  expect(JSON.parse(stdout)).toMatchObject({ status: 'ok', connections: 1 });
}

test('of five thousand clients that connect at once all get in, those that go on are served, and the one before them is too', async () => {
  const waiting = Array.from({ length: AT_ONCE - GO_ON }, async () => await openTcp(gate.port));
  const served = Array.from({ length: GO_ON }, async () => {
    const wire = await openTls(gate.port, credentials);
    const { status } = await ask(wire, get('/api/hello'));
    wire.socket.destroy();
    return status;
  });
  let over = false;
  const goesOn = (async (): Promise<void> => {
    while (!over) {
      expect((await ask(steady, get('/api/hello'))).status).toBe(200);
      await sleep(20);
    }
  })();
  const statuses = await Promise.all(served);
  over = true;
  await goesOn;
  expect(Map.groupBy(statuses, (status) => status).get(200)).toHaveLength(GO_ON);
  for (const wire of await Promise.all(waiting)) wire.socket.destroy();
  await isAsBefore();
});

test('thousands that connect and leave, before, in and after the handshake, in order or by reset, leave nothing behind', async () => {
  const leave = (wire: Wire, at: number): void => void (at % 2 === 0 ? wire.reset() : wire.socket.destroy());
  await Promise.all(
    Array.from({ length: 2000 }, async (_, at) => {
      await new Promise<void>((resolve) => {
        const socket = connect(gate.port, '127.0.0.1');
        socket.once('close', () => resolve()).on('error', () => {});
        socket.once('connect', () => (at % 2 === 0 ? socket.resetAndDestroy() : socket.destroy()));
      });
    }),
  );
  await Promise.all(
    Array.from({ length: 1000 }, async (_, at) => {
      const wire = await openTcp(gate.port);
      wire.send(HALF_HELLO);
      leave(wire, at);
    }),
  );
  await Promise.all(Array.from({ length: 300 }, async (_, at) => leave(await openTls(gate.port, credentials), at)));
  await isAsBefore();
});
