import { execFileSync, spawnSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, verify, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { passphraseFile } from '../../src/authority/passphrase.ts';
import { openPkcs11Key, selectorOf } from '../../src/authority/pkcs11.ts';
import { createIssuer, createLeaf, createRoot, issuerOf, newSerial, signerOf } from '../../src/pki/certificates.ts';
import { generateKey } from '../../src/pki/keys.ts';
import { failureOf, newFolder } from '../store/fixture.ts';

const module = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/pkcs11/libsofthsm2.so'].find((path) => existsSync(path));
const tools = ['softhsm2-util', 'pkcs11-tool'].filter((tool) => spawnSync(tool, ['--help']).error !== undefined);
const missing = [...(module === undefined ? ['libsofthsm2.so'] : []), ...tools];
const why = missing.length === 0 ? '' : ` (skipped: no ${missing.join(', ')}: apt-get install softhsm2 opensc)`;
const PIN = '471147114711';

/** A new token `ca` with a key `issuer`; answers the file of its PIN. */
function tokenWith(type: string): { pin: string; dir: string } {
  const dir = newFolder();
  mkdirSync(join(dir, 'tokens'));
  const conf = join(dir, 'softhsm2.conf');
  writeFileSync(conf, `directories.tokendir = ${join(dir, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  // The children of this process find the token by it, as those of `certgate signer` would.
  process.env['SOFTHSM2_CONF'] = conf;
  execFileSync('softhsm2-util', ['--init-token', '--free', '--label', 'ca', '--pin', PIN, '--so-pin', '87654321']);
  const key = ['--keypairgen', '--key-type', type, '--label', 'issuer', '--id', '01'];
  execFileSync('pkcs11-tool', ['--module', module ?? '', '--token-label', 'ca', '--login', '--pin', PIN, ...key], {
    stdio: 'ignore',
  });
  const pin = join(dir, 'pin');
  writeFileSync(pin, `${PIN}\n`, { mode: 0o600 });
  return { pin, dir };
}

describe.skipIf(missing.length > 0)(`a key in a token of SoftHSM${why}`, () => {
  test.each([
    ['EC:prime256v1', 'sha256'],
    ['rsa:2048', 'sha256'],
  ])('%s signs, by label and by id', async (type, hash) => {
    const { pin } = tokenWith(type);
    const content = Buffer.from('what is to be signed');
    for (const uri of ['pkcs11:token=ca;object=issuer', 'pkcs11:token=ca;id=%01;type=private']) {
      const signer = await openPkcs11Key({ uri, module: module ?? '', pin: passphraseFile(pin) });
      expect(verify(hash, content, signer.publicKey, await signer.sign(content))).toBe(true);
    }
  });

  test('P-384 signs when its public half is given, and another public half is found out', async () => {
    const { pin } = tokenWith('EC:secp384r1');
    const listing = ['--module', module ?? '', '--token-label', 'ca', '--list-objects', '--type', 'pubkey'];
    const [, point = ''] = /EC_POINT: +0461([0-9a-f]{194})/.exec(execFileSync('pkcs11-tool', listing).toString()) ?? [];
    const spki = Buffer.from(`3076301006072a8648ce3d020106052b81040022036200${point}`, 'hex');
    const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    const key = { uri: 'pkcs11:object=issuer;token=ca', module: module ?? '', pin: passphraseFile(pin) };
    const signer = await openPkcs11Key({ ...key, publicKey });
    const content = Buffer.from('what is to be signed');
    expect(verify('sha384', content, publicKey, await signer.sign(content))).toBe(true);
    const { publicKey: another } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const { message } = await failureOf('CG_PKCS11', () => openPkcs11Key({ ...key, publicKey: another }));
    expect(message).toContain('no signature by that key');
  });

  test('issues certificates that OpenSSL verifies', async () => {
    const { pin, dir } = tokenWith('EC:prime256v1');
    const uri = 'pkcs11:token=ca;object=issuer';
    const signer = await openPkcs11Key({ uri, module: module ?? '', pin: passphraseFile(pin) });
    const now = Date.now();
    const validity = { notBefore: new Date(now - 60_000), notAfter: new Date(now + 3_600_000) };
    const [rootKey, leafKey] = [await generateKey(), await generateKey()];
    const root = issuerOf(
      await createRoot({ commonName: 'r', ...validity, key: rootKey }),
      signerOf(rootKey.privateKey),
    );
    const request = { commonName: 'i', ...validity, root, trustDomain: 'a.example', key: signer };
    const issuer = issuerOf(await createIssuer(request), signer);
    const leaf = await createLeaf({
      profile: 'client',
      subjectCommonName: 'worker/a',
      spiffeUri: 'spiffe://a.example/worker/a',
      publicKey: leafKey.publicKey,
      ...validity,
      serial: newSerial(),
      issuer,
    });
    const files = { root: root.certificate.raw, issuer: issuer.certificate.raw, leaf };
    for (const [name, der] of Object.entries(files)) {
      writeFileSync(join(dir, name), new X509Certificate(der).toString());
    }
    const args = ['verify', '-CAfile', 'root', '-untrusted', 'issuer', '-x509_strict', 'leaf'];
    expect(spawnSync('openssl', args, { cwd: dir, encoding: 'utf8' }).stdout).toBe('leaf: OK\n');
  });

  test('with a wrong PIN, another label, another token or no library is one error, without the PIN', async () => {
    const { pin, dir } = tokenWith('EC:prime256v1');
    const good = { uri: 'pkcs11:token=ca;object=issuer', module: module ?? '', pin: passphraseFile(pin) };
    const wrong = join(dir, 'wrong');
    writeFileSync(wrong, '99998888', { mode: 0o600 });
    for (const other of [
      { pin: passphraseFile(wrong) },
      { uri: 'pkcs11:token=ca;object=nobody' },
      { uri: 'pkcs11:token=nowhere;object=issuer' },
      { module: '/nonexistent.so' },
      { tool: 'no-such-pkcs11-tool' },
      { pin: null },
    ]) {
      const { message, hint } = await failureOf('CG_PKCS11', () => openPkcs11Key({ ...good, ...other }));
      expect(message + hint).not.toMatch(/99998888|4711/);
    }
  });

  test('never has its PIN in an argument', async () => {
    const { pin, dir } = tokenWith('EC:prime256v1');
    // Writes its arguments down, and what it finds in /proc of itself, then does what it is called for.
    const tool = join(dir, 'tool');
    const spy = `#!/bin/sh\ntr '\\0' ' ' < /proc/$$/cmdline >> ${dir}/seen\necho "$@" >> ${dir}/seen\nexec pkcs11-tool "$@"\n`;
    writeFileSync(tool, spy, { mode: 0o700 });
    const uri = 'pkcs11:token=ca;object=issuer';
    const signer = await openPkcs11Key({ uri, module: module ?? '', pin: passphraseFile(pin), tool });
    await signer.sign(Buffer.from('x'));
    const seen = readFileSync(join(dir, 'seen'), 'utf8');
    expect(seen).toContain('--sign');
    expect(seen).not.toContain(PIN);
  });
});

describe('a PKCS#11 URI', () => {
  test('is taken apart into the arguments of pkcs11-tool', () => {
    expect(selectorOf('pkcs11:token=my%20ca;object=issuer')).toEqual(['--token-label', 'my ca', '--label', 'issuer']);
    expect(selectorOf('pkcs11:id=%01%AF')).toEqual(['--id', '01af']);
  });

  test.each([
    ['no scheme', 'token=ca;object=issuer'],
    ['no key', 'pkcs11:token=ca'],
    ['a PIN in it', 'pkcs11:token=ca;object=issuer?pin-value=471147'],
    ['an attribute that is not taken', 'pkcs11:serial=1;object=issuer'],
    ['a broken escape', 'pkcs11:object=%4'],
    ['an empty part', 'pkcs11:object=;token=ca'],
  ])('is refused with %s, and a PIN is not repeated', async (_, uri) => {
    const { message } = await failureOf('CG_PKCS11', () => selectorOf(uri));
    expect(message).not.toContain('471147');
  });
});
