// What a sidecar says of itself before a whole gate in this process, whose upstream answers at once.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type RunningSidecar, type SidecarHealth, startSidecar } from '../../src/outbound/sidecar.ts';
import { eventually } from '../e2e/harness/eventually.ts';
import { freePort } from '../e2e/harness/ports.ts';
import { GATE_OPTIONS } from '../inbound/gate-options.ts';
import { quietLog } from '../observe/quiet-log.ts';
import { LIMITS } from '../proxy/plain-proxy.ts';
import { openGateHouse } from '../security/gate-fixture.ts';
import { filesIn, HOUR, sidecarHouse } from './sidecar-house.ts';

const house = sidecarHouse();

/** Issues `worker/etl-1` to `folder`, for an hour of which `passed` ms are over. */
const issue = (folder: string, passed = 0): Promise<string> => house.issue(folder, HOUR, passed);

async function sidecarOf(dir: string, port: number, renews = false): Promise<RunningSidecar> {
  const sidecar = await startSidecar({
    listen: { host: '127.0.0.1', port: 0 },
    gate: new URL(`https://127.0.0.1:${port}`),
    files: filesIn(dir),
    // Once, when it starts, and then when it has a reason to.
    trust: { interval: HOUR, write: true },
    renewIn: renews ? dir : null,
    ...{ again: null, enrollAgain: null, serverName: null, allowedHosts: [], log: quietLog, accessLog: false },
    limits: { ...LIMITS, upstreamIdle: 60_000, upstreamConnect: 5_000 },
  });
  onTestFinished(() => sidecar.drain(0));
  return sidecar;
}

const until = (what: string, sidecar: RunningSidecar, is: (health: SidecarHealth) => boolean) =>
  eventually(what, () => {
    const health = sidecar.health();
    return is(health) ? health : undefined;
  });

test('a sidecar that has spoken with its gate is well, says when its certificate and its trust end, and counts', async () => {
  const gate = await house.gate();
  const dir = await issue('well');
  const sidecar = await sidecarOf(dir, gate.port);
  // Nobody has asked anything of the gate yet.
  expect(sidecar.health()).toMatchObject({ certificate: true, trust: true, gate: false, filesRefused: false });
  const health = await until('the gate has answered', sidecar, (now) => now.gate);
  expect(health.ends.identity).toBe(sidecar.credentials().notAfter);
  expect(health.begins).toBe(sidecar.credentials().certificate.validFromDate.getTime());
  expect(health.ends.trust).toBeGreaterThan(Date.now() + 365 * 24 * HOUR);
  expect(health.state.bundleConfirmed).toBeGreaterThan(Date.now() - 60_000);
  const { handshakes } = health.state.counts;
  expect(handshakes).toBeGreaterThan(0);
  for (let i = 0; i < 3; i++) expect((await fetch(`${sidecar.url}/api/health`)).status).toBe(200);
  const { counts } = (await until('all is over', sidecar, ({ open }) => open.requestsOpen === 0)).state;
  expect(counts).toMatchObject({ requests: 3, refused: 0, upstreamFailures: 0, answers: [0, 0, 3, 0, 0, 0] });
  // Over one connection, which is kept.
  expect(counts.handshakes).toBe(handshakes + 1);
});

test('renewals are counted, done and failed, and files that can not be taken are told of', async () => {
  const away = await sidecarOf(await issue('not-renewed', HOUR + 20_000), await freePort(), true);
  const { counts } = (await until('it has failed', away, ({ state }) => state.counts.renewalFailures > 1)).state;
  expect(counts.renewals).toBe(0);
  expect(counts.unreachable).toBeGreaterThan(1);
  expect(away.health()).toMatchObject({ certificate: false, trust: true, gate: false });

  const gate = await house.gate({ enrolment: { ...GATE_OPTIONS.enrolment, graceMs: HOUR } });
  const dir = await issue('renewed', HOUR + 20_000);
  const sidecar = await sidecarOf(dir, gate.port, true);
  const { ends } = await until('it is renewed', sidecar, ({ certificate }) => certificate);
  expect(ends.identity).toBeGreaterThan(Date.now() + HOUR / 2);
  await until('that is counted', sidecar, ({ state }) => state.counts.renewals === 1);

  const file = join(dir, 'tls.crt');
  const good = readFileSync(file);
  writeFileSync(file, 'no certificate');
  await until('that is told', sidecar, ({ filesRefused }) => filesRefused);
  expect(sidecar.health()).toMatchObject({ certificate: true, gate: true });
  writeFileSync(file, good);
  await until('that is over', sidecar, ({ filesRefused }) => !filesRefused);
});

test('a gate that is not there, is somebody else, or refuses the certificate is not well, until it is', async () => {
  const port = await freePort();
  const dir = await issue('alone');
  const sidecar = await sidecarOf(dir, port);
  const { counts } = (await until('it has asked', sidecar, ({ state }) => state.counts.unreachable > 0)).state;
  expect(sidecar.health()).toMatchObject({ certificate: true, trust: true, gate: false });
  expect(counts).toMatchObject({ handshakes: 0, handshakeFailures: 0 });

  const stranger = await openGateHouse();
  onTestFinished(() => stranger.close());
  const other = await stranger.start(house.upstream(), { listen: { host: '127.0.0.1', port } });
  await until('its handshake has failed', sidecar, ({ state }) => state.counts.handshakeFailures > 0);
  expect((await fetch(`${sidecar.url}/api/health`)).status).toBe(502);
  expect(sidecar.health()).toMatchObject({ gate: false, state: { counts: { handshakes: 0 } } });
  await other.close();

  await house.gate({ listen: { host: '127.0.0.1', port } });
  // Asked out of turn because somebody wants to know; clients would do.
  await until('it is there', sidecar, (health) => health.gate);
});

test('a certificate that has ended is not well', async () => {
  const gate = await house.gate();
  const sidecar = await sidecarOf(await issue('ended', HOUR - 3_000), gate.port);
  const { gate: taken } = await until('it has ended', sidecar, ({ certificate }) => !certificate);
  expect(taken).toBe(true);
  expect((await fetch(`${sidecar.url}/api/health`)).status).toBe(403);
  await until('the gate has refused it', sidecar, (health) => !health.gate);
});
