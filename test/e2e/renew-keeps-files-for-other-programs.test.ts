import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { signInto } from './harness/certificates.ts';
import { newToken } from './harness/enrolment.ts';
import { eventually } from './harness/eventually.ts';
import { certgateCommand, gateUrl, type House, logOf, type Serving } from './harness/house.ts';
import { cleanEnvironment, finish, type Running, start } from './harness/processes.ts';
import { echo, folder, house } from './harness/scenario.ts';

/** A certificate of five minutes, on record, that ends in `leftMs`; below zero, has ended. */
async function identityOf(home: House, name: string, leftMs: number): Promise<string> {
  const notAfter = Math.floor((Date.now() + leftMs) / 1000) * 1000;
  const leaf = { identity: name, notBefore: notAfter - 300_000, notAfter, recorded: true };
  const dir = join(await folder(), 'identity');
  await signInto(home, dir, leaf);
  return dir;
}
const certIn = async (dir: string): Promise<X509Certificate> =>
  new X509Certificate(await readFile(join(dir, 'tls.crt')));
const serialIn = async (dir: string): Promise<string> => (await certIn(dir)).serialNumber.toLowerCase();
const renewalIn = (dir: string, old: string): Promise<string> =>
  eventually('the folder has the next certificate', async () => {
    const serial = await serialIn(dir);
    return serial === old ? undefined : serial;
  });
const env = cleanEnvironment({ NO_COLOR: '1', CERTGATE_TOKEN: '' });
const words = (gate: Pick<Serving, 'port'>, dir: string, flags: readonly string[]) =>
  certgateCommand(['renew', '--gate', gateUrl(gate), '--identity', dir, ...flags]);
const renew = async (gate: Pick<Serving, 'port'>, dir: string, ...flags: string[]) =>
  await finish(...words(gate, dir, flags), { env });
const daemon = (gate: Pick<Serving, 'port'>, dir: string, ...flags: string[]): Running =>
  start(...words(gate, dir, ['--daemon', ...flags]), { env });
const logged = (running: Running, msg: string): Promise<string> =>
  running.line((line) => logOf(line).some((one) => one.msg === msg));

/** A script that writes down what it was told, and then does `more`. */
async function hook(more = ''): Promise<{ script: string; lines: () => Promise<string[]> }> {
  const dir = await folder();
  const [script, record] = [join(dir, 'hook'), join(dir, 'record')];
  const told = '"$CERTGATE_SERIAL $CERTGATE_CERT_FILE $CERTGATE_KEY_FILE $CERTGATE_CA_FILE"';
  await writeFile(script, `#!/bin/sh\necho ${told} >> ${record}\n${more}\n`);
  await chmod(script, 0o755);
  return { script, lines: async () => (await readFile(record, 'utf8').catch(() => '')).split('\n').filter(Boolean) };
}
const toldOf = (dir: string, serial: string): string =>
  [serial, ...['tls.crt', 'tls.key', 'ca.crt'].map((name) => join(dir, name))].join(' ');

test('renew renews once, says what there is now, and runs the command; what is not due it leaves alone when told to', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url });
  const dir = await identityOf(home, 'service/web', 60_000);
  const old = await serialIn(dir);
  const { script, lines } = await hook();
  const due = await renew(gate, dir, '--if-due', '--json', '--exec', script);
  const serial = await serialIn(dir);
  expect(serial).not.toBe(old);
  expect([due.code, JSON.parse(due.stdout)]).toMatchObject([0, { outcome: 'renewed', path: dir, serial }]);
  expect(await lines()).toEqual([toldOf(dir, serial)]);
  const early = await renew(gate, dir, '--if-due', '--json', '--exec', script);
  expect([early.code, JSON.parse(early.stdout)]).toMatchObject([0, { outcome: 'not due', serial }]);
  expect(await lines()).toHaveLength(1);
  const forced = await renew(gate, dir, '--exec', '/bin/false');
  expect([forced.code, forced.stderr]).toEqual([1, expect.stringContaining('CG_HOOK')]);
  expect(await serialIn(dir)).not.toBe(serial);
});

test('renew says why not: the gate is away, or refuses', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url });
  const dir = await identityOf(home, 'service/web', 60_000);
  const serial = await serialIn(dir);
  await home.certgate(['lock', 'identity', 'service/web', '--reason', 'a test', '--config', home.config]);
  const refused = await renew(gate, dir);
  expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('CG_RENEWAL_REFUSED')]);
  await gate.stop();
  const away = await renew(gate, dir);
  expect([away.code, away.stderr]).toEqual([7, expect.stringContaining('ECONNREFUSED')]);
  expect(await serialIn(dir)).toBe(serial);
});

test('a daemon renews what is due and at SIGHUP, and a command that fails or hangs stops no renewal', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url });
  const dir = await identityOf(home, 'service/web', 60_000);
  const old = await serialIn(dir);
  const { script, lines } = await hook('case $(wc -l < "$(dirname "$0")/record") in 1) exit 3;; 2) sleep 600;; esac');
  const running = daemon(gate, dir, '--exec', script, '--exec-timeout', '2s');
  // The first run, at the start, fails; the second hangs.
  const second = await renewalIn(dir, old);
  await running.line((line) => line.includes('exit code 3'));
  await running.line((line) => line.includes('not ended after 2000 ms'));
  running.signal('SIGHUP');
  const third = await renewalIn(dir, second);
  await logged(running, 'hook ended');
  expect((await lines()).map((line) => line.split(' ')[0])).toEqual([expect.any(String), second, third]);
  running.signal('SIGTERM');
  expect(await running.exited).toEqual({ code: 0, signal: null });
  expect(logOf(running.stderr()).at(-1)).toMatchObject({ msg: 'stopped', hookFailures: 2 });
});

test('a daemon that is killed at any moment leaves a key and a certificate that belong together, and its successor runs the command', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url });
  // Of a killed one the turn stands for two minutes: each has a folder of its own.
  for (const name of ['service/a', 'service/b', 'service/c']) {
    const dir = await identityOf(home, name, 100_000);
    const old = await serialIn(dir);
    const { script, lines } = await hook();
    const running = daemon(gate, dir);
    await logged(running, 'keeping it renewed');
    running.signal('SIGHUP');
    const now = await renewalIn(dir, old);
    running.signal('SIGKILL');
    await running.exited;
    expect((await certIn(dir)).checkPrivateKey(createPrivateKey(await readFile(join(dir, 'tls.key'))))).toBe(true);
    const next = daemon(gate, dir, '--exec', script);
    await logged(next, 'hook ended');
    expect(await lines()).toEqual([toldOf(dir, now)]);
    await next.stop();
  }
});

test('beside a sidecar on the same folder, one renews and the other takes it', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url });
  const dir = await identityOf(home, 'worker/both', 20_000);
  const old = await serialIn(dir);
  const { script } = await hook();
  const sidecar = await home.connect(gate, dir);
  const running = daemon(gate, dir, '--exec', script);
  await renewalIn(dir, old);
  await sidecar.logged(({ msg }) => msg === 'new credentials taken');
  await logged(running, 'hook ended');
  expect((await fetch(`${sidecar.url}/api/hello`)).status).toBe(200);
  const { stdout } = await home.certgate(['list', 'worker/both', '--json', '--config', home.config]);
  expect((JSON.parse(stdout) as { certificates: unknown[] }).certificates).toHaveLength(2);
});

test('a sidecar that starts after its certificate has ended renews it within the grace', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url, env: { CERTGATE_RENEW_GRACE: '1h' } });
  const dir = await identityOf(home, 'worker/late', -5_000);
  const old = await serialIn(dir);
  const sidecar = await home.connect(gate, dir);
  expect(await serialIn(dir)).not.toBe(old);
  expect((await fetch(`${sidecar.url}/api/hello`)).status).toBe(200);
});

test('… without a grace it uses the token that is at hand, and without one it says what the gate said', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url });
  const dir = await identityOf(home, 'worker/late', -5_000);
  const connect = certgateCommand(['connect', '--gate', gateUrl(gate), '--identity', dir, '--listen', '127.0.0.1:0']);
  const refused = await finish(...connect, { env });
  expect(refused.code).toBe(5);
  expect(refused.stderr).toContain('[CG_CREDENTIALS]');
  expect(refused.stderr).toMatch(/the certificate expired at .*, and the gate refused to renew it: 403/);
  const sidecar = await home.connect(gate, dir, ['--token', await newToken(home, gate.port, 'worker/late')]);
  expect((await fetch(`${sidecar.url}/api/hello`)).status).toBe(200);
});
