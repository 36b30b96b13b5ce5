// Certificates that our CA signed but createLeaf would never make. Whatever stands in them, what certgate reads is
// exactly what was written, or nothing at all; and so no certificate speaks for anybody but the one it names.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { factsOf, readCertificate } from '../../src/pki/certificates.ts';
import { context, contextConstructed, encodeTlv, TAG } from '../../src/pki/der.ts';
import { readFacts } from '../../src/pki/facts.ts';
import {
  attribute,
  CN,
  type Crafted,
  certificateOf,
  codeOf,
  codeOfSync,
  craft,
  DNS,
  extension,
  generalNames,
  leafOf,
  nameOf,
  OU,
  oid,
  rdn,
  readCrafted,
  SAN,
  spiffe,
  testAuthority,
  URI,
  utf16,
  utf32,
} from './fixture.ts';
import { folderWith, openssl } from './openssl.ts';

describe('the facts of a certificate', () => {
  test('are its subject, SANs, serial and the key of its issuer', async () => {
    const { issuer } = await testAuthority();
    const serial = '0f'.repeat(16);
    expect(factsOf(readCertificate(await leafOf('worker/etl-1', { serial, dns: ['etl.example'] })))).toEqual({
      subject: [['CN', 'worker/etl-1']],
      subjectAltNames: [
        { type: 'URI', value: spiffe('worker/etl-1') },
        { type: 'DNS', value: 'etl.example' },
      ],
      serial,
      issuer: issuer.keyId,
    });
  });

  test('keep the order of the subject, repeated and unknown attributes, and RDNs of several values', async () => {
    const both = [attribute(CN, TAG.utf8String, 'a'), attribute(OU, TAG.utf8String, 'b')];
    const subject = nameOf(
      rdn('2.5.4.10', TAG.printableString, 'Example'),
      rdn(OU, TAG.utf8String, 'x'),
      rdn(OU, TAG.utf8String, 'y'),
      encodeTlv(TAG.set, ...both),
      rdn('1.2.3.4', TAG.ia5String, 'z'),
    );
    expect((await readCrafted({ subject })).subject).toEqual([
      ['O', 'Example'],
      ['OU', 'x'],
      ['OU', 'y'],
      ['CN', 'a'],
      ['OU', 'b'],
      ['1.2.3.4', 'z'],
    ]);
  });

  test('have no SANs and no issuer where the certificate has none', async () => {
    expect(
      await readCrafted({ extensions: [extension('2.5.29.37', encodeTlv(TAG.sequence, oid('2.5.29.37.0')))] }),
    ).toMatchObject({
      subjectAltNames: [],
      issuer: '',
    });
  });

  test('hold every character of any text, in each string type that can carry it', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 12 }).filter((value) => value.isWellFormed());
    const basic = (value: string): boolean => Array.from(value).every((character) => character.length === 1);
    const ascii = (value: string): boolean => Array.from(value).every((character) => character < '\x80');
    await fc.assert(
      fc.asyncProperty(text, async (value) => {
        const subject = nameOf(
          rdn(CN, TAG.utf8String, value),
          rdn(OU, TAG.universalString, utf32(value)),
          ...(basic(value) ? [rdn('2.5.4.10', TAG.bmpString, utf16(value))] : []),
          ...(ascii(value)
            ? [TAG.printableString, TAG.ia5String, TAG.teletexString].map((tag) => rdn('2.5.4.7', tag, value))
            : []),
        );
        const found = (await readCrafted({ subject })).subject.map(([, one]) => one);
        expect(found).toEqual(Array.from({ length: 2 + (basic(value) ? 1 : 0) + (ascii(value) ? 3 : 0) }, () => value));
      }),
      { numRuns: 150 },
    );
  });

  test('hold every character of any URI', async () => {
    const text = fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(text, text, async (one, two) => {
        const { subjectAltNames } = await readCrafted({ san: generalNames([URI, one], [DNS, two]) });
        expect(subjectAltNames).toEqual([
          { type: 'URI', value: one },
          { type: 'DNS', value: two },
        ]);
      }),
      { numRuns: 60 },
    );
  });
});

describe('a certificate is refused whole when', () => {
  const good = {
    subject: nameOf(rdn(CN, TAG.utf8String, 'worker/etl-1')),
    san: generalNames([URI, spiffe('worker/etl-1')]),
  };
  const twice = encodeTlv(contextConstructed(3), encodeTlv(TAG.sequence, extension(SAN, good.san)));
  test.each<[string, Crafted]>([
    ['its CN is no UTF-8', { subject: nameOf(rdn(CN, TAG.utf8String, Uint8Array.of(0x61, 0xff))) }],
    [
      'its CN is overlong UTF-8, a slash by a second spelling',
      { subject: nameOf(rdn(CN, TAG.utf8String, Buffer.from('776f726b6572c0af78', 'hex'))) },
    ],
    ['its CN is a surrogate in UTF-8', { subject: nameOf(rdn(CN, TAG.utf8String, Uint8Array.of(0xed, 0xa0, 0x80))) }],
    ['its CN is a surrogate pair in a BMPString', { subject: nameOf(rdn(CN, TAG.bmpString, utf16('\u{1f600}'))) }],
    [
      'its CN is half a character of a BMPString',
      { subject: nameOf(rdn(CN, TAG.bmpString, Uint8Array.of(0, 0x61, 0))) },
    ],
    ['its CN is past Unicode', { subject: nameOf(rdn(CN, TAG.universalString, Uint8Array.of(0, 0x11, 0, 0))) }],
    ['its CN is T.61 beyond ASCII', { subject: nameOf(rdn(CN, TAG.teletexString, Uint8Array.of(0x61, 0xe4))) }],
    ['its CN is an IA5String beyond ASCII', { subject: nameOf(rdn(CN, TAG.ia5String, Uint8Array.of(0xe4))) }],
    ['its CN is not a string', { subject: nameOf(rdn(CN, TAG.octetString, 'worker/etl-1')) }],
    ['an RDN is empty', { subject: nameOf(encodeTlv(TAG.set)) }],
    [
      'an attribute has two values',
      {
        subject: nameOf(
          encodeTlv(TAG.set, encodeTlv(TAG.sequence, oid(CN), encodeTlv(TAG.utf8String), encodeTlv(TAG.utf8String))),
        ),
      },
    ],
    ['a URI is beyond ASCII', { san: generalNames([URI, Buffer.from(spiffe('worker/é'))]) }],
    ['its SANs are an empty list', { san: generalNames() }],
    ['a SAN is an address of five octets', { san: generalNames([7, Uint8Array.of(1, 2, 3, 4, 5)]) }],
    ['a SAN is of no known type', { san: encodeTlv(TAG.sequence, encodeTlv(0x89, Buffer.from('x'))) }],
    [
      'a SAN is a constructed URI',
      { san: encodeTlv(TAG.sequence, encodeTlv(contextConstructed(6), encodeTlv(TAG.ia5String, Buffer.from('x')))) },
    ],
    [
      'there is something after its SANs',
      { san: Buffer.concat([generalNames([URI, spiffe('worker/etl-1')]), Uint8Array.of(5, 0)]) },
    ],
    [
      'it has two lists of SANs',
      { extensions: [extension(SAN, good.san), extension(SAN, generalNames([URI, spiffe('user/root')]))] },
    ],
    ['it has its extensions twice', { tail: [twice, twice] }],
    [
      'something stands before its extensions that may only follow',
      { tail: [twice, encodeTlv(context(1), Uint8Array.of(0))] },
    ],
    ['something stands behind its public key that has no place there', { tail: [encodeTlv(TAG.octetString), twice] }],
    ['its serial is negative', { ...good, serial: Uint8Array.of(0x8f, 1) }],
    ['its serial is padded', { ...good, serial: Uint8Array.of(0, 0x0f, 1) }],
    ['its serial is longer than 20 octets', { ...good, serial: new Uint8Array(21).fill(0x4f) }],
  ])('%s', async (_, parts) => {
    // OpenSSL, and so readCertificate, refuses some of them outright: certgate's own reading is not to depend on that
    const der = await craft(parts);
    expect(codeOfSync(() => readFacts(der))).toBe('CG_CERT_UNREADABLE');
    expect(codeOfSync(() => factsOf(readCertificate(der)))).toBe('CG_CERT_UNREADABLE');
  });

  test('anything stands after it, or it is not DER', async () => {
    const der = await craft(good);
    expect(await codeOf(() => readCertificate(Buffer.concat([der, Uint8Array.of(0)])))).toBe('CG_CERT_UNREADABLE');
    const indefinite = Buffer.concat([Uint8Array.of(0x30, 0x80), der.subarray(4), Uint8Array.of(0, 0)]);
    expect(codeOfSync(() => readFacts(indefinite))).toBe('CG_CERT_UNREADABLE');
    expect(codeOfSync(() => readCertificate(indefinite))).toBe('CG_CERT_UNREADABLE');
  });

  test('its two signature algorithms differ', async () => {
    const { leafKey } = await testAuthority();
    const der = await craft(good);
    const tbs = der.subarray(4, 4 + 4 + ((der[6] ?? 0) << 8) + (der[7] ?? 0));
    const other = Buffer.from(certificateOf(tbs, Buffer.alloc(70, 1)));
    other[other.lastIndexOf(Buffer.from('2a8648ce3d040302', 'hex')) + 7] = 3;
    expect(leafKey).toBeDefined();
    expect(await codeOf(() => factsOf(readCertificate(other)))).toBe('CG_CERT_UNREADABLE');
  });

  test('or else it is read: arbitrary octets, and a good certificate with some changed, fail with that code only', async () => {
    const der = await leafOf('worker/etl-1', { dns: ['a.example'], ip: ['::1'] });
    const change = fc.tuple(fc.nat(der.length - 1), fc.nat(255));
    const damaged = fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
      const copy = Uint8Array.from(der);
      for (const [at, octet] of changes) copy[at] = octet;
      return copy;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged), (bytes) => {
        expect([null, 'CG_CERT_UNREADABLE', 'CG_PEM']).toContain(codeOfSync(() => factsOf(readCertificate(bytes))));
        expect([null, 'CG_CERT_UNREADABLE']).toContain(codeOfSync(() => readFacts(bytes)));
      }),
      { numRuns: 3000 },
    );
  });
});

describe('certificates made by openssl from a configuration file', () => {
  test('are read as they were written, UTF-8 and all', async () => {
    const config = [
      ...['[req]', 'prompt=no', 'distinguished_name=dn', 'x509_extensions=ext', 'utf8=yes', 'string_mask=utf8only'],
      ...['[dn]', 'O=Bäckerei \\"Süß\\", GmbH', '0.OU=one', '1.OU=two', 'CN=worker/etl-1, CN=user/root'],
      ...['[ext]', 'subjectAltName=@san', 'keyUsage=critical,digitalSignature'],
      ...['[san]', `URI.1=${spiffe('worker/etl-1')}`, 'DNS.1=a.example', 'IP.1=::1', 'email.1=a@b.example'],
    ].join('\n');
    const folder = folderWith({ 'req.cnf': config });
    const made = await openssl(
      folder,
      ...'req -x509 -config req.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout k.pem'.split(' '),
    );
    expect(made.ok, made.text).toBe(true);
    const facts = factsOf(readCertificate(made.text.slice(made.text.indexOf('-----BEGIN CERT'))));
    expect(facts.subject).toEqual([
      ['O', 'Bäckerei "Süß", GmbH'],
      ['OU', 'one'],
      ['OU', 'two'],
      ['CN', 'worker/etl-1, CN=user/root'],
    ]);
    expect(facts.subjectAltNames).toEqual([
      { type: 'URI', value: spiffe('worker/etl-1') },
      { type: 'DNS', value: 'a.example' },
      { type: 'IP', value: '::1' },
      { type: 'email', value: 'a@b.example' },
    ]);
  });
});
