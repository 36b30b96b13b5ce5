// What a request may ask for. Names in types and octets that OpenSSL would not write are written here by hand and
// signed, so that each is refused for its name and for nothing else.
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { isCertgateError } from '../../src/errors.ts';
import { contextConstructed, encodeTlv, TAG } from '../../src/pki/der.ts';
import { type Granted, requireGranted } from '../../src/pki/requested-names.ts';
import { readRequest } from '../../src/pki/requests.ts';
import { CN, extension, generalNames, OU, oid, rdn, SAN } from './fixture.ts';
import { folderWith, openssl } from './openssl.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const STANDARD = '1.2.840.113549.1.9.14';
const MICROSOFT = '1.3.6.1.4.1.311.2.1.14';

const GRANTED: Granted = {
  identity: 'service/data/ci',
  spiffeUri: 'spiffe://prefect.example/service/data/ci',
  dns: ['etl.example'],
  ip: ['192.0.2.7', '2001:DB8:0::7'],
  profile: 'client',
};

function request(
  rdns: readonly Uint8Array[],
  extensions: readonly Uint8Array[] = [],
  attribute = STANDARD,
): Uint8Array {
  const attributes =
    extensions.length === 0
      ? []
      : [encodeTlv(TAG.sequence, oid(attribute), encodeTlv(TAG.set, encodeTlv(TAG.sequence, ...extensions)))];
  const tbs = encodeTlv(
    TAG.sequence,
    Uint8Array.of(TAG.integer, 1, 0),
    encodeTlv(TAG.sequence, ...rdns),
    publicKey.export({ type: 'spki', format: 'der' }),
    encodeTlv(contextConstructed(0), ...attributes),
  );
  const algorithm = encodeTlv(TAG.sequence, oid('1.2.840.10045.4.3.2'));
  const signature = encodeTlv(TAG.bitString, Uint8Array.of(0), sign('sha256', tbs, privateKey));
  return encodeTlv(TAG.sequence, tbs, algorithm, signature);
}

const named = (value: string | Uint8Array, tag: number = TAG.utf8String): readonly Uint8Array[] => [
  rdn(CN, tag, value),
];
const asking = (...names: ReadonlyArray<readonly [number, Uint8Array | string]>): readonly Uint8Array[] => [
  extension(SAN, generalNames(...names)),
];

/** `granted`, or the code and what is said. */
function verdict(der: Uint8Array | string, granted = GRANTED): string {
  try {
    requireGranted(readRequest(der), granted);
    return 'granted';
  } catch (error) {
    if (isCertgateError(error)) return `${error.code} ${error.message.replace(/^[^:]*: /, '')}`;
    throw error;
  }
}

describe('a request is granted', () => {
  test.each(['service/data/ci', 'data/ci', 'ci', 'spiffe://prefect.example/service/data/ci', 'etl.example'])(
    'that calls itself %s',
    (commonName) => {
      expect(verdict(request(named(commonName)))).toBe('granted');
    },
  );

  test('that calls itself nothing, and asks for nothing', () => {
    expect(verdict(request([]))).toBe('granted');
  });

  test('with a true PrintableString, as Go writes it', () => {
    expect(verdict(request(named('ci', TAG.printableString)))).toBe('granted');
  });

  test('that asks for names all of which it gets, DNS names in any case and addresses in any form', () => {
    const names = asking(
      [6, GRANTED.spiffeUri],
      [2, 'ETL.example'],
      [7, Uint8Array.of(192, 0, 2, 7)],
      [7, Buffer.from('20010db8000000000000000000000007', 'hex')],
    );
    expect(verdict(request([], names))).toBe('granted');
  });

  test('that asks for some of the names that it gets, and says in full that it is no CA', () => {
    const dns = ['etl.example', 'db.example', 'Web.example'];
    expect(verdict(request([], asking([2, 'db.example'])), { ...GRANTED, dns })).toBe('granted');
    expect(verdict(request([], asking([2, 'web.example'])), { ...GRANTED, dns })).toBe('granted');
    const noCa = extension('2.5.29.19', encodeTlv(TAG.sequence, Uint8Array.of(TAG.boolean, 1, 0)), true);
    expect(verdict(request(named('ci'), [noCa]))).toBe('granted');
  });

  test('by OpenSSL with the extensions that its own configuration suggests for a client', async () => {
    const folder = folderWith({ 'k.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }) });
    const made = await openssl(
      folder,
      ...['req', '-new', '-key', 'k.pem', '-subj', '/CN=ci', '-addext', 'basicConstraints=CA:FALSE'],
      ...[
        '-addext',
        'keyUsage=nonRepudiation,digitalSignature,keyEncipherment',
        '-addext',
        'subjectKeyIdentifier=hash',
      ],
      ...['-addext', 'extendedKeyUsage=clientAuth', '-addext', 'subjectAltName=DNS:etl.example'],
    );
    expect(made.ok, made.text).toBe(true);
    expect(verdict(made.text)).toBe('granted');
  });
});

describe('a request is refused, its name shown escaped,', () => {
  test.each<[string, Uint8Array, string]>([
    ['for its URI as a mailbox', request([], asking([1, GRANTED.spiffeUri])), 'the email name "spiffe://'],
    ['for its host as a URI', request([], asking([6, 'etl.example'])), 'the URI name "etl.example"'],
    ['for its address as a host', request([], asking([2, '192.0.2.7'])), 'the DNS name "192.0.2.7"'],
    ['for another’s name', request(named('user/alice')), 'the common name "user/alice" (not that of service/data/ci)'],
    ['for a name with a NUL', request(named('ci\0.evil')), 'the common name "ci\\u{0}.evil"'],
    ['for a name that turns the writing direction', request(named('\u202eic')), 'the common name "\\u{202e}ic"'],
    ['for a look-alike', request(named('c\u0456')), 'the common name "c\\u{456}"'],
    ['for a name with a zero-width space', request(named('ci\u200b')), 'the common name "ci\\u{200b}"'],
    ['for a name in full-width letters', request(named('\uff43\uff49')), 'the common name "\\u{ff43}\\u{ff49}"'],
    ['for a line break and more', request(named('ci\nuser/alice')), 'the common name "ci\\u{a}user/alice"'],
    ['for a blank at the end', request(named('ci ')), 'the common name "ci "'],
    ['for capitals', request(named('CI')), 'the common name "CI"'],
    ['for an empty name', request(named('')), 'the common name ""'],
    ['for 5000 characters', request(named('c'.repeat(5000))), `"${'c'.repeat(120)}"… (5000 characters)`],
    ['for a second name beside its own', request([...named('ci'), ...named('user/alice')]), '"user/alice"'],
    ['for another attribute', request([rdn(OU, TAG.utf8String, 'admins'), ...named('ci')]), 'attribute OU="admins"'],
    ['for a DNS name', request([], asking([2, 'db.example'])), 'the DNS name "db.example"'],
    ['for a wildcard', request([], asking([2, '*.example'])), 'the DNS name "*.example"'],
    ['for a DNS name with a NUL', request([], asking([2, 'etl.example\0.evil'])), '"etl.example\\u{0}.evil"'],
    ['for an address', request([], asking([7, Uint8Array.of(192, 0, 2, 8)])), 'the IP name "192.0.2.8"'],
    ['for another SPIFFE ID', request([], asking([6, 'spiffe://prefect.example/user/alice'])), 'the URI name "spiffe:'],
    ['for a mailbox', request([], asking([1, 'ci@etl.example'])), 'the email name "ci@etl.example"'],
    ['for a directory name', request([], asking([4, encodeTlv(TAG.sequence)])), 'the name of another type "a4023000"'],
    [
      'for a name in the attribute that Windows used',
      request(named('ci'), asking([2, 'db.example']), MICROSOFT),
      'the DNS name "db.example"',
    ],
  ])('%s', (_, der, said) => {
    const answer = verdict(der);
    expect(answer).toMatch(/^CG_CSR_NAME /);
    expect(answer).toContain(said);
    expect(answer).toMatch(/^[\x20-\x7e…]*$/);
  });

  test.each<[string, Uint8Array, string]>([
    [
      'in a BMPString',
      request(named(Buffer.from('\0c\0i'), TAG.bmpString)),
      'BMPString and not UTF8String: "\\u{0}c\\u{0}i"',
    ],
    ['in a UniversalString', request(named(Buffer.from('\0\0\0c\0\0\0i'), TAG.universalString)), 'UniversalString'],
    [
      'in an IA5String',
      request(named('ci', TAG.ia5String)),
      'subject CN is of type IA5String and not UTF8String: "ci"',
    ],
    ['in a TeletexString', request(named('ci', TAG.teletexString)), 'TeletexString'],
    [
      'in a PrintableString that is none',
      request(named('c@i', TAG.printableString)),
      'what no PrintableString may have: "c@i"',
    ],
    ['in UTF-8 that is none', request(named(Buffer.from('c\xe9', 'latin1'))), 'subject CN is not UTF-8: "c\\u{e9}"'],
    ['in overlong UTF-8', request(named(Buffer.from([0x63, 0xc1, 0xa9]))), 'not UTF-8: "c\\u{c1}\\u{a9}"'],
    ['in UTF-8 of a surrogate', request(named(Buffer.from([0xed, 0xa0, 0x80]))), 'not UTF-8: "\\u{ed}\\u{a0}\\u{80}"'],
    ['in no string at all', request(named(Uint8Array.of(5), TAG.integer)), 'subject CN is not a string (tag 0x2)'],
    ['in a DNS name beyond ASCII', request([], asking([2, 'etl.ex\xe4mple'])), 'not ASCII: "etl.ex\\u{e4}mple"'],
  ])('%s', (_, der, said) => {
    const answer = verdict(der);
    expect(answer).toMatch(/^CG_CSR_UNREADABLE /);
    expect(answer).toContain(said);
    expect(answer).toMatch(/^[\x20-\x7e]*$/);
  });

  test('and all of many, counted', () => {
    const names = [1, 2, 3, 4, 5, 6].map((n) => [2, `n${n}.example`] as const);
    expect(verdict(request(named('ci'), asking(...names)))).toBe(
      'CG_CSR_NAME the DNS name "n1.example"; the DNS name "n2.example"; the DNS name "n3.example"; the DNS name "n4.example"; and 2 more',
    );
  });
});

describe('a request is refused that asks', () => {
  const purposes = (...oids: readonly string[]): Uint8Array =>
    extension('2.5.29.37', encodeTlv(TAG.sequence, ...oids.map(oid)));
  test.each<[string, Uint8Array, string]>([
    [
      'to be a CA',
      extension('2.5.29.19', encodeTlv(TAG.sequence, Uint8Array.of(TAG.boolean, 1, 0xff)), true),
      'to be a CA',
    ],
    ['to sign certificates', extension('2.5.29.15', Uint8Array.of(TAG.bitString, 2, 2, 0x84)), 'to sign certificates'],
    ['to be a server as well', purposes('1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1'), 'key usage 1.3.6.1.5.5.7.3.1'],
    ['for every purpose', purposes('2.5.29.37.0'), 'key usage 2.5.29.37.0'],
    [
      'for what certgate does not know and may not pass over',
      extension('1.2.3.4', Uint8Array.of(5, 0), true),
      '1.2.3.4',
    ],
  ])('%s', (_, asked, said) => {
    const answer = verdict(request(named('ci'), [asked]));
    expect(answer).toMatch(/^CG_CSR_NAME /);
    expect(answer).toContain(said);
  });

  test('in an extension that cannot be read', () => {
    const odd = extension('2.5.29.37', encodeTlv(TAG.integer, Uint8Array.of(1)));
    expect(verdict(request(named('ci'), [odd]))).toMatch(/^CG_CSR_UNREADABLE /);
  });
});

test('a refusal says how to grant what can be granted, and otherwise how to ask for less', () => {
  const hintOf = (der: Uint8Array): string => {
    try {
      requireGranted(readRequest(der), GRANTED);
    } catch (error) {
      if (isCertgateError(error)) return error.hint;
    }
    return '';
  };
  const anew = "`openssl req -new -key tls.key -subj '/CN=data\\/ci' -out tls.csr`";
  expect(hintOf(request([], asking([2, 'db.example'])))).toBe(
    `grant it with --dns db.example, or ask for less: ${anew}`,
  );
  expect(hintOf(request([], asking([7, Uint8Array.of(192, 0, 2, 8)])))).toContain('--ip 192.0.2.8');
  expect(hintOf(request([], asking([2, 'a b;rm'])))).toBe(`ask for less: ${anew}`);
});
