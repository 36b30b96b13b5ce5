import { describe, expect, test } from 'vitest';
import { derToPem, readCertificate, signerOf } from '../../src/pki/certificates.ts';
import { encodeTlv, TAG } from '../../src/pki/der.ts';
import { describeCertificate, describeRequest } from '../../src/pki/describe.ts';
import { generateKey, keyId } from '../../src/pki/keys.ts';
import { createRequest } from '../../src/pki/requests.ts';
import {
  at,
  CN,
  codeOfSync,
  craft,
  extension,
  generalNames,
  leafOf,
  OU,
  oid,
  rdn,
  TRUST_DOMAIN,
  testAuthority,
} from './fixture.ts';
import { folderWith, openssl } from './openssl.ts';

describe('the description of a certificate', () => {
  test('says all that a leaf says, as values JSON can carry', async () => {
    const { issuer, leafKey } = await testAuthority();
    const der = await leafOf('worker/etl-1', { serial: '4f'.repeat(16) });
    const description = describeCertificate(derToPem(der, 'CERTIFICATE'));
    expect(JSON.parse(JSON.stringify(description))).toEqual(description);
    expect(description).toMatchObject({
      kind: 'certificate',
      subject: 'CN=worker/etl-1',
      issuer: 'CN=test issuer',
      serial: '4f'.repeat(16),
      notBefore: at(-1).toISOString(),
      notAfter: at(1).toISOString(),
      subjectAltNames: [{ type: 'URI', value: `spiffe://${TRUST_DOMAIN}/worker/etl-1` }],
      ca: false,
      pathlen: null,
      permittedUris: [],
      key: { algorithm: 'P-256', id: keyId(leafKey.publicKey) },
      authorityKeyId: issuer.keyId,
      unreadable: null,
    });
  });

  test('has the fingerprints that openssl prints', async () => {
    const der = await leafOf('worker/etl-1');
    const folder = folderWith({ 'leaf.crt': derToPem(der, 'CERTIFICATE') });
    const { sha256, sha1 } = describeCertificate(der).fingerprints;
    for (const [hash, mine] of [
      ['-sha256', sha256],
      ['-sha1', sha1],
    ] as const) {
      const printed = await openssl(folder, 'x509', '-in', 'leaf.crt', '-noout', '-fingerprint', hash);
      expect(printed.text.split('=')[1]?.trim().replaceAll(':', '').toLowerCase()).toBe(mine);
    }
  });

  test('escapes what could pass for another name or another line', async () => {
    const value = 'a, CN=b+c="d"\\<e>;\n\u202e\u00a0\0';
    const subject = encodeTlv(TAG.sequence, rdn(CN, TAG.utf8String, value), rdn(OU, TAG.utf8String, '#x '));
    expect(describeCertificate(await craft({ subject })).subject).toBe(
      'CN=a\\, CN\\=b\\+c\\=\\"d\\"\\\\\\<e\\>\\;\\0a\\e2\\80\\ae\\c2\\a0\\00, OU=\\#x\\ ',
    );
  });

  test('shows a name that is no text as its DER, says that certgate takes no name from it, and hides nothing else', async () => {
    const subject = encodeTlv(TAG.sequence, rdn(CN, TAG.teletexString, Uint8Array.of(0xe4)));
    const description = describeCertificate(await craft({ subject, san: generalNames([2, 'a.example']) }));
    expect(description.subject).toBe('CN=#1401e4');
    expect(description.subjectAltNames).toEqual([]);
    expect(description.unreadable).toContain('not ASCII');
    expect(description.extensions.map(({ name }) => name)).toContain('subjectAltName');
  });

  test('gives purposes and extensions that have no name here by their OID', async () => {
    const purposes = encodeTlv(TAG.sequence, oid('1.3.6.1.5.5.7.3.2'), oid('1.2.3.4'));
    const extensions = [extension('2.5.29.37', purposes), extension('1.2.3.5', Uint8Array.of(5, 0), true)];
    const description = describeCertificate(await craft({ extensions }));
    expect(description.extendedKeyUsage).toEqual(['clientAuth', '1.2.3.4']);
    expect(description.extensions[1]).toEqual({ oid: '1.2.3.5', name: null, critical: true, value: '0500' });
    expect(description).toMatchObject({ subjectKeyId: null, authorityKeyId: null });
  });

  test('is the same from PEM, DER and a certificate already read', async () => {
    const der = await leafOf('worker/etl-1');
    const description = describeCertificate(der);
    expect(describeCertificate(readCertificate(der))).toEqual(description);
    expect(describeCertificate(derToPem(der, 'CERTIFICATE'))).toEqual(description);
    expect(codeOfSync(() => describeCertificate('x'))).toBe('CG_PEM');
    expect(codeOfSync(() => describeCertificate(Uint8Array.of(0x30, 0)))).toBe('CG_CERT_UNREADABLE');
  });

  test('is given for a stranger’s certificate of a kind that certgate never makes', async () => {
    const folder = folderWith({});
    const made = await openssl(
      folder,
      ...'req -x509 -newkey rsa:1024 -noenc -keyout k.pem -subj /CN=x/emailAddress=a@b.example'.split(' '),
    );
    const description = describeCertificate(made.text.slice(made.text.indexOf('-----BEGIN CERT')));
    expect(description).toMatchObject({
      subject: 'CN=x, emailAddress=a@b.example',
      key: { algorithm: 'RSA-1024' },
      signatureAlgorithm: 'sha256WithRSAEncryption',
      ca: true,
    });
  });
});

describe('the description of a request', () => {
  test('says what it asks for and for which key', async () => {
    const { privateKey, publicKey } = await generateKey('Ed25519');
    const description = describeRequest(await createRequest(signerOf(privateKey), { commonName: 'worker/etl-1' }));
    expect(description).toMatchObject({
      kind: 'request',
      subject: 'CN=worker/etl-1',
      subjectAltNames: [],
      key: { algorithm: 'Ed25519', id: keyId(publicKey) },
      signatureAlgorithm: 'Ed25519',
    });
  });
});
