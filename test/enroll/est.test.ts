import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CSR_ATTRIBUTES,
  estAsked,
  isEstPath,
  readBasic,
  readPkcs10,
  writeCerts,
  writeIssuedCert,
} from '../../src/enroll/est.ts';
import { credentialOf, newToken, writeToken } from '../../src/enroll/token.ts';
import { readIssued } from '../../src/enroll/wire.ts';
import { pemToDer } from '../../src/pki/pem.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { uvicornPython } from '../http1/parsers/uvicorn.ts';
import { folderWith, openssl } from '../pki/openssl.ts';
import { newKey, scene, serialIn } from './fixture.ts';

const noCryptography = uvicornPython === null ? 'no Python with cryptography here: scripts/setup prefect' : null;
if (noCryptography !== null) process.stderr.write(`skipped: ${noCryptography}\n`);

const basic = (text: string): string => `Basic ${Buffer.from(text, 'latin1').toString('base64')}`;

describe('a path', () => {
  test.each([
    ['/.well-known/est', true],
    ['/.well-known/est/', true],
    ['/.well-known/est/cacerts', true],
    ['/.well-known/est/x/y', true],
    ['/.well-known/esto/cacerts', false],
    ['/.well-known/', false],
    ['/api/.well-known/est/cacerts', false],
  ])('%s is EST’s: %s', (path, is) => expect(isEstPath(path)).toBe(is));

  test.each([
    ['GET', '/cacerts', 'cacerts'],
    ['GET', '/csrattrs', 'csrattrs'],
    ['POST', '/simpleenroll', 'simpleenroll'],
    ['POST', '/simplereenroll', 'simplereenroll'],
  ])('%s %s is answered', (method, path, operation) =>
    expect(estAsked(method, `/.well-known/est${path}`)).toEqual({ ok: true, operation }),
  );

  test.each([
    ['HEAD', '/cacerts', 405, 'GET'],
    ['POST', '/cacerts', 405, 'GET'],
    ['GET', '/simpleenroll', 405, 'POST'],
    ['PUT', '/simplereenroll', 405, 'POST'],
    ['POST', '/serverkeygen', 404, null],
    ['POST', '/fullcmc', 404, null],
    ['GET', '', 404, null],
    ['GET', '/', 404, null],
    ['GET', '/cacerts/', 404, null],
    ['GET', '/constructor', 404, null],
    ['GET', '/label/cacerts', 404, null],
    ['POST', '/label/serverkeygen', 404, null],
    ['GET', '/a/b/cacerts', 404, null],
  ])('%s %s is not', (method, path, status, allow) =>
    expect(estAsked(method, `/.well-known/est${path}`)).toMatchObject({ ok: false, status, allow }),
  );

  test('with a label says where to ask without', () => {
    expect(estAsked('GET', '/.well-known/est/arbitraryLabel1/cacerts')).toMatchObject({
      detail: expect.stringContaining('ask /.well-known/est/cacerts') as string,
    });
  });
});

describe('a password', () => {
  const token = newToken({ subject: 'worker/a', gate: 'https://gate.example', rootFingerprint: 'ab'.repeat(32) });

  test.each([
    ['padding left out', (text: string) => text.replace(/=+$/, '')],
    ['padding that is too much', (text: string) => `${text}=`],
    ['bits left over', (text: string) => text.replace(/A==$/, 'B==')],
    ['a space in it', (text: string) => `${text.slice(0, 8)} ${text.slice(8)}`],
    ['a line end in it', (text: string) => `${text.slice(0, 8)}\r\n ${text.slice(8)}`],
    ['something behind it', (text: string) => `${text},${text}`],
    ['the letters of URLs', (text: string) => `${text.slice(0, 8)}-_${text.slice(10)}`],
    ['nothing', () => ''],
    ['quotes', (text: string) => `"${text}"`],
  ])('whose base64 has %s is none', (_what, change) => {
    // As long as leaves one octet for the end: two signs of padding.
    const plain = [0, 1, 2].map((more) => `:${writeToken(token)}${'A'.repeat(more)}\0`);
    const text = Buffer.from(plain.find((one) => one.length % 3 === 1) ?? '', 'latin1').toString('base64');
    expect([text.slice(-3), readBasic(`Basic ${text}`)]).toEqual(['A==', expect.objectContaining({ identity: null })]);
    expect(readBasic(`Basic ${change(text)}`)).toBeNull();
  });

  test.each([
    'Basic',
    'Basic ',
    'Basic\tOng=',
    'Basic:Ong=',
    'Basic\u00a0Ong=',
    'BasicOng=',
    'Negotiate Ong=',
    'Basic Ong=, Basic Ong=',
  ])('is not in %j', (line) => expect(readBasic(line)).toBeNull());

  test('of octets that are no ASCII is one that nobody has, and breaks nothing', () => {
    for (const text of ['\xff\xfe:\x00', 'worker/a\r\nX: y:z', '::::', `${'a'.repeat(5_000)}:x`, 'worker/ä:x']) {
      const user = text.slice(0, text.indexOf(':'));
      expect(readBasic(basic(text))).toEqual({ identity: user === '' ? null : user, token: '' });
    }
  });

  test('is the token, and the user the name or nobody', () => {
    const read = { token: credentialOf(token), identity: 'worker/a' };
    expect(readBasic(basic(`worker/a:${writeToken(token)}`))).toEqual(read);
    expect(readBasic(basic(`:${writeToken(token)}`).replace('Basic', 'bASIC '))).toEqual({ ...read, identity: null });
  });

  test('that is no token is one that nobody has', () => {
    for (const password of ['', 'hunter2', writeToken(token).slice(0, -1), credentialOf(token), 'cgt1_\u00e9:x']) {
      expect(readBasic(basic(`u:${password}`))).toEqual({ identity: 'u', token: '' });
    }
  });

  test('is asked for where there is none', () => {
    for (const header of [null, '', 'Basic', 'Basic ', 'Basic !', 'Bearer abc', 'Digest a="b"', basic('no colon')]) {
      expect(readBasic(header)).toBeNull();
    }
  });
});

describe('a request', () => {
  test('is base64 of DER, however it is broken into lines', async () => {
    const pem = await createRequest(signerOf(newKey()), { commonName: 'a' });
    const base64 = Buffer.from(pemToDer(pem, 'CERTIFICATE REQUEST')).toString('base64');
    const inner = pem.split('\n').slice(1, -2);
    for (const body of [base64, `${base64}\r\n`, inner.join('\n'), inner.join('\r\n'), ` \t${inner.join(' ')}`]) {
      expect(readPkcs10(Buffer.from(body))).toBe(pem);
    }
  });

  test('in another form is none, and never throws', async () => {
    const pem = await createRequest(signerOf(newKey()), { commonName: null });
    const der = Buffer.from(pemToDer(pem, 'CERTIFICATE REQUEST'));
    for (const body of [pem, der, '', '====', 'A', 'QQ', 'QQ=', 'QR==', 'QQ==QQ==', 'Q_-A', 'QUJD\u00a0']) {
      expect(readPkcs10(Buffer.from(body))).toBeNull();
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (octets) => {
        const read = readPkcs10(Buffer.from(octets));
        return read === null || typeof read === 'string';
      }),
    );
  });
});

describe('what is sent', () => {
  const issued = async () => {
    const at = await scene();
    const answer = await at.enroll(await at.token('worker/etl-1'), newKey());
    const { certificate = '', bundle = '' } = readIssued(answer.text) ?? {};
    return { at, serial: serialIn(answer), certificate, bundle };
  };

  test('is read by openssl: the one certificate that was issued, and all of the CA', async () => {
    const { certificate, bundle, serial } = await issued();
    const folder = folderWith({ 'leaf.b64': writeIssuedCert(certificate), 'ca.b64': writeCerts(bundle) });
    for (const name of ['leaf', 'ca']) {
      expect(await openssl(folder, 'base64', '-d', '-in', `${name}.b64`, '-out', `${name}.der`)).toMatchObject({
        ok: true,
      });
      expect(
        await openssl(folder, 'cms', '-cmsout', '-print', '-inform', 'DER', '-in', `${name}.der`, '-noout'),
      ).toMatchObject({ ok: true });
    }
    const leaf = await openssl(folder, 'pkcs7', '-inform', 'DER', '-in', 'leaf.der', '-print_certs');
    expect(leaf.text.match(/BEGIN CERTIFICATE/g)).toHaveLength(1);
    expect(new X509Certificate(leaf.text.slice(leaf.text.indexOf('-----'))).serialNumber.toLowerCase()).toBe(serial);
    const ca = await openssl(folder, 'pkcs7', '-inform', 'DER', '-in', 'ca.der', '-print_certs');
    expect(ca.text.match(/BEGIN CERTIFICATE/g)).toHaveLength(bundle.match(/BEGIN CERTIFICATE/g)?.length ?? 0);
  });

  test.skipIf(noCryptography !== null)('is read by Python’s cryptography', async () => {
    const { certificate, bundle } = await issued();
    const program =
      'import base64,sys\nfrom cryptography.hazmat.primitives.serialization import pkcs7\n' +
      'print(len(pkcs7.load_der_pkcs7_certificates(base64.b64decode(sys.stdin.read()))))';
    const count = (text: string) =>
      Number(execFileSync(uvicornPython ?? '', ['-c', program], { input: text, encoding: 'utf8' }));
    expect([count(writeIssuedCert(certificate)), count(writeCerts(bundle))]).toEqual([1, 2]);
  });

  test('as attributes is a P-256 key that signs with SHA-256', async () => {
    const folder = folderWith({ attrs: Buffer.from(CSR_ATTRIBUTES, 'base64') });
    const { text } = await openssl(folder, 'asn1parse', '-inform', 'DER', '-in', 'attrs');
    expect(text.match(/OBJECT\s+:(.*)/g)?.map((line) => line.replace(/.*:/, ''))).toEqual([
      'id-ecPublicKey',
      'prime256v1',
      'ecdsa-with-SHA256',
    ]);
  });
});
