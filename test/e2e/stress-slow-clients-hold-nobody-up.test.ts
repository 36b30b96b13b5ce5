import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTcp, openTls, type Wire } from './harness/wire.ts';

const MANY = 150;
const SHORT = {
  CERTGATE_LOG_ACCESS: 'false',
  CERTGATE_SERVE_LIMITS_HANDSHAKE: '2s',
  CERTGATE_SERVE_LIMITS_HEAD: '2s',
  CERTGATE_SERVE_LIMITS_STALL: '2s',
};
/** The first bytes of a ClientHello, and never the rest. */
const HALF_HELLO = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

test('slow handshakes, heads, bodies and readers end at their limits, drop by drop or not, while others are served', async () => {
  const home = await house();
  const credentials = await credentialsIn(await home.issue('worker/etl-1'));
  const gate = await home.serve({ upstream: (await echo()).url, env: SHORT });
  const many = async (open: () => Promise<Wire>): Promise<Wire[]> =>
    await Promise.all(Array.from({ length: MANY }, open));
  const tls = async (): Promise<Wire> => await openTls(gate.port, credentials);
  // The gate times a head from its first byte: the connections of this test take a while to open.
  const [inHandshake, inHead, inBody, steady] = [
    await many(async () => await openTcp(gate.port)),
    [],
    [],
    await tls(),
  ] as [Wire[], Wire[], Wire[], Wire];
  const ended = async (wires: readonly Wire[]): Promise<void> =>
    void (await Promise.all(wires.map((wire) => wire.ended)));
  let over = false;
  const drip = async (wires: readonly Wire[], bytes: readonly (number | string)[]): Promise<void> => {
    for (let at = 0; !over; at++) {
      const byte = bytes[at % bytes.length] ?? 0;
      for (const wire of wires)
        if (wire.socket.writable) wire.send(typeof byte === 'number' ? Buffer.from([byte]) : byte);
      await sleep(300);
    }
  };
  const serving = (async (): Promise<number> => {
    let answered = 0;
    for (; !over; answered++) {
      expect((await ask(steady, get('/api/hello'))).status).toBe(200);
      await sleep(20);
    }
    return answered;
  })();
  const dripping = [drip(inHandshake, HALF_HELLO)];
  await within('slow handshakes are ended', ended(inHandshake));

  inHead.push(...(await many(tls)));
  for (const wire of inHead) wire.send('GET /api/hello HTTP/1.1\r\nHost: localhost\r\nX: ');
  dripping.push(drip(inHead, ['x']));
  await within('slow heads are ended', ended(inHead));
  for (const wire of inHead) expect(wire.received().toString('latin1')).toMatch(/^HTTP\/1\.1 408 /);

  // A body that stands still ends; one that moves, however slowly, does not.
  inBody.push(...(await many(tls)));
  const slow = await tls();
  for (const wire of [...inBody, slow]) {
    wire.send('POST /api/flow_runs/filter HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\n');
  }
  const answer = slow.answer('POST');
  for (const byte of 'twelve bytes') {
    slow.send(byte);
    await sleep(300);
  }
  await within('bodies that stand still are ended', ended(inBody));
  expect((await answer).status).toBe(200);

  over = true;
  await Promise.all(dripping);
  expect(await serving).toBeGreaterThan(10);
  steady.socket.destroy();
  slow.socket.destroy();
});
