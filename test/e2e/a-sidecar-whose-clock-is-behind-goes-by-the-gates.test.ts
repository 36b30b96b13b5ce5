import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { signInto } from './harness/certificates.ts';
import { eventually } from './harness/eventually.ts';
import { makeHouse } from './harness/house.ts';
import { echo, folder } from './harness/scenario.ts';

test('a certificate that has ended, though not by the clock of its machine, is renewed by its sidecar, which goes on', async () => {
  const clock = `--import=${join(import.meta.dirname, 'harness/clock-that-was-behind.ts')}`;
  // All begins four minutes ago; then the gate's clock is put right, and the sidecar's never is.
  const home = await makeHouse(join(await folder(), 'house'), { NODE_OPTIONS: clock });
  const putRight = join(home.dir, 'clock-put-right');
  const gate = await home.serve({
    upstream: (await echo()).url,
    env: { CERTGATE_RENEW_GRACE: '1h', NODE_OPTIONS: clock, CLOCK_PUT_RIGHT: putRight },
  });
  writeFileSync(putRight, '');
  const dir = join(await folder(), 'identity');
  // Long ago for the gate, and for the sidecar it has more than three minutes left.
  const notAfter = Math.floor(Date.now() / 1000) * 1000 - 20_000;
  await signInto(home, dir, { identity: 'worker/slow', notBefore: notAfter - 300_000, notAfter, recorded: true });
  const serial = (): string => new X509Certificate(readFileSync(join(dir, 'tls.crt'))).serialNumber;
  const old = serial();
  const sidecar = await home.connect(gate, dir, [], { NODE_OPTIONS: clock });
  await sidecar.logged(({ msg }) => msg === 'new credentials taken');
  expect(serial()).not.toBe(old);
  expect((await fetch(`${sidecar.url}/api/hello`)).status).toBe(200);
  const told = await sidecar.logged(({ msg }) => msg === 'the clock of this machine is not the gate’s, which counts');
  expect(told['reason']).toMatch(/^it is 2\d\d s behind$/);
  const audited = await eventually('it is on record', async () => {
    const { stdout } = await home.certgate(['audit', '--identity', 'worker/slow', '--config', home.config]);
    return stdout.includes('certificate.renew-in-grace') ? stdout : undefined;
  });
  expect(audited).toContain('certificate.renew-in-grace');

  // What runs from a timer asks the gate first: by the clock here it would never be due.
  const timed = join(await folder(), 'identity');
  await signInto(home, timed, { identity: 'worker/timed', notBefore: notAfter - 300_000, notAfter, recorded: true });
  const { stdout } = await home.certgate([
    'renew',
    '--if-due',
    '--identity',
    timed,
    '--gate',
    `https://127.0.0.1:${gate.port}`,
    '--json',
  ]);
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'renewed' });
});
