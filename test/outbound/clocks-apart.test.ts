// A sidecar whose clock is not the gate's, before a whole gate in this process, whose clock is right. TLS itself has the
// right clock at both ends: where it has not, a gate's certificate of a minute ago is not valid yet.

import { expect, onTestFinished, test } from 'vitest';
import type { GateOptions } from '../../src/inbound/gate.ts';
import { openLog } from '../../src/observe/log.ts';
import type { Credentials } from '../../src/outbound/credentials.ts';
import { startSidecar } from '../../src/outbound/sidecar.ts';
import { eventually } from '../e2e/harness/eventually.ts';
import { LIMITS } from '../proxy/plain-proxy.ts';
import { filesIn, HOUR, sidecarHouse } from './sidecar-house.ts';

const MINUTE = 60_000;
const house = sidecarHouse();

/** Issues to `folder` a certificate of 5 min that ends in `leftMs`, by the gate's clock, on record. */
const issue = (folder: string, leftMs: number): Promise<string> => house.issue(folder, 5 * MINUTE, 5 * MINUTE - leftMs);

/**
 * A gate, and before it a sidecar with the certificate in `dir`, whose clock is `off` ms from the gate's; `login`: the command
 * with which a person gets the next certificate, which is then not renewed.
 */
async function before(
  dir: string,
  off: number,
  graceMs: number,
  enrollAgain: (() => Promise<void>) | null,
  login: string | null = null,
) {
  const stoodStill = { ms: 0 };
  const enrolment: GateOptions['enrolment'] = { tokens: true, est: true, lockOnReuse: true, graceMs };
  const gate = await house.gate({ enrolment });
  const said: string[] = [];
  const sidecar = await startSidecar({
    listen: { host: '127.0.0.1', port: 0 },
    gate: new URL(`https://127.0.0.1:${gate.port}`),
    files: filesIn(dir),
    // Once, when it starts: whatever it learns later it has to ask for.
    trust: { interval: HOUR, write: false },
    renewIn: login === null ? dir : null,
    again: login,
    enrollAgain,
    serverName: null,
    allowedHosts: [],
    log: openLog({ level: 'info', destination: { write: (line) => void said.push(line) } }),
    clocks: { wall: () => Date.now() + off - stoodStill.ms, steady: () => performance.now() - stoodStill.ms },
    accessLog: false,
    limits: { ...LIMITS, upstreamIdle: 60_000, upstreamConnect: 5_000 },
  });
  onTestFinished(() => sidecar.drain(0));
  const serialOf = ({ certificate }: Credentials): string => certificate.serialNumber;
  const first = serialOf(sidecar.credentials());
  const next = (): Promise<Credentials> =>
    eventually('the sidecar has another certificate', () => {
      const current = sidecar.credentials();
      return serialOf(current) === first ? undefined : current;
    });
  const ask = async (): Promise<string> => {
    const answer = await fetch(`${sidecar.url}/api/health`);
    return `${answer.status} ${await answer.text()}`;
  };
  return { gate, said, sidecar, first, next, ask, stoodStill };
}

test('a certificate that has ended for the gate, and not for a sidecar whose clock is behind, is renewed within the grace', async () => {
  const { said, next, ask, gate } = await before(await issue('late', -20_000), -4 * MINUTE, HOUR, null);
  const fresh = await next();
  expect(fresh.notAfter).toBeGreaterThan(Date.now() + 4 * MINUTE);
  expect(await ask()).toBe('200 from upstream');
  expect(said.join('')).toMatch(/it is 2[34]\d s behind/);
  expect((await gate.health()).metrics).toMatchObject({ renewedInGrace: 1 });
});

test('where there is no grace, a sidecar whose clock is behind enrols again, by what the gate says has ended', async () => {
  const dir = await issue('refused', -20_000);
  let enrolled = 0;
  const { said, next, ask, gate } = await before(dir, -4 * MINUTE, 0, async () => {
    enrolled++;
    await issue('refused', 5 * MINUTE);
  });
  await next();
  expect(await ask()).toBe('200 from upstream');
  expect(enrolled).toBe(1);
  expect(said.join('')).toContain('client certificate expired at');
  expect(said.join('')).toContain('the certificate had ended: enrolled again');
  expect((await gate.health()).metrics).toMatchObject({ renewed: 0 });
});

test.each([
  ['behind', -4 * MINUTE],
  ['ahead', 4 * MINUTE],
  ['ahead of the certificate’s end', 2 * HOUR],
])('a sidecar whose clock is %s goes by the gate’s as soon as that has answered', async (_what, off) => {
  const { sidecar, ask } = await before(await issue(`young${off}`, 5 * MINUTE), off, 0, null);
  const agrees = () => (Math.abs(sidecar.gateNow() - Date.now()) < MINUTE ? true : undefined);
  expect(await eventually('it knows', agrees)).toBe(true);
  expect(await ask()).toBe('200 from upstream');
});

test('a sidecar both of whose clocks have stood still, as in a machine that was paused, learns from a 403 that its certificate has ended', async () => {
  const { said, ask, stoodStill } = await before(await issue('paused', 3_000), -4 * MINUTE, 0, null, 'certgate login');
  // What the gate has told at first is as old as the pause is long.
  await eventually('the gate has told the time', () => (said.join('').includes('s behind') ? true : undefined));
  stoodStill.ms = HOUR;
  const told = await eventually('it says so', async () => {
    const answer = await ask();
    return answer.includes('the login ended at') ? answer : undefined;
  });
  expect(told).toContain('log in again with certgate login');
  expect(said.join('')).toMatch(/it is 38[34]\d s behind/);
});
