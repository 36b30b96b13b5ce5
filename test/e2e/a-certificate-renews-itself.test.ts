import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { generateKey } from '../../src/pki/keys.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { sign, signInto } from './harness/certificates.ts';
import { newToken } from './harness/enrolment.ts';
import { eventually } from './harness/eventually.ts';
import type { House } from './harness/house.ts';
import { echo, folder, house } from './harness/scenario.ts';
import { openTcp, openTls } from './harness/wire.ts';

/** A certificate of five minutes, on record, that ends in `leftMs`: long past two thirds of its life. */
async function nearItsEnd(home: House, name: string, leftMs: number): Promise<string> {
  const notAfter = Math.floor((Date.now() + leftMs) / 1000) * 1000;
  const dir = join(await folder(), 'identity');
  await signInto(home, dir, { identity: name, notBefore: notAfter - 300_000, notAfter, recorded: true });
  return dir;
}
const serialIn = async (dir: string): Promise<string> =>
  new X509Certificate(await readFile(join(dir, 'tls.crt'))).serialNumber.toLowerCase();
const renewalIn = (dir: string, old: string): Promise<string> =>
  eventually('the folder has the next certificate', async () => {
    const serial = await serialIn(dir);
    return serial === old ? undefined : serial;
  });
const locks = async (home: House): Promise<{ locks: { subject: string; reason: string }[] }> => {
  const { stdout } = await home.certgate(['locks', '--json', '--config', home.config]);
  return JSON.parse(stdout) as { locks: { subject: string; reason: string }[] };
};

test.each([1, 2])(
  'a certificate renews itself under traffic and no request is lost, by a gate of %i worker(s)',
  async (workers) => {
    const home = await house();
    const gate = await home.serve({ upstream: (await echo()).url, flags: ['--workers', String(workers)] });
    const dir = await nearItsEnd(home, 'worker/busy', 9_000);
    const [old, ends] = [await serialIn(dir), Date.now() + 9_000];
    const sidecar = await home.connect(gate, dir);
    let busy = true;
    const statuses = new Map<number, number>();
    const traffic = Promise.all(
      Array.from({ length: 8 }, async () => {
        while (busy) {
          const { status, body } = await fetch(`${sidecar.url}/api/hello`);
          await body?.cancel();
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          await sleep(25); // eight of them still have one under way at most moments
        }
      }),
    );
    const fresh = await renewalIn(dir, old);
    await gate.logged(({ msg, serial }) => msg === 'renewed' && serial === fresh);
    // Past the end of the old one: whatever still goes through, goes by the new one.
    await eventually('the old one has ended', () => (Date.now() > ends + 1_000 ? true : undefined));
    busy = false;
    await traffic;
    expect([...statuses.keys()]).toEqual([200]);
    const key = createPrivateKey(await readFile(join(dir, 'tls.key')));
    expect(new X509Certificate(await readFile(join(dir, 'tls.crt'))).checkPrivateKey(key)).toBe(true);
    const { stdout } = await home.certgate(['list', 'worker/busy', '--json', '--config', home.config]);
    expect((JSON.parse(stdout) as { certificates: unknown[] }).certificates).toHaveLength(2);
    expect((await locks(home)).locks).toEqual([]);
  },
);

test('two sidecars that share a folder renew it once, and both go on', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url });
  const dir = await nearItsEnd(home, 'worker/shared', 20_000);
  const old = await serialIn(dir);
  const sidecars = await Promise.all([home.connect(gate, dir), home.connect(gate, dir)]);
  const fresh = await renewalIn(dir, old);
  for (const sidecar of sidecars) {
    await sidecar.logged(({ msg }) => msg === 'new credentials taken');
    expect((await fetch(`${sidecar.url}/api/hello`)).status).toBe(200);
  }
  const { stdout } = await home.certgate(['list', 'worker/shared', '--json', '--config', home.config]);
  const { certificates } = JSON.parse(stdout) as { certificates: { serial: string }[] };
  expect(certificates.map(({ serial }) => serial).toSorted()).toEqual([old, fresh].toSorted());
  expect((await locks(home)).locks).toEqual([]);
});

test('a gate that is down when a certificate is due is asked again until it is back', async () => {
  const home = await house();
  const upstream = (await echo()).url;
  const first = await home.serve({ upstream });
  const { port } = first;
  await first.stop();
  const dir = await nearItsEnd(home, 'worker/patient', 30_000);
  const old = await serialIn(dir);
  const sidecar = await home.connect({ port }, dir);
  await sidecar.logged(
    ({ msg, reason }) => msg === 'certificate not renewed, trying again' && String(reason).includes('ECONNREFUSED'),
  );
  expect(await serialIn(dir)).toBe(old);
  await home.serve({ upstream, port });
  await renewalIn(dir, old);
  await sidecar.logged(({ msg }) => msg === 'new credentials taken');
  expect((await fetch(`${sidecar.url}/api/hello`)).status).toBe(200);
});

test('a certificate that has ended while the gate was down is renewed within the grace, which is audited', async () => {
  const home = await house();
  const upstream = (await echo()).url;
  const first = await home.serve({ upstream });
  await first.stop();
  const dir = await nearItsEnd(home, 'worker/late', 6_000);
  const [old, ends] = [await serialIn(dir), Date.now() + 6_000];
  const sidecar = await home.connect(first, dir);
  await eventually('it has ended', () => (Date.now() > ends ? true : undefined));
  await home.serve({ upstream, port: first.port, env: { CERTGATE_RENEW_GRACE: '1h' } });
  await renewalIn(dir, old);
  await sidecar.logged(({ msg }) => msg === 'new credentials taken');
  const audit = await home.certgate(['audit', '--identity', 'worker/late', '--config', home.config]);
  expect(audit.stdout).toContain('certificate.renew-in-grace');
});

test('a certificate that has ended is replaced by a token that is at hand, and its sidecar goes on', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url });
  const dir = await nearItsEnd(home, 'worker/back', 6_000);
  const old = await serialIn(dir);
  const ends = Date.now() + 6_000;
  const token = await newToken(home, gate.port, 'worker/back');
  // Nothing renews it: its serial number is locked.
  const lock = ['lock', 'serial', old, '--reason', 'a test', '--config', home.config];
  await home.certgate(lock);
  const sidecar = await home.connect(gate, dir, ['--token', token]);
  await sidecar.logged(({ msg }) => msg === 'certificate not renewed, trying again');
  expect(Date.now() < ends ? await serialIn(dir) : old).toBe(old);
  await renewalIn(dir, old);
  await sidecar.logged(({ msg }) => msg === 'the certificate had ended: enrolled again');
  expect((await fetch(`${sidecar.url}/api/hello`)).status).toBe(200);
  const { stdout } = await home.certgate(['token', 'list', '--json', '--config', home.config]);
  expect(JSON.parse(stdout)).toMatchObject({ tokens: [{ subject: 'worker/back', usesLeft: 0, flag: null }] });
});

test('a certificate that has ended renews nothing where there is no grace, which is the default', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url });
  const notAfter = Math.floor(Date.now() / 1000) * 1000 - 1_000;
  const leaf = { identity: 'worker/late', notBefore: notAfter - 300_000, notAfter, recorded: true };
  const wire = await openTls(gate.port, await sign(home, leaf));
  wire.send('POST /.well-known/certgate/renew HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}');
  const { status, body } = await wire.answer();
  expect([status, body.toString()]).toEqual([403, expect.stringContaining('expired at')]);
});

test('who can reach a sidecar’s port acts by its certificate there, and gets none to carry away, however he spells it', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url });
  const sidecar = await home.connect(gate, await home.issue('worker/etl-1'));
  const csr = await createRequest(signerOf((await generateKey()).privateKey), { commonName: null });
  for (const path of [
    '/.well-known/certgate/renew',
    '/%2ewell-known/certgate/renew',
    '/.well-known/certgate/%72enew',
  ]) {
    const { port } = new URL(sidecar.url);
    const wire = await openTcp(Number(port));
    const body = JSON.stringify({ csr });
    wire.send(
      `POST ${path} HTTP/1.1\r\nHost: localhost\r\nX-Certgate-Client-Proto:\r\nConnection: x-certgate-client-proto\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const answer = await wire.answer();
    expect([path, answer.status]).not.toEqual([path, 200]);
    expect(answer.body.toString()).not.toContain('BEGIN CERTIFICATE');
  }
  await gate.logged(({ code }) => code === 'CG_RENEW_THROUGH_SIDECAR');
  const { stdout } = await home.certgate(['list', 'worker/etl-1', '--json', '--config', home.config]);
  expect((JSON.parse(stdout) as { certificates: unknown[] }).certificates).toHaveLength(1);
});

test('a thief who renews a copied key has both cut and the identity locked, and the record says why', async () => {
  const home = await house();
  const gate = await home.serve({ upstream: (await echo()).url });
  // The thief comes after two starts and the owner's wait for a part of it, and must still find it in its time.
  const dir = await nearItsEnd(home, 'worker/robbed', 60_000);
  const old = await serialIn(dir);
  const [stolenCert, stolenKey] = [
    await readFile(join(dir, 'tls.crt'), 'utf8'),
    await readFile(join(dir, 'tls.key'), 'utf8'),
  ];
  const owner = await home.connect(gate, dir);
  const fresh = await renewalIn(dir, old);
  await owner.logged(({ msg }) => msg === 'new credentials taken');
  expect((await fetch(`${owner.url}/api/hello`)).status).toBe(200);

  // The thief has a folder like the owner's a minute ago, and the same program.
  const den = join(await folder(), 'identity');
  await mkdir(den);
  await writeFile(join(den, 'tls.crt'), stolenCert);
  await writeFile(join(den, 'tls.key'), stolenKey, { mode: 0o600 });
  await writeFile(join(den, 'ca.crt'), await readFile(join(dir, 'ca.crt')));
  const thief = await home.connect(gate, den);
  await gate.logged(({ msg }) => msg === 'a superseded certificate was used again');
  await gate.logged(({ msg }) => msg === 'locked: connections cut');
  for (const { url } of [owner, thief]) expect((await fetch(`${url}/api/hello`)).status).toBe(403);
  const [lock] = (await locks(home)).locks;
  expect(lock).toMatchObject({ subject: 'worker/robbed' });
  expect(lock?.reason).toContain(old);
  expect(lock?.reason).toContain(fresh);
  expect(await serialIn(den)).toBe(old);
});
