import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createIssuer,
  createRoot,
  derToPem,
  factsOf,
  issuerOf,
  newSerial,
  readCertificate,
  signerOf,
} from '../../src/pki/certificates.ts';
import { describeCertificate } from '../../src/pki/describe.ts';
import { generateKey, type KeyKind, keyId } from '../../src/pki/keys.ts';
import { at, codeOf, leafOf, TRUST_DOMAIN, testAuthority } from './fixture.ts';

/** Name and criticality of each extension, in order. */
const extensionsOf = (der: Uint8Array): ReadonlyArray<readonly [string | null, boolean]> =>
  describeCertificate(der).extensions.map(({ name, critical }) => [name, critical]);

describe('a serial number', () => {
  test('is 128 bits as 32 lower-case hex digits, the first two never 00', () => {
    const serials = Array.from({ length: 2000 }, newSerial);
    for (const serial of serials) expect(serial).toMatch(/^(?!00)[0-9a-f]{32}$/);
    expect(new Set(serials).size).toBe(2000);
  });

  test('is read back from the certificate as it was given, and is positive there', async () => {
    const octet = fc.integer({ min: 1, max: 255 }).map((value) => value.toString(16).padStart(2, '0'));
    const serial = fc.tuple(
      octet,
      fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdef')), minLength: 30, maxLength: 30 }),
    );
    await fc.assert(
      fc.asyncProperty(serial, async (parts) => {
        const certificate = readCertificate(await leafOf('worker/x', { serial: parts.join('') }));
        expect(factsOf(certificate).serial).toBe(parts.join(''));
        expect(certificate.serialNumber.toLowerCase()).toBe(parts.join(''));
      }),
      { numRuns: 30 },
    );
  });
});

describe('the root', () => {
  test('is a CA for certificates and CRLs, says so critically, and names its own key twice', async () => {
    const { root } = await testAuthority();
    const described = describeCertificate(root.certificate);
    expect(described).toMatchObject({
      subject: 'CN=test root',
      issuer: 'CN=test root',
      ca: true,
      pathlen: null,
      keyUsage: ['keyCertSign', 'cRLSign'],
      subjectKeyId: root.keyId,
      authorityKeyId: root.keyId,
    });
    expect(extensionsOf(root.certificate.raw)).toEqual([
      ['basicConstraints', true],
      ['keyUsage', true],
      ['subjectKeyIdentifier', false],
      ['authorityKeyIdentifier', false],
    ]);
  });
});

describe('the issuer', () => {
  test('may sign leaves only, of URIs of one trust domain only', async () => {
    const { root, issuer } = await testAuthority();
    expect(describeCertificate(issuer.certificate)).toMatchObject({
      issuer: 'CN=test root',
      ca: true,
      pathlen: 0,
      keyUsage: ['digitalSignature', 'keyCertSign', 'cRLSign'],
      permittedUris: [TRUST_DOMAIN],
      subjectKeyId: keyId(issuer.certificate.publicKey),
      authorityKeyId: root.keyId,
    });
  });

  test('has name constraints that are not critical: Chromium would refuse the gate otherwise', async () => {
    const { issuer } = await testAuthority();
    expect(extensionsOf(issuer.certificate.raw)).toEqual([
      ['basicConstraints', true],
      ['keyUsage', true],
      ['nameConstraints', false],
      ['subjectKeyIdentifier', false],
      ['authorityKeyIdentifier', false],
    ]);
  });

  test.each(['.example', '', 'Prefect.Example', 'a..b', 'prefect.example/x', 'a'.repeat(256)])(
    'is not made for the trust domain %o',
    async (trustDomain) => {
      const { root } = await testAuthority();
      const names = { commonName: 'i', trustDomain, notBefore: at(0), notAfter: at(1) };
      expect(await codeOf(async () => createIssuer({ ...names, key: await generateKey(), root }))).toBe(
        'CG_CERT_CONTENT',
      );
    },
  );
});

describe('a leaf', () => {
  test.each([
    ['client', 'clientAuth'],
    ['server', 'serverAuth'],
  ] as const)('of the profile %s has exactly what a leaf needs', async (profile, purpose) => {
    const { issuer, leafKey } = await testAuthority();
    const der = await leafOf('worker/etl-1', { profile });
    expect(describeCertificate(der)).toMatchObject({
      subject: 'CN=worker/etl-1',
      issuer: 'CN=test issuer',
      ca: false,
      keyUsage: ['digitalSignature'],
      extendedKeyUsage: [purpose],
      subjectAltNames: [{ type: 'URI', value: `spiffe://${TRUST_DOMAIN}/worker/etl-1` }],
      subjectKeyId: keyId(leafKey.publicKey),
      authorityKeyId: issuer.keyId,
      signatureAlgorithm: 'ecdsa-with-SHA256',
    });
    expect(extensionsOf(der)).toEqual([
      ['basicConstraints', true],
      ['keyUsage', true],
      ['extKeyUsage', false],
      ['subjectAltName', false],
      ['subjectKeyIdentifier', false],
      ['authorityKeyIdentifier', false],
    ]);
  });

  test('has its DNS names and addresses after its one URI, each once, addresses in their one form; a server that has some has no URI', async () => {
    const dns = ['localhost', '*.prefect.example', 'localhost'];
    const ip = ['127.0.0.1', '2001:DB8:0:0::7', '2001:db8::7', '::ffff:192.0.2.1'];
    const namesOf = async (...leaf: Parameters<typeof leafOf>) =>
      factsOf(readCertificate(await leafOf(...leaf))).subjectAltNames.map(({ type, value }) => `${type}:${value}`);
    const hosts = ['DNS:localhost', 'DNS:*.prefect.example', 'IP:127.0.0.1', 'IP:2001:db8::7', 'IP:::ffff:c000:201'];
    const uri = (name: string): string => `URI:spiffe://${TRUST_DOMAIN}/${name}`;
    expect(await namesOf('worker/host', { dns, ip })).toEqual([uri('worker/host'), ...hosts]);
    // webpki (rustls) refuses every URI under an issuer that says which may be.
    expect(await namesOf('gate/host', { profile: 'server', dns, ip })).toEqual(hosts);
    expect(await namesOf('gate/host', { profile: 'server' })).toEqual([uri('gate/host')]);
  });

  test('whose name is longer than a common name may be has none, and its SAN is critical then', async () => {
    for (const [name, subject, critical] of [
      [`worker/${'a'.repeat(57)}`, `CN=worker/${'a'.repeat(57)}`, false],
      [`worker/${'a'.repeat(58)}`, '', true],
    ] as const) {
      const described = describeCertificate(await leafOf(name));
      expect(described.subject).toBe(subject);
      expect(described.extensions.find((each) => each.name === 'subjectAltName')?.critical).toBe(critical);
    }
  });

  test('without a common name has an empty subject and a critical SAN', async () => {
    const der = await leafOf('worker/etl-1', { subjectCommonName: '' });
    expect(describeCertificate(der).subject).toBe('');
    expect(extensionsOf(der)).toContainEqual(['subjectAltName', true]);
  });

  test('has the common name it was given, character by character', async () => {
    const visible = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => text.isWellFormed());
    const name = fc.oneof(visible, fc.constantFrom('#0401', 'a, CN=b', 'a+CN=b', '"a"', ' a ', '\\', 'Ä', 'a/b=c'));
    await fc.assert(
      fc.asyncProperty(name, async (subjectCommonName) => {
        const unseen = /[\p{C}\p{Zl}\p{Zp}]/u.test(subjectCommonName);
        const made = leafOf('worker/x', { subjectCommonName });
        if (unseen || Array.from(subjectCommonName).length > 64) {
          expect(await codeOf(() => made)).toBe(unseen ? 'CG_CERT_CONTENT' : null);
          return;
        }
        expect(factsOf(readCertificate(await made)).subject).toEqual([['CN', subjectCommonName]]);
      }),
      { numRuns: 60 },
    );
  });

  test('has UTCTime through 2049 and GeneralizedTime from 2050, without fractions', async () => {
    const notAfter = new Date('2049-12-31T23:59:59.999Z');
    const der = Buffer.from(await leafOf('worker/x', { notBefore: new Date(at(0).getTime() + 999), notAfter }));
    expect(der.includes('\x17\x0d261124120000Z\x17\x0d491231235959Z', 0, 'latin1')).toBe(true);
    const later = Buffer.from(await leafOf('worker/x', { notAfter: new Date('2050-01-01T00:00:00.000Z') }));
    expect(later.includes('\x18\x0f20500101000000Z', 0, 'latin1')).toBe(true);
  });

  test.each<[string, Parameters<typeof leafOf>[1]]>([
    ['an end before its beginning', { notBefore: at(1), notAfter: at(0) }],
    ['an end within its first second', { notBefore: at(0), notAfter: new Date(at(0).getTime() + 999) }],
    ['an end past the year 9999', { notAfter: new Date(Date.UTC(10_000, 0, 1)) }],
    ['a beginning before 1950', { notBefore: new Date(Date.UTC(1949, 11, 31)) }],
    ['a date that is none', { notAfter: new Date(Number.NaN) }],
    ['a serial that is zero', { serial: '00000000000000000000000000000000' }],
    ['a serial with a leading zero octet', { serial: '004f4f4f4f4f4f4f4f4f' }],
    ['a serial in capitals', { serial: '4F4F4F4F4F4F4F4F4F' }],
    ['a serial of half octets', { serial: '4f4f4f4f4f4f4f4f4' }],
    ['a serial of 21 octets', { serial: '4f'.repeat(21) }],
    ['a serial of 20 octets that needs a 21st for its sign', { serial: 'ff'.repeat(20) }],
    ['a serial that anybody could guess', { serial: '01' }],
    ['a serial of 7 octets', { serial: '4f'.repeat(7) }],
    ['a SPIFFE ID of 2049 characters', { spiffeUri: `spiffe://prefect.example/${'a'.repeat(2024)}` }],
    ['a DNS name of 254 characters', { dns: [`${'a.'.repeat(123)}example.`.slice(0, 254).replace(/\.$/, 'b')] }],
    ['a group without a name', { units: [''] }],
    ['a group of 65 characters', { units: ['a'.repeat(65)] }],
    ['a group with a line feed', { units: ['etl\nCN=user/root'] }],
    ['a group with half a character', { units: ['\ud800'] }],
    ['a URI that is no SPIFFE ID', { spiffeUri: 'https://prefect.example/worker/x' }],
    ['a SPIFFE ID without a path', { spiffeUri: 'spiffe://prefect.example' }],
    ['a SPIFFE ID with a dot segment', { spiffeUri: 'spiffe://prefect.example/worker/../user/x' }],
    ['a SPIFFE ID with an empty segment', { spiffeUri: 'spiffe://prefect.example//worker' }],
    ['a SPIFFE ID with a query', { spiffeUri: 'spiffe://prefect.example/worker/x?y' }],
    ['a SPIFFE ID with a NUL', { spiffeUri: 'spiffe://prefect.example/worker/x\0' }],
    ['a SPIFFE ID beyond ASCII', { spiffeUri: 'spiffe://prefect.example/worker/\u00e9' }],
    ['a DNS name with a space', { dns: ['a b'] }],
    ['a DNS name with a NUL', { dns: ['good.example\0.evil'] }],
    ['a DNS name with an end dot', { dns: ['a.example.'] }],
    ['an empty DNS name', { dns: [''] }],
    ['a DNS name beyond ASCII', { dns: ['b\u00fccher.example'] }],
    ['a DNS label of 64 characters', { dns: [`${'a'.repeat(64)}.example`] }],
    ['a wildcard that is not a whole label', { dns: ['a*.example'] }],
    ['an address as a DNS name', { dns: ['127.0.0.1'] }],
    ['what a reader may take for an address as a DNS name', { dns: ['127.1'] }],
    ['a name as an address', { ip: ['localhost'] }],
    ['an address with a zone', { ip: ['fe80::1%eth0'] }],
    ['an address with a mask', { ip: ['10.0.0.0/8'] }],
    ['an address with leading zeros', { ip: ['010.0.0.1'] }],
    ['an IPv6 address with a bracket', { ip: ['::1]'] }],
    ['a common name with a line feed', { subjectCommonName: 'worker/x\nCN=user/root' }],
    ['a common name with a NUL', { subjectCommonName: 'worker/x\0' }],
    ['a common name that turns the writing direction', { subjectCommonName: 'worker/\u202ex' }],
  ])('is not made with %s', async (_, different) => {
    expect(await codeOf(() => leafOf('worker/x', different))).toBe('CG_CERT_CONTENT');
  });

  test('is made with what is just short or long enough', async () => {
    const long = `spiffe://prefect.example/${'a'.repeat(2023)}`;
    expect(long).toHaveLength(2048);
    const unit = 'ä'.repeat(64);
    const name = `${'a.'.repeat(123)}example`;
    expect(name).toHaveLength(253);
    for (const serial of ['4f'.repeat(8), '7f'.repeat(20), 'ff'.repeat(19)]) {
      const der = await leafOf('worker/x', { serial, spiffeUri: long, units: [unit], dns: [name] });
      const facts = factsOf(readCertificate(der));
      expect([facts.serial, facts.subject]).toEqual([
        serial,
        [
          ['CN', 'worker/x'],
          ['OU', unit],
        ],
      ]);
      expect(facts.subjectAltNames.map(({ value }) => value)).toEqual([long, name]);
    }
  });

  test('is not made for a weak key', async () => {
    const { generateKeyPairSync } = await import('node:crypto');
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    expect(await codeOf(() => leafOf('worker/x', { publicKey: weak }))).toBe('CG_CSR_KEY');
  });
});

describe('a CA', () => {
  test.each<[KeyKind, string]>([
    ['P-256', 'ecdsa-with-SHA256'],
    ['P-384', 'ecdsa-with-SHA384'],
    ['Ed25519', 'Ed25519'],
    ['RSA-2048', 'sha256WithRSAEncryption'],
  ])('with a key of kind %s signs with %s, and its signature holds', async (kind, signatureAlgorithm) => {
    const key = await generateKey(kind);
    const validity = { notBefore: at(-1), notAfter: at(1) };
    const root = issuerOf(await createRoot({ commonName: 'r', ...validity, key }), signerOf(key.privateKey));
    const leaf = await leafOf('worker/x', { issuer: root });
    expect(describeCertificate(leaf).signatureAlgorithm).toBe(signatureAlgorithm);
    expect(readCertificate(leaf).verify(key.publicKey)).toBe(true);
  });

  test('signs certificates whose issuer name is, octet by octet, its own subject', async () => {
    const key = await generateKey();
    const validity = { notBefore: at(-1), notAfter: at(1) };
    const root = issuerOf(
      await createRoot({ commonName: 'Wurzel, „A" + #1', ...validity, key }),
      signerOf(key.privateKey),
    );
    const leaf = readCertificate(await leafOf('worker/x', { issuer: root }));
    expect(leaf.checkIssued(root.certificate)).toBe(true);
  });

  test('is put together only of a CA certificate and its own key, PEM or DER', async () => {
    const { root, issuer, leafKey } = await testAuthority();
    const pem = derToPem(issuer.certificate.raw, 'CERTIFICATE');
    expect(issuerOf(pem, issuer.signer).keyId).toBe(issuer.keyId);
    expect(await codeOf(() => issuerOf(pem, root.signer))).toBe('CG_KEY_MISMATCH');
    expect(await codeOf(async () => issuerOf(await leafOf('worker/x'), signerOf(leafKey.privateKey)))).toBe(
      'CG_CERT_CONTENT',
    );
    expect(await codeOf(() => issuerOf('no certificate', root.signer))).toBe('CG_PEM');
  });
});
