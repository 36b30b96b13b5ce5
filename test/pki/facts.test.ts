// Certificates that our CA signed but createLeaf would never make. Whatever stands in them, what certgate reads is
// exactly what was written, or nothing at all; and so no certificate speaks for anybody but the one it names.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileRules, defaultRules, type IdentityRule, identify } from '../../src/identity/identify.ts';
import { isIdentityName } from '../../src/identity/name.ts';
import { type CertificateFacts, factsOf, readCertificate } from '../../src/pki/certificates.ts';
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
  extension,
  generalNames,
  leafOf,
  OU,
  oid,
  rdn,
  SAN,
  TRUST_DOMAIN,
  testAuthority,
} from './fixture.ts';
import { folderWith, openssl } from './openssl.ts';

const URI = 6;
const DNS = 2;
const EMAIL = 1;
const own = (name: string): string => `spiffe://${TRUST_DOMAIN}/${name}`;
const read = async (parts: Crafted): Promise<CertificateFacts> => factsOf(readCertificate(await craft(parts)));
const name = (...rdns: readonly Uint8Array[]): Uint8Array => encodeTlv(TAG.sequence, ...rdns);
const utf16 = (text: string): Uint8Array => Buffer.from(text, 'utf16le').swap16();
const utf32 = (text: string): Uint8Array => {
  const points = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  const bytes = Buffer.alloc(points.length * 4);
  for (const [i, point] of points.entries()) bytes.writeUInt32BE(point, i * 4);
  return bytes;
};

/** Who a certificate of these parts is, by these rules: a name, or the code of the refusal. */
async function who(parts: Crafted, rules: readonly IdentityRule[] = defaultRules): Promise<string> {
  const identified = identify(await read(parts), compileRules(rules), TRUST_DOMAIN);
  return identified.ok ? identified.identity : identified.code;
}

const byCommonName: readonly IdentityRule[] = [{ from: 'CN', match: '([a-z]+/[a-z0-9-]+)', as: '$1' }];
/** As careless as a rule can be: whatever the CN begins with. */
const careless: readonly IdentityRule[] = [{ from: 'CN', match: '([a-z0-9-]+).*', as: 'worker/$1' }];

describe('the facts of a certificate', () => {
  test('are its subject, SANs, serial and the key of its issuer', async () => {
    const { issuer } = await testAuthority();
    const serial = '0f'.repeat(16);
    expect(factsOf(readCertificate(await leafOf('worker/etl-1', { serial, dns: ['etl.example'] })))).toEqual({
      subject: [['CN', 'worker/etl-1']],
      subjectAltNames: [
        { type: 'URI', value: own('worker/etl-1') },
        { type: 'DNS', value: 'etl.example' },
      ],
      serial,
      issuer: issuer.keyId,
    });
  });

  test('keep the order of the subject, repeated and unknown attributes, and RDNs of several values', async () => {
    const both = [attribute(CN, TAG.utf8String, 'a'), attribute(OU, TAG.utf8String, 'b')];
    const subject = name(
      rdn('2.5.4.10', TAG.printableString, 'Example'),
      rdn(OU, TAG.utf8String, 'x'),
      rdn(OU, TAG.utf8String, 'y'),
      encodeTlv(TAG.set, ...both),
      rdn('1.2.3.4', TAG.ia5String, 'z'),
    );
    expect((await read({ subject })).subject).toEqual([
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
      await read({ extensions: [extension('2.5.29.37', encodeTlv(TAG.sequence, oid('2.5.29.37.0')))] }),
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
        const subject = name(
          rdn(CN, TAG.utf8String, value),
          rdn(OU, TAG.universalString, utf32(value)),
          ...(basic(value) ? [rdn('2.5.4.10', TAG.bmpString, utf16(value))] : []),
          ...(ascii(value)
            ? [TAG.printableString, TAG.ia5String, TAG.teletexString].map((tag) => rdn('2.5.4.7', tag, value))
            : []),
        );
        for (const [, found] of (await read({ subject })).subject) expect(found).toBe(value);
      }),
      { numRuns: 150 },
    );
  });

  test('hold every character of any URI', async () => {
    const text = fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(text, text, async (one, two) => {
        const { subjectAltNames } = await read({ san: generalNames([URI, one], [DNS, two]) });
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
    subject: name(rdn(CN, TAG.utf8String, 'worker/etl-1')),
    san: generalNames([URI, own('worker/etl-1')]),
  };
  const twice = encodeTlv(contextConstructed(3), encodeTlv(TAG.sequence, extension(SAN, good.san)));
  test.each<[string, Crafted]>([
    ['its CN is no UTF-8', { subject: name(rdn(CN, TAG.utf8String, Uint8Array.of(0x61, 0xff))) }],
    [
      'its CN is overlong UTF-8, a slash by a second spelling',
      { subject: name(rdn(CN, TAG.utf8String, Buffer.from('776f726b6572c0af78', 'hex'))) },
    ],
    ['its CN is a surrogate in UTF-8', { subject: name(rdn(CN, TAG.utf8String, Uint8Array.of(0xed, 0xa0, 0x80))) }],
    ['its CN is a surrogate pair in a BMPString', { subject: name(rdn(CN, TAG.bmpString, utf16('\u{1f600}'))) }],
    ['its CN is half a character of a BMPString', { subject: name(rdn(CN, TAG.bmpString, Uint8Array.of(0, 0x61, 0))) }],
    ['its CN is past Unicode', { subject: name(rdn(CN, TAG.universalString, Uint8Array.of(0, 0x11, 0, 0))) }],
    ['its CN is T.61 beyond ASCII', { subject: name(rdn(CN, TAG.teletexString, Uint8Array.of(0x61, 0xe4))) }],
    ['its CN is an IA5String beyond ASCII', { subject: name(rdn(CN, TAG.ia5String, Uint8Array.of(0xe4))) }],
    ['its CN is not a string', { subject: name(rdn(CN, TAG.octetString, 'worker/etl-1')) }],
    ['an RDN is empty', { subject: name(encodeTlv(TAG.set)) }],
    [
      'an attribute has two values',
      {
        subject: name(
          encodeTlv(TAG.set, encodeTlv(TAG.sequence, oid(CN), encodeTlv(TAG.utf8String), encodeTlv(TAG.utf8String))),
        ),
      },
    ],
    ['a URI is beyond ASCII', { san: generalNames([URI, Buffer.from(own('worker/é'))]) }],
    ['its SANs are an empty list', { san: generalNames() }],
    ['a SAN is an address of five octets', { san: generalNames([7, Uint8Array.of(1, 2, 3, 4, 5)]) }],
    ['a SAN is of no known type', { san: encodeTlv(TAG.sequence, encodeTlv(0x89, Buffer.from('x'))) }],
    [
      'a SAN is a constructed URI',
      { san: encodeTlv(TAG.sequence, encodeTlv(contextConstructed(6), encodeTlv(TAG.ia5String, Buffer.from('x')))) },
    ],
    [
      'there is something after its SANs',
      { san: Buffer.concat([generalNames([URI, own('worker/etl-1')]), Uint8Array.of(5, 0)]) },
    ],
    [
      'it has two lists of SANs',
      { extensions: [extension(SAN, good.san), extension(SAN, generalNames([URI, own('user/root')]))] },
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

describe('by its SPIFFE ID a certificate', () => {
  test('is who its one URI says', async () => {
    expect(await who({ san: generalNames([URI, own('worker/etl-1')]) })).toBe('worker/etl-1');
  });

  test('is nobody with two, whichever comes first, the same one too, and whatever the rules', async () => {
    for (const [one, two] of [
      [own('worker/etl-1'), own('user/root')],
      [own('worker/etl-1'), own('worker/etl-1')],
      [own('worker/etl-1'), 'SPIFFE://prefect.example/user/root'],
      [own('worker/etl-1'), 'spiffe://other.example/user/root'],
    ] as const) {
      for (const rules of [defaultRules, byCommonName]) {
        const subject = name(rdn(CN, TAG.utf8String, 'worker/etl-1'));
        expect(await who({ subject, san: generalNames([URI, one], [URI, two]) }, rules)).toBe('CG_IDENTITY_AMBIGUOUS');
        expect(await who({ subject, san: generalNames([URI, two], [DNS, 'x'], [URI, one]) }, rules)).toBe(
          'CG_IDENTITY_AMBIGUOUS',
        );
      }
    }
  });

  test('is nobody with another URI beside it', async () => {
    expect(await who({ san: generalNames([URI, own('worker/etl-1')], [URI, 'https://x.example']) })).toBe(
      'CG_IDENTITY_AMBIGUOUS',
    );
  });

  test.each<[string, string]>([
    ['a NUL after the name', own('worker/etl-1\0')],
    ['a NUL inside the name', own('worker/etl-1\0.evil')],
    ['a line feed', own('worker/etl-1\nworker/x')],
    ['a comma that prints as a second SAN', own('worker/etl-1, URI:spiffe://prefect.example/user/root')],
    ['a quote', own('worker/"etl-1"')],
    ['percent-encoding', own('worker/etl%2D1')],
    ['an encoded slash', own('worker%2Fetl-1')],
    ['capitals', own('worker/Etl-1')],
    ['a query', own('worker/etl-1?x')],
    ['a fragment', own('worker/etl-1#x')],
    ['a dot segment', own('worker/../user/root')],
    ['an empty segment', own('worker//etl-1')],
    ['a slash at the end', own('worker/etl-1/')],
    ['a space around it', ` ${own('worker/etl-1')}`],
    ['another scheme spelling', `SPIFFE://${TRUST_DOMAIN}/worker/etl-1`],
    ['a port', `spiffe://${TRUST_DOMAIN}:443/worker/etl-1`],
    ['a user before the host', `spiffe://x@${TRUST_DOMAIN}/worker/etl-1`],
    ['an unknown kind', own('root/etl-1')],
    ['no path', `spiffe://${TRUST_DOMAIN}`],
  ])('is nobody with %s', async (_, uri) => {
    expect(await who({ san: generalNames([URI, uri]) })).toMatch(/^CG_IDENTITY_(?:ODD|NONE)$/);
  });

  test('is nobody of another trust domain, a longer or a shorter one neither', async () => {
    for (const domain of [
      'other.example',
      `x${TRUST_DOMAIN}`,
      `${TRUST_DOMAIN}.evil`,
      'prefect',
      `sub.${TRUST_DOMAIN}`,
    ]) {
      expect(await who({ san: generalNames([URI, `spiffe://${domain}/worker/etl-1`]) })).toBe('CG_IDENTITY_FOREIGN');
    }
  });

  test('is nobody when a DNS name, an address or an otherName holds the text of a SPIFFE ID', async () => {
    const other = encodeTlv(
      contextConstructed(0),
      oid('1.3.6.1.4.1.311.20.2.3'),
      encodeTlv(contextConstructed(0), encodeTlv(TAG.utf8String, Buffer.from(own('worker/etl-1')))),
    );
    expect(await who({ san: generalNames([DNS, own('worker/etl-1')]) })).toBe('CG_IDENTITY_NONE');
    expect(await who({ san: generalNames([EMAIL, own('worker/etl-1')]) })).toBe('CG_IDENTITY_NONE');
    expect(await who({ san: encodeTlv(TAG.sequence, other) })).toBe('CG_IDENTITY_NONE');
    expect(await who({ san: generalNames([4, name(rdn(CN, TAG.utf8String, own('worker/etl-1')))]) })).toBe(
      'CG_IDENTITY_NONE',
    );
    expect(await who({ san: generalNames([DNS, `x, URI:${own('worker/etl-1')}`]) })).toBe('CG_IDENTITY_NONE');
    expect(await who({ san: generalNames([DNS, `x\0URI:${own('worker/etl-1')}`]) })).toBe('CG_IDENTITY_NONE');
  });

  test('whatever its URI, is who that URI names exactly, or nobody', async () => {
    const piece = fc.constantFrom(
      'worker',
      'user',
      '/',
      'etl-1',
      '.',
      '..',
      '\0',
      ',',
      '"',
      '%2F',
      'A',
      ' ',
      '\n',
      '-',
      '_',
    );
    const path = fc.oneof(
      fc.array(piece, { maxLength: 6 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary-ascii' }),
    );
    await fc.assert(
      fc.asyncProperty(path, async (text) => {
        const expected = isIdentityName(text) ? text : 'CG_IDENTITY_ODD';
        expect(await who({ san: generalNames([URI, own(text)]) })).toBe(
          text.startsWith('gate/') && isIdentityName(text) ? 'CG_IDENTITY_RESERVED' : expected,
        );
      }),
      { numRuns: 150 },
    );
  });
});

describe('by its CN a certificate', () => {
  const named = (tag: number, value: Uint8Array | string): Crafted => ({ subject: name(rdn(CN, tag, value)) });

  test.each([
    ['a UTF8String', TAG.utf8String, Buffer.from('worker/etl-1')],
    ['a PrintableString', TAG.printableString, Buffer.from('worker/etl-1')],
    ['an IA5String', TAG.ia5String, Buffer.from('worker/etl-1')],
    ['a BMPString', TAG.bmpString, utf16('worker/etl-1')],
    ['a UniversalString', TAG.universalString, utf32('worker/etl-1')],
  ])('is the same name in %s', async (_, tag, value) => {
    expect(await who(named(tag, value), byCommonName)).toBe('worker/etl-1');
  });

  test('is nobody when its octets only look like the name in another string type', async () => {
    expect(await who(named(TAG.bmpString, Buffer.from('worker/etl-1')), byCommonName)).toBe('CG_IDENTITY_NONE');
    expect(await who(named(TAG.utf8String, utf16('worker/etl-1')), byCommonName)).toBe('CG_IDENTITY_ODD');
  });

  test.each([
    ['a NUL', 'etl-1\0.evil'],
    ['a line feed that prints as a second attribute', 'etl-1\nCN=root'],
    ['a carriage return', 'etl-1\r'],
    ['a character that turns the writing direction', 'etl-1\u202e1-toor'],
    ['a zero-width space', 'etl\u200b-1'],
    ['a byte order mark', '\ufeffetl-1'],
    ['a line separator', 'etl-1\u2028x'],
    ['an unassigned character', 'etl-1\u0378'],
    ['a private character', 'etl-1\ue000'],
    ['more than 256 characters', `etl-1${'x'.repeat(252)}`],
  ])('is nobody with %s, even to a careless rule', async (_, value) => {
    expect(await who(named(TAG.utf8String, value), careless)).toBe('CG_IDENTITY_ODD');
  });

  test.each([
    ['a comma and a second CN in its text', 'worker/etl-1, CN=user/root'],
    ['a plus and a second CN in its text', 'worker/etl-1+CN=user/root'],
    ['quotes', '"worker/etl-1"'],
    ['an escape', 'worker\\/etl-1'],
    ['letters that look alike', 'w\u043erker/etl-1'],
    ['fullwidth letters', '\uff57orker/etl-1'],
    ['a combining accent', 'worker/etl-1\u0301'],
  ])('is not the name that it contains with %s', async (_, value) => {
    expect(await who(named(TAG.utf8String, value), byCommonName)).toBe('CG_IDENTITY_NONE');
  });

  test('is nobody with two different CNs, in two RDNs or in one', async () => {
    const two = [attribute(CN, TAG.utf8String, 'worker/etl-1'), attribute(CN, TAG.utf8String, 'user/root')];
    const apart = name(...two.map((one) => encodeTlv(TAG.set, one)));
    expect(await who({ subject: apart }, byCommonName)).toBe('CG_IDENTITY_AMBIGUOUS');
    expect(await who({ subject: name(encodeTlv(TAG.set, ...two)) }, byCommonName)).toBe('CG_IDENTITY_AMBIGUOUS');
  });

  test('is nobody when only the text of another attribute or a SAN says CN=', async () => {
    const subject = name(
      rdn(OU, TAG.utf8String, 'x, CN=worker/etl-1'),
      rdn('2.5.4.10', TAG.utf8String, 'x\nCN=worker/etl-1'),
    );
    expect(await who({ subject, san: generalNames([DNS, 'CN=worker/etl-1']) }, byCommonName)).toBe('CG_IDENTITY_NONE');
  });
});

describe('certificates made by openssl from a configuration file', () => {
  test('are read as they were written, UTF-8 and all', async () => {
    const config = [
      ...['[req]', 'prompt=no', 'distinguished_name=dn', 'x509_extensions=ext', 'utf8=yes', 'string_mask=utf8only'],
      ...['[dn]', 'O=Bäckerei \\"Süß\\", GmbH', '0.OU=one', '1.OU=two', 'CN=worker/etl-1, CN=user/root'],
      ...['[ext]', 'subjectAltName=@san', 'keyUsage=critical,digitalSignature'],
      ...['[san]', `URI.1=${own('worker/etl-1')}`, 'DNS.1=a.example', 'IP.1=::1', 'email.1=a@b.example'],
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
      { type: 'URI', value: own('worker/etl-1') },
      { type: 'DNS', value: 'a.example' },
      { type: 'IP', value: '::1' },
      { type: 'email', value: 'a@b.example' },
    ]);
  });
});
