import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { eventually } from './harness/eventually.ts';
import type { House } from './harness/house.ts';
import { atEnd, echo, house } from './harness/scenario.ts';
import { issuerKeyId, program, publishingFrom, ran, startNginx } from './harness/status.ts';

const PYTHON =
  process.env['CERTGATE_TEST_PREFECT_PYTHON'] ?? resolve(import.meta.dirname, '../../.cache/prefect/bin/python');
const NGINX = 'apt-get install nginx-light';
/** The certificates, by what has become of them; `early` was issued before anything was published, and names nothing. */
const identities = { good: '', bad: '', early: '', gone: '' };
let home: House;
let url: string;
let keyId: string;

// One gate for all: with two workers, so that it is the primary that publishes.
beforeAll(async () => {
  home = await house();
  identities.early = await home.issue('worker/early');
  identities.gone = await home.issue('worker/gone');
  url = await publishingFrom(home);
  identities.good = await home.issue('worker/good');
  identities.bad = await home.issue('worker/bad');
  keyId = await issuerKeyId(home);
  await home.serve({ upstream: (await echo()).url, flags: ['--workers', '2'] });
  for (const name of ['worker/bad', 'worker/gone']) {
    await home.certgate(['revoke', name, '--reason', 'keyCompromise', '--config', home.config]);
  }
  await eventually('both are on the list', async () => {
    const list = await fetch(`${url}/crl.crl`);
    return list.headers.get('etag') !== null && (await list.arrayBuffer()).byteLength > 400 ? true : undefined;
  });
});

const leaf = (identity: string): string => join(identity, 'tls.crt');
const chain = ['-CAfile', 'certs/root.crt', '-untrusted', 'certs/issuer.crt'];

test('openssl verify -crl_check takes the list from where the certificate says it is', async () => {
  const verify = (identity: string) =>
    ran(home, 'openssl', ['verify', '-crl_check', '-crl_download', ...chain, leaf(identity)]);
  expect(await verify(identities.good)).toMatchObject({ ok: true });
  const { ok, text } = await verify(identities.bad);
  expect(ok).toBe(false);
  expect(text).toContain('certificate revoked');
});

test('openssl verify -crl_check takes an exported list, for every certificate of the issuer', async () => {
  await home.certgate(['crl', 'export', '--out', 'issuer.crl', '--config', home.config]);
  await home.certgate(['crl', 'export', '--issuer', 'root', '--out', 'root.crl', '--config', home.config]);
  const lists = ['-CRLfile', 'issuer.crl', '-CRLfile', 'root.crl'];
  for (const check of ['-crl_check', '-crl_check_all']) {
    for (const [name, identity] of Object.entries(identities)) {
      const { ok, text } = await ran(home, 'openssl', [
        'verify',
        check,
        ...lists,
        '-x509_strict',
        ...chain,
        leaf(identity),
      ]);
      const isRevoked = name === 'bad' || name === 'gone';
      expect([name, ok, text.includes('certificate revoked')]).toEqual([name, !isRevoked, isRevoked]);
    }
  }
});

test('openssl ocsp asks and believes the answer, with and without a nonce, whether it trusts the root or the issuer', async () => {
  const certs = Object.values(identities).flatMap((identity) => ['-cert', leaf(identity)]);
  for (const flags of [
    ['-CAfile', 'certs/root.crt'],
    ['-CAfile', 'certs/root.crt', '-no_nonce'],
    ['-VAfile', 'certs/issuer.crt', '-no_nonce'],
    ['-sha256', '-CAfile', 'certs/root.crt'],
  ]) {
    const digest = flags[0] === '-sha256' ? ['-sha256'] : [];
    const asked = [
      '-issuer',
      'certs/issuer.crt',
      ...certs.flatMap((word) => (word === '-cert' ? [...digest, word] : [word])),
    ];
    const trust = flags.filter((word) => word !== '-sha256');
    const { ok, text } = await ran(home, 'openssl', ['ocsp', '-url', `${url}/ocsp`, ...asked, ...trust]);
    expect([ok, text]).toEqual([true, expect.stringContaining('Response verify OK')]);
    expect(text.match(/tls\.crt: \w+/g)).toEqual(
      ['good', 'revoked', 'good', 'revoked'].map((status) => `tls.crt: ${status}`),
    );
    expect(text).toContain('Reason: keyCompromise');
    expect(text).not.toContain('WARNING');
  }
});

test("Go's crypto/x509 and x/crypto/ocsp read the list and the answers", async (context) => {
  const go = program(context, 'go', 'install Go 1.21 or newer');
  const source = join(import.meta.dirname, 'go/revocations');
  // As set-up builds Go's programs, of which the standard library is in Go's cache then.
  const how = ['-trimpath', '-gcflags=all=-N -l', '-o', join(home.dir, 'revocations')];
  const built = await ran(home, go, ['build', '-C', source, ...how, '.'], {
    GOTOOLCHAIN: 'local',
    GOFLAGS: '-mod=readonly',
  });
  if (!built.ok) {
    process.stderr.write(`skipped: ${context.task.name}: Go cannot build the reader here: ${built.text}\n`);
    context.skip(`Go cannot build the reader here: ${built.text}`);
  }
  for (const [identity, reason, status] of [
    [identities.good, -1, 0],
    [identities.bad, 1, 1],
  ] as const) {
    const read = await ran(home, './revocations', [
      'certs/issuer.crt',
      leaf(identity),
      `${url}/crl/${keyId}.crl`,
      `${url}/ocsp`,
    ]);
    expect([read.ok, read.text]).toEqual([true, expect.any(String)]);
    expect(JSON.parse(read.stdout)).toMatchObject({
      authorityKeyId: keyId,
      points: [`${url}/crl/${keyId}.crl`],
      responders: [`${url}/ocsp`],
      issuers: [`${url}/issuer/${keyId}.crt`],
      reason,
      ocsp: [status, status, status, status],
    });
  }
});

test("Python's cryptography reads the list and the answers, with nonces of 1, 32 and 128 octets", async (context) => {
  if (!existsSync(PYTHON)) {
    process.stderr.write(`skipped: ${context.task.name}: no Python with cryptography at .cache/prefect/bin/python\n`);
    context.skip('no Python with cryptography');
  }
  const script = join(import.meta.dirname, 'python/revocations.py');
  for (const [identity, reason, status] of [
    [identities.good, null, 'GOOD'],
    [identities.bad, 'keyCompromise', 'REVOKED'],
  ] as const) {
    const read = await ran(home, PYTHON, [script, 'certs/issuer.crt', leaf(identity), `${url}/crl.crl`, `${url}/ocsp`]);
    expect([read.ok, read.text]).toEqual([true, expect.any(String)]);
    expect(JSON.parse(read.stdout)).toMatchObject({
      point: [true, [`${url}/crl/${keyId}.crl`]],
      onlyLeaves: true,
      reason,
      ocsp: [status],
      answers: 16,
    });
  }
});

/** Both lists, in files of their own. */
async function exportLists(): Promise<void> {
  await home.certgate(['crl', 'export', '--out', 'both-issuer.crl', '--config', home.config]);
  await home.certgate(['crl', 'export', '--issuer', 'root', '--out', 'both-root.crl', '--config', home.config]);
}

test("Java's PKIX validator believes the lists in files, the published one and the answers", async (context) => {
  const java = program(context, 'java', 'apt-get install openjdk-17-jdk-headless');
  program(context, 'javac', 'apt-get install openjdk-17-jdk-headless');
  await exportLists();
  const source = join(import.meta.dirname, 'java/Revocations.java');
  const files = ['certs/root.crt', 'certs/issuer.crt', 'both-issuer.crl', 'both-root.crl'];
  const read = await ran(home, java, [source, ...files, leaf(identities.good), leaf(identities.bad)]);
  expect([read.ok, read.text]).toEqual([true, expect.any(String)]);
  const ways = ['lists', 'published-list', 'ocsp'];
  expect(read.stdout.trim().split('\n')).toEqual([
    ...ways.map((way) => `worker-good ${way} good`),
    ...ways.map((way) => `worker-bad ${way} REVOKED at 0`),
  ]);
});

test('GnuTLS believes the lists, and the answers of the issuer', async (context) => {
  const certtool = program(context, 'certtool', 'apt-get install gnutls-bin');
  await exportLists();
  expect(await ran(home, '/bin/sh', ['-c', 'cat both-issuer.crl both-root.crl >gnutls.crl'])).toMatchObject({
    ok: true,
  });
  const issuer = 'certs/issuer.crt';
  for (const [name, identity] of Object.entries(identities)) {
    const isRevoked = name === 'bad' || name === 'gone';
    const trust = ['--load-ca-certificate', 'certs/root.crt', '--load-crl', 'gnutls.crl'];
    const { text } = await ran(home, certtool, ['--verify', ...trust, '--infile', leaf(identity)]);
    expect([name, text]).toEqual([
      name,
      expect.stringContaining(
        isRevoked ? 'The certificate chain is revoked' : 'output: Verified. The certificate is trusted.',
      ),
    ]);
    const whose = ['--load-cert', leaf(identity), '--load-issuer', issuer, '--load-signer', issuer];
    const answer = await ran(home, 'ocsptool', [`--ask=${url}/ocsp`, '--nonce', ...whose]);
    expect([name, answer.text]).toEqual([name, expect.stringContaining('Verifying OCSP Response: Success')]);
    expect(answer.text).toContain(`Certificate Status: ${isRevoked ? 'revoked' : 'good'}`);
  }
});

test('NSS takes both lists into its database, and refuses who is on them', async (context) => {
  const certutil = program(context, 'certutil', 'apt-get install libnss3-tools');
  await exportLists();
  const nss = async (command: string, ...args: string[]) => await ran(home, command, [...args, '-d', 'sql:nss']);
  expect(await ran(home, '/bin/sh', ['-c', 'mkdir nss'])).toMatchObject({ ok: true });
  expect(await nss(certutil, '-N', '--empty-password')).toMatchObject({ ok: true });
  const known = {
    root: 'certs/root.crt',
    issuer: 'certs/issuer.crt',
    good: leaf(identities.good),
    bad: leaf(identities.bad),
  };
  for (const [name, path] of Object.entries(known)) {
    const trust = name === 'root' ? 'CT,,' : ',,';
    expect(await nss(certutil, '-A', '-n', name, '-t', trust, '-i', path)).toMatchObject({ ok: true });
  }
  const verdicts = async () =>
    await Promise.all(
      ['good', 'bad'].map(async (name) => (await nss(certutil, '-V', '-n', name, '-u', 'C')).text.trim()),
    );
  const isValid = 'certutil: certificate is valid';
  expect(await verdicts()).toEqual([isValid, isValid]);
  for (const list of ['issuer', 'root']) {
    const der = ['crl', '-in', `both-${list}.crl`, '-outform', 'DER', '-out', `${list}.der`];
    expect(await ran(home, 'openssl', der)).toMatchObject({ ok: true });
    expect(await nss('crlutil', '-I', '-i', `${list}.der`)).toMatchObject({ ok: true });
  }
  expect(await verdicts()).toEqual([isValid, expect.stringContaining("Peer's Certificate has been revoked")]);
});

test('nginx refuses who is on the lists in ssl_crl, and nobody else', async (context) => {
  const path = program(context, 'nginx', NGINX);
  const lists = async (): Promise<void> => {
    await home.certgate(['crl', 'export', '--out', 'issuer.pem', '--config', home.config]);
    await home.certgate(['crl', 'export', '--issuer', 'root', '--out', 'root.pem', '--config', home.config]);
    expect(await ran(home, '/bin/sh', ['-c', 'cat issuer.pem root.pem >nginx.crl'])).toMatchObject({ ok: true });
  };
  const late = await home.issue('worker/late');
  await lists();
  const nginx = await startNginx(home, path, ['ssl_crl nginx.crl;']);
  atEnd(async () => await nginx.stop());
  const statuses = () => Promise.all([...Object.values(identities), late].map((identity) => nginx.status(identity)));
  expect(await statuses()).toEqual([200, 400, 200, 400, 200]);
  await home.certgate(['revoke', 'worker/late', '--config', home.config]);
  await lists();
  await nginx.reload();
  expect(await statuses()).toEqual([200, 400, 200, 400, 400]);
});

test('nginx asks by OCSP where the certificate says so, and refuses who is revoked', async (context) => {
  const path = program(context, 'nginx', NGINX);
  const nginx = await startNginx(home, path, ['ssl_ocsp leaf;']);
  atEnd(async () => await nginx.stop());
  expect(await nginx.status(identities.good)).toBe(200);
  expect(await nginx.status(identities.bad)).toBe(400);
});

test('the address that the certificate names for its issuer has the certificate of its issuer', async () => {
  const answer = await fetch(`${url}/issuer/${keyId}.crt`);
  expect(answer.headers.get('content-type')).toBe('application/pkix-cert');
  await writeFile(join(home.dir, 'fetched.crt'), Buffer.from(await answer.arrayBuffer()));
  const fetched = ['-untrusted', 'fetched.crt', '-CAfile', 'certs/root.crt'];
  expect(await ran(home, 'openssl', ['verify', ...fetched, leaf(identities.good)])).toMatchObject({ ok: true });
});
