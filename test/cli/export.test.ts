// What `certgate export` writes, opened by those it is written for: OpenSSL, Python's cryptography, Java's keytool, NSS
// (Firefox and Chromium), Node's TLS and its JWK import. A browser that presents it is in test/e2e.
import { spawnSync } from 'node:child_process';
import { createHash, createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { connect, createServer } from 'node:tls';
import { beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { type Ended, openShell, type Shell } from './golden.ts';

const python = [
  process.env['CERTGATE_TEST_PREFECT_PYTHON'],
  resolve(import.meta.dirname, '../../.cache/prefect/bin/python'),
]
  .filter((path) => path !== undefined)
  .find((path) => existsSync(path));
const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const noPython = python === undefined ? 'no .cache/prefect/bin/python here' : null;
const noJava = has('keytool') ? null : 'no keytool here';
const noNss = has('pk12util') ? null : 'no pk12util here, of libnss3-tools: scripts/setup browser';

type Jwk = Readonly<Record<string, string>> & { readonly kty: string; readonly x5c: readonly string[] };

const PASSWORD = 'correct horse';
const UTF8_PASSWORD = 'pä55 ☃ 😀';
const NAME = 'wörker ☃';

/** Skips the test, and says why, when there is a reason. */
function unless(reason: string | null, context: TestContext): void {
  if (reason === null) return;
  process.stderr.write(`skipped: ${context.task.name}: ${reason}\n`);
  context.skip(reason);
}

let shell: Shell;
let said: string;
const at = (name: string): string => join(shell.dir, name);
const read = (name: string): Buffer => readFileSync(at(name));
const succeed = (command: string): Ended => {
  const ended = shell.run(command);
  expect(ended.status, `${command}\n${ended.stderr}`).toBe(0);
  return ended;
};
const certificates = (file: string): X509Certificate[] =>
  (
    read(file)
      .toString()
      .match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----\n/g) ?? []
  ).map((pem) => new X509Certificate(pem));
const publicOf = (key: Parameters<typeof createPublicKey>[0]): string =>
  createPublicKey(key).export({ type: 'spki', format: 'pem' });
const keyOf = (folder: string): string => publicOf(createPrivateKey(read(`${folder}/tls.key`)));

beforeAll(() => {
  shell = openShell();
  writeFileSync(at('utf8'), UTF8_PASSWORD);
  writeFileSync(at('ascii'), `${PASSWORD}\r\n`);
  succeed('certgate init && certgate issue user/alice && certgate issue user/rsa --key-type rsa-2048');
  succeed('certgate issue user/ed --key-type ed25519');
  said = succeed(`certgate export user-alice --out modern.p12 --password-file utf8 --name '${NAME}'`).stderr;
  succeed(`certgate export user-alice --out legacy.p12 --password-file utf8 --name '${NAME}' --legacy`);
  succeed('certgate export user-rsa --out rsa-legacy.p12 --password-file - --legacy < ascii');
  succeed(`P12='${PASSWORD}' certgate export user-ed --out ed.p12 --password-env P12`);
  for (const format of ['pem', 'der', 'der-key', 'p7b', 'jwk'])
    succeed(`certgate export user-alice --format ${format}`);
  succeed('certgate export user-alice --format p7b-der --out der.p7b');
  succeed('certgate export user-alice --format jwk --public --out public.jwk');
});

const FILES = [
  ['modern.p12', UTF8_PASSWORD, 'user-alice', NAME],
  ['legacy.p12', UTF8_PASSWORD, 'user-alice', NAME],
  ['rsa-legacy.p12', PASSWORD, 'user-rsa', 'user/rsa'],
  ['ed.p12', PASSWORD, 'user-ed', 'user/ed'],
] as const;
const OF_NSS = FILES.filter(([file]) => file !== 'ed.p12');

describe('a PKCS#12 file', () => {
  test.each(FILES)('%s is opened by OpenSSL: key, whole chain, name, and the id that ties them', (...args) => {
    const [file, password, folder, name] = args;
    const legacy = file.includes('legacy') ? '-legacy' : '';
    const opened = succeed(`openssl pkcs12 ${legacy} -info -noenc -in ${file} -passin 'pass:${password}'`);
    expect(publicOf(/-----BEGIN PRIVATE KEY[\s\S]*/.exec(opened.stdout)?.[0] ?? '')).toBe(keyOf(folder));
    expect(opened.stdout.match(/(?<=^subject=).*/gm)?.map((line) => line.replaceAll(' ', ''))).toEqual([
      `CN=${folder.replace('-', '/')}`,
      'CN=certgateissuercertgate.internal',
      'CN=certgaterootcertgate.internal',
    ]);
    // OpenSSL prints the ASCII of a name; Python and NSS, below, print it all.
    expect(opened.stdout).toContain(`friendlyName: ${name.slice(0, 1)}`);
    const ids = opened.stdout.match(/localKeyID: .*/g);
    expect([ids?.length, new Set(ids).size]).toEqual([2, 1]);
    const [mac, encryption] = file.includes('legacy')
      ? ['MAC: sha1, Iteration 100000', 'pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 100000']
      : ['MAC: sha256, Iteration 600000', 'PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256'];
    expect(opened.stderr).toContain(`${mac}\n`);
    expect(opened.stderr.split(`: ${encryption}\n`)).toHaveLength(3);
  });

  test('is not opened by another password', () => {
    const { status, stderr } = shell.run('openssl pkcs12 -noout -in modern.p12 -passin pass:wrong');
    expect([status, stderr]).toEqual([1, expect.stringContaining('invalid password')]);
  });

  test(`is opened by Python's cryptography`, (context) => {
    unless(noPython, context);
    const script = `
import json, sys
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12
for file, password in json.loads(sys.argv[1]):
    p = pkcs12.load_pkcs12(open(file, 'rb').read(), password.encode())
    key = p.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    print(json.dumps([file, key, p.cert.friendly_name.decode(), len(p.additional_certs)]))
`;
    const files = JSON.stringify(FILES.map(([file, password]) => [file, password]));
    const { stdout, stderr } = spawnSync(python ?? '', ['-c', script, files], { cwd: shell.dir, encoding: 'utf8' });
    const seen = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line === '' ? 'null' : line) as unknown);
    expect(seen, stderr).toEqual(FILES.map(([file, , folder, name]) => [file, keyOf(folder), name, 2]));
  });

  test('is opened by Java, which takes ASCII passwords only', (context) => {
    unless(noJava, context);
    for (const [file, alias] of [
      ['ed.p12', 'user/ed'],
      ['rsa-legacy.p12', 'user/rsa'],
    ]) {
      const { stdout } = succeed(`keytool -list -v -storetype PKCS12 -keystore ${file} -storepass '${PASSWORD}'`);
      expect(stdout).toContain(`Alias name: ${alias}`);
      expect(stdout).toContain('Entry type: PrivateKeyEntry');
      expect(stdout).toContain('Certificate chain length: 3');
    }
    expect(said).toContain('note: Java opens such a file only under a password of ASCII characters');
  });

  test('is imported into the store of Firefox and Chromium', (context) => {
    unless(noNss, context);
    for (const [file, password, , name] of OF_NSS) {
      mkdirSync(at(`nss-${file}`));
      const db = `-d sql:nss-${file}`;
      succeed(`certutil -N ${db} --empty-password && pk12util -i ${file} ${db} -W '${password}'`);
      const { stdout } = succeed(`certutil -L ${db}`);
      expect(stdout).toMatch(new RegExp(`^${name} +u,u,u$`, 'm'));
      expect(stdout).toMatch(/^certgate issuer .*,,/m);
      expect(stdout).toMatch(/^certgate root .*,,/m);
    }
  });

  test('is presented by Node in a TLS handshake, with its chain', async () => {
    const server = createServer({
      key: read('user-alice/tls.key'),
      cert: read('user-alice/tls.crt'),
      ca: certificates('user-alice/ca.crt')
        .filter((one) => one.checkIssued(one))
        .map(String),
      requestCert: true,
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    for (const [file, passphrase, folder] of FILES) {
      const client = connect({ port, pfx: read(file), passphrase, rejectUnauthorized: false });
      const [socket] = (await once(server, 'secureConnection')) as [import('node:tls').TLSSocket];
      expect([socket.authorized, socket.getPeerX509Certificate()?.subject]).toEqual([
        true,
        `CN=${folder.replace('-', '/')}`,
      ]);
      client.destroy();
    }
    server.close();
  });
});

describe('the other forms', () => {
  test('pem is the key and the chain without the root, as a server program wants them in one file', () => {
    expect(publicOf(createPrivateKey(read('user-alice.pem')))).toBe(keyOf('user-alice'));
    expect(certificates('user-alice.pem').map(({ subject }) => subject)).toEqual([
      'CN=user/alice',
      'CN=certgate issuer certgate.internal',
    ]);
  });

  test('der and der-key are the certificate and the PKCS#8 key', () => {
    const [leaf] = certificates('user-alice/tls.crt');
    expect(new X509Certificate(read('user-alice.der')).fingerprint256).toBe(leaf?.fingerprint256);
    const key = createPrivateKey({ key: read('user-alice.key.der'), format: 'der', type: 'pkcs8' });
    expect(publicOf(key)).toBe(keyOf('user-alice'));
  });

  test.each(['-in user-alice.p7b', '-inform der -in der.p7b'])(
    'p7b is the whole chain, leaf first, to OpenSSL: %s',
    (input) => {
      const { stdout } = succeed(`openssl pkcs7 ${input} -print_certs -noout`);
      expect(stdout.match(/(?<=^subject=).*/gm)).toEqual([
        'CN = user/alice',
        'CN = certgate issuer certgate.internal',
        'CN = certgate root certgate.internal',
      ]);
    },
  );

  test('p7b is read by Python and Java too', (context) => {
    unless(noPython ?? noJava, context);
    const script =
      'import sys\nfrom cryptography.hazmat.primitives.serialization import pkcs7\n' +
      'print(len(pkcs7.load_pem_pkcs7_certificates(open("user-alice.p7b", "rb").read())))\n' +
      'print(len(pkcs7.load_der_pkcs7_certificates(open("der.p7b", "rb").read())))';
    const { stdout, stderr } = spawnSync(python ?? '', ['-c', script], { cwd: shell.dir, encoding: 'utf8' });
    expect(stdout, stderr).toBe('3\n3\n');
    for (const file of ['user-alice.p7b', 'der.p7b']) {
      expect(succeed(`keytool -printcert -file ${file}`).stdout.match(/^Owner: CN=/gm)).toHaveLength(3);
    }
  });

  test('jwk is the private key with x5c and x5t#S256, and with --public without its private half', () => {
    const [leaf] = certificates('user-alice/tls.crt');
    const jwk = JSON.parse(read('user-alice.jwk').toString()) as Jwk;
    expect(publicOf(createPrivateKey({ key: jwk, format: 'jwk' }))).toBe(keyOf('user-alice'));
    expect(jwk.x5c.map((text) => new X509Certificate(Buffer.from(text, 'base64')).subject)).toEqual([
      'CN=user/alice',
      'CN=certgate issuer certgate.internal',
    ]);
    const thumbprint = createHash('sha256')
      .update(leaf?.raw ?? '')
      .digest('base64url');
    expect(jwk['x5t#S256']).toBe(thumbprint);
    const shown = JSON.parse(read('public.jwk').toString()) as Jwk;
    expect(Object.keys(shown).toSorted()).toEqual(['crv', 'kty', 'x', 'x5c', 'x5t#S256', 'y']);
    expect(publicOf({ key: shown, format: 'jwk' })).toBe(keyOf('user-alice'));
  });

  test('an RSA key is an RSA key in JWK too, and its public half has n and e only', () => {
    succeed('certgate export user-rsa --format jwk --public');
    const { kty, ...rest } = JSON.parse(read('user-rsa.jwk').toString()) as Jwk;
    expect([kty, Object.keys(rest).toSorted()]).toEqual(['RSA', ['e', 'n', 'x5c', 'x5t#S256']]);
  });
});

test('a file has mode 0600 when it holds the key, whatever the umask, and nothing is left beside it', () => {
  succeed('umask 0 && certgate export user-alice --format pem --out open.pem');
  const mode = (name: string): string => (statSync(at(name)).mode & 0o777).toString(8);
  const withKey = ['modern.p12', 'legacy.p12', 'open.pem', 'user-alice.key.der', 'user-alice.jwk'];
  expect(withKey.map(mode)).toEqual(withKey.map(() => '600'));
  expect(['user-alice.der', 'user-alice.p7b', 'public.jwk'].map(mode)).toEqual(['644', '644', '644']);
  expect(readdirSync(shell.dir).filter((name) => name.includes('exporting'))).toEqual([]);
});

test('--force replaces a file in one step, and never writes through a link', () => {
  writeFileSync(at('target'), 'mine');
  succeed('ln -s target link.pem && cp user-alice.der old.pem');
  const { stderr } = shell.run('certgate export user-alice --format pem --out link.pem --force');
  expect(stderr).toContain('link.pem already exists and is not a regular file [CG_FILE_EXISTS]');
  expect(read('target').toString()).toBe('mine');
  succeed('certgate export user-alice --format pem --out old.pem --force');
  expect(read('old.pem').toString()).toContain('PRIVATE KEY');
});

test('a disk without room leaves no file behind', () => {
  const { status, stderr } = shell.run(
    "trap '' XFSZ; ulimit -f 0; certgate export user-alice --format pem --out full.pem",
  );
  expect(status).not.toBe(0);
  expect(stderr).toContain('error: ');
  expect(readdirSync(shell.dir).filter((name) => name.includes('full'))).toEqual([]);
});

test('what is exported is never replaced by what is made of it, --force or not', () => {
  const before = read('user-alice/tls.key');
  for (const file of ['tls.key', 'tls.crt', 'ca.crt']) {
    const { status, stderr } = shell.run(`certgate export ./user-alice --format p7b --out user-alice/${file} --force`);
    expect([status, stderr]).toEqual([3, expect.stringContaining('is what is exported [CG_FILE_EXISTS]') as string]);
  }
  expect(read('user-alice/tls.key').equals(before)).toBe(true);
});
