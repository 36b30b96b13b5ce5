import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contextConstructed, encodeTlv, TAG } from '../../src/pki/der.ts';
import { generateKey, keyName } from '../../src/pki/keys.ts';
import { derToPem, pemToDer } from '../../src/pki/pem.ts';
import { createRequest, readRequest } from '../../src/pki/requests.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { CN, codeOf, codeOfSync, extension, generalNames, oid, rdn, SAN } from './fixture.ts';
import { folderWith, openssl } from './openssl.ts';

const ECDSA_SHA256 = '1.2.840.10045.4.3.2';

interface Parts {
  readonly spki: Uint8Array;
  readonly privateKey?: KeyObject;
  readonly algorithm?: string;
  readonly hash?: string | null;
  readonly signature?: Uint8Array;
  readonly attributes?: Uint8Array;
  readonly version?: number;
  /** Behind the attributes, and behind the signature. */
  readonly more?: Uint8Array;
  readonly behind?: Uint8Array;
}

/** A request of exactly these parts. */
function requestOf(parts: Parts): Uint8Array {
  const tbs = encodeTlv(
    TAG.sequence,
    Uint8Array.of(TAG.integer, 1, parts.version ?? 0),
    encodeTlv(TAG.sequence, rdn(CN, TAG.utf8String, 'worker/etl-1')),
    parts.spki,
    ...(parts.attributes === undefined ? [] : [parts.attributes]),
    ...(parts.more === undefined ? [] : [parts.more]),
  );
  const hash = parts.hash === undefined ? 'sha256' : parts.hash;
  const signature =
    parts.signature ?? (parts.privateKey === undefined ? new Uint8Array(64) : sign(hash, tbs, parts.privateKey));
  return encodeTlv(
    TAG.sequence,
    tbs,
    encodeTlv(TAG.sequence, oid(parts.algorithm ?? ECDSA_SHA256)),
    encodeTlv(TAG.bitString, Uint8Array.of(0), signature),
    ...(parts.behind === undefined ? [] : [parts.behind]),
  );
}

/** How the name of the algorithm ends, before the signature. */
const ECDSA_END = Buffer.from(encodeTlv(TAG.sequence, oid(ECDSA_SHA256)));
const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });
const extensionRequest = (...extensions: readonly Uint8Array[]): Uint8Array =>
  encodeTlv(TAG.sequence, oid('1.2.840.113549.1.9.14'), encodeTlv(TAG.set, encodeTlv(TAG.sequence, ...extensions)));
const attributes = (...members: readonly Uint8Array[]): Uint8Array => encodeTlv(contextConstructed(0), ...members);

/** What `openssl req` makes of these arguments, PEM. */
async function opensslRequest(...args: readonly string[]): Promise<string> {
  const folder = folderWith({});
  const made = await openssl(
    folder,
    'req',
    '-new',
    '-noenc',
    '-keyout',
    'k.pem',
    '-subj',
    '/CN=worker\\/etl-1',
    ...args,
  );
  expect(made.ok, made.text).toBe(true);
  return made.text.slice(made.text.indexOf('-----BEGIN CERT'));
}

describe('a request', () => {
  test.each(['P-256', 'P-384', 'Ed25519', 'RSA-2048'] as const)(
    'for a key of kind %s is made, and read as made',
    async (kind) => {
      const { privateKey, publicKey } = await generateKey(kind);
      const pem = await createRequest(signerOf(privateKey), { commonName: 'worker/etl-1' });
      const read = readRequest(pem);
      expect(read.publicKey.equals(publicKey)).toBe(true);
      expect(read.subject).toEqual([['CN', 'worker/etl-1']]);
      expect(read.subjectAltNames).toEqual([]);
      const checked = await openssl(folderWith({ 'r.csr': pem }), 'req', '-in', 'r.csr', '-verify', '-noout');
      expect(checked.ok, checked.text).toBe(true);
    },
  );

  test.each([
    ['P-256', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
    ['P-384', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha384']],
    ['Ed25519', ['-newkey', 'ed25519']],
    ['RSA-2048', ['-newkey', 'rsa:2048', '-sha512']],
  ])('by OpenSSL for a key of kind %s is taken, in PEM and in DER', async (kind, args) => {
    const pem = await opensslRequest(...args, '-addext', 'subjectAltName=DNS:etl.example,URI:spiffe://x/y');
    for (const given of [pem, pemToDer(pem, 'CERTIFICATE REQUEST'), Buffer.from(pem)]) {
      const read = readRequest(given);
      expect(keyName(read.publicKey)).toBe(kind);
      expect(read.subjectAltNames).toEqual([
        { type: 'DNS', value: 'etl.example' },
        { type: 'URI', value: 'spiffe://x/y' },
      ]);
    }
  });

  test('is taken under the label that older tools write, and without its attributes', async () => {
    const { privateKey, publicKey } = await generateKey();
    const pem = derToPem(requestOf({ spki: spkiOf(publicKey), privateKey }), 'CERTIFICATE REQUEST');
    expect(
      readRequest(pem.replaceAll('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST')).publicKey.equals(publicKey),
    ).toBe(true);
  });

  test('is not made with a common name that no certificate could have', async () => {
    const { privateKey } = await generateKey();
    expect(await codeOf(() => createRequest(signerOf(privateKey), { commonName: 'a\0b' }))).toBe('CG_CERT_CONTENT');
    expect(await codeOf(() => createRequest(signerOf(privateKey), { commonName: '' }))).toBe('CG_CERT_CONTENT');
  });
});

describe('a request is not proved', () => {
  test('when another key signed it', async () => {
    const [one, two] = await Promise.all([generateKey(), generateKey()]);
    const der = requestOf({ spki: spkiOf(one.publicKey), privateKey: two.privateKey });
    expect(codeOfSync(() => readRequest(der))).toBe('CG_CSR_SIGNATURE');
  });

  test('when what was signed was changed afterwards', async () => {
    const { privateKey, publicKey } = await generateKey();
    const der = Buffer.from(requestOf({ spki: spkiOf(publicKey), privateKey }));
    der.write('worker/etl-2', der.indexOf('worker/etl-1'));
    expect(codeOfSync(() => readRequest(der))).toBe('CG_CSR_SIGNATURE');
  });

  test.each([
    ['SHA-1', '1.2.840.10045.4.1', 'sha1'],
    ['the algorithm of another kind of key', '1.2.840.113549.1.1.11', 'sha256'],
    ['an algorithm nobody knows', '1.2.3.4', 'sha256'],
    ['another hash than it names', '1.2.840.10045.4.3.3', 'sha256'],
  ])('when it is signed with %s', async (_, algorithm, hash) => {
    const { privateKey, publicKey } = await generateKey();
    const der = requestOf({ spki: spkiOf(publicKey), privateKey, algorithm, hash });
    expect(codeOfSync(() => readRequest(der))).toBe('CG_CSR_SIGNATURE');
  });

  test('when its signature is empty, or all zeros', async () => {
    const { publicKey } = await generateKey();
    for (const signature of [new Uint8Array(0), new Uint8Array(64), Buffer.from('3006020100020100', 'hex')]) {
      expect(codeOfSync(() => readRequest(requestOf({ spki: spkiOf(publicKey), signature })))).toBe('CG_CSR_SIGNATURE');
    }
  });
});

describe('a key is not certified', () => {
  test.each([
    ['RSA of 1024 bits', () => generateKeyPairSync('rsa', { modulusLength: 1024 }), '1.2.840.113549.1.1.11'],
    ['RSA of 2040 bits', () => generateKeyPairSync('rsa', { modulusLength: 2040 }), '1.2.840.113549.1.1.11'],
    [
      'RSA with the exponent 3',
      () => generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }),
      '1.2.840.113549.1.1.11',
    ],
    ['RSA-PSS', () => generateKeyPairSync('rsa-pss', { modulusLength: 2048 }), '1.2.840.113549.1.1.11'],
    ['P-521', () => generateKeyPairSync('ec', { namedCurve: 'P-521' }), '1.2.840.10045.4.3.4'],
    ['secp256k1', () => generateKeyPairSync('ec', { namedCurve: 'secp256k1' }), ECDSA_SHA256],
    ['P-224', () => generateKeyPairSync('ec', { namedCurve: 'P-224' }), ECDSA_SHA256],
    [
      'P-256 with its curve spelled out',
      () => generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' }),
      ECDSA_SHA256,
    ],
  ])('that is %s', (_, generate, algorithm) => {
    const { privateKey, publicKey } = generate();
    const hash = algorithm.endsWith('4.3.4') ? 'sha512' : 'sha256';
    const der = requestOf({ spki: spkiOf(publicKey), privateKey, algorithm, hash });
    expect(codeOfSync(() => readRequest(der))).toBe('CG_CSR_KEY');
  });

  test('that is Ed448, X25519 or DSA', () => {
    for (const { publicKey } of [
      generateKeyPairSync('ed448'),
      generateKeyPairSync('x25519'),
      generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 }),
    ]) {
      expect(codeOfSync(() => readRequest(requestOf({ spki: spkiOf(publicKey) })))).toBe('CG_CSR_KEY');
    }
  });

  const rsaSpki = (modulus: Buffer, exponent: Buffer): Uint8Array =>
    encodeTlv(
      TAG.sequence,
      encodeTlv(TAG.sequence, oid('1.2.840.113549.1.1.1'), Uint8Array.of(TAG.null, 0)),
      encodeTlv(
        TAG.bitString,
        Uint8Array.of(0),
        encodeTlv(TAG.sequence, encodeTlv(TAG.integer, modulus), encodeTlv(TAG.integer, exponent)),
      ),
    );
  const modulusOf = (octets: number): Buffer => Buffer.concat([Uint8Array.of(0), Buffer.alloc(octets, 0xc7)]);

  test.each([
    ['an even exponent', 256, '010002'],
    ['the exponent 1', 256, '01'],
    ['an exponent below 65537', 256, '00ffff'],
    ['more than 8192 bits', 1032, '010001'],
  ])('that is RSA with %s', (_, octets, exponent) => {
    const spki = rsaSpki(modulusOf(octets), Buffer.from(exponent, 'hex'));
    expect(codeOfSync(() => readRequest(requestOf({ spki, algorithm: '1.2.840.113549.1.1.11' })))).toBe('CG_CSR_KEY');
  });

  test('that is RSA without the NULL that belongs to it, which would give one key two encodings', () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const bits = spkiOf(publicKey).subarray(-275);
    const spki = encodeTlv(TAG.sequence, encodeTlv(TAG.sequence, oid('1.2.840.113549.1.1.1')), bits);
    const algorithm = '1.2.840.113549.1.1.11';
    expect(codeOfSync(() => readRequest(requestOf({ spki: spkiOf(publicKey), privateKey, algorithm })))).toBeNull();
    expect(codeOfSync(() => readRequest(requestOf({ spki, privateKey, algorithm })))).toBe('CG_CSR_KEY');
  });

  test('that is P-256 by a compressed point, which would give one key two identifiers', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const point = spkiOf(publicKey).subarray(-65);
    const compressed = Buffer.concat([Uint8Array.of(2 + ((point[64] ?? 0) & 1)), point.subarray(1, 33)]);
    const kind = encodeTlv(TAG.sequence, oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7'));
    const spki = encodeTlv(TAG.sequence, kind, encodeTlv(TAG.bitString, Uint8Array.of(0), compressed));
    expect(codeOfSync(() => readRequest(requestOf({ spki })))).toBe('CG_CSR_KEY');
  });

  test('that is P-256 by the point at infinity, which is read and cannot be written', () => {
    const kind = encodeTlv(TAG.sequence, oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7'));
    const spki = encodeTlv(TAG.sequence, kind, encodeTlv(TAG.bitString, Uint8Array.of(0, 0)));
    expect(codeOfSync(() => readRequest(requestOf({ spki })))).toBe('CG_CSR_KEY');
  });

  test('that is P-256 by a point off the curve', () => {
    const spki = Buffer.from(spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey));
    spki[90] = (spki[90] ?? 0) ^ 1;
    expect(codeOfSync(() => readRequest(requestOf({ spki })))).toBe('CG_CSR_KEY');
  });

  test.each([
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000000',
    '0100000000000000000000000000000000000000000000000000000000000080',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  ])('that is the Ed25519 point %s, for which anybody can sign', (point) => {
    const spki = Buffer.from(`302a300506032b6570032100${point}`, 'hex');
    // R the neutral element, S zero: the signature that holds for the neutral element as key, whatever was signed
    const signature = Buffer.concat([Uint8Array.of(1), new Uint8Array(63)]);
    expect(codeOfSync(() => readRequest(requestOf({ spki, algorithm: '1.3.101.112', signature })))).toBe('CG_CSR_KEY');
  });
});

describe('a request is unreadable', () => {
  test('whose signature or key leaves bits to ignore, which would give one request two spellings', async () => {
    // Those bits have to be zero.
    const even = (octets: Uint8Array): boolean => ((octets.at(-1) ?? 1) & 1) === 0;
    let key = await generateKey();
    while (!even(spkiOf(key.publicKey))) key = await generateKey();
    const spki = Buffer.from(spkiOf(key.publicKey));
    expect(spki[25]).toBe(0);
    spki[25] = 1;
    const { privateKey } = key;
    expect(codeOfSync(() => readRequest(requestOf({ spki, privateKey })))).toMatch(/^CG_CSR_(UNREADABLE|KEY)$/);

    const parts = { spki: spkiOf(key.publicKey), privateKey };
    let der = requestOf(parts);
    while (!even(der)) der = requestOf(parts);
    expect(codeOfSync(() => readRequest(der))).toBeNull();
    const copy = Buffer.from(der);
    // BIT STRING, its length in one octet, the bits to ignore, and the SEQUENCE of two numbers.
    const at = copy.length - 2 - (copy[copy.lastIndexOf(ECDSA_END) + ECDSA_END.length + 1] ?? 0);
    expect([copy[at], copy[at + 2]]).toEqual([TAG.bitString, 0]);
    copy[at + 2] = 1;
    expect(codeOfSync(() => readRequest(copy))).toBe('CG_CSR_UNREADABLE');
  });

  test.each<[string, (key: { spki: Uint8Array; privateKey: KeyObject }) => Parts]>([
    ['with another version', (key) => ({ ...key, version: 1 })],
    [
      'asking for extensions twice',
      (key) => ({ ...key, attributes: attributes(extensionRequest(), extensionRequest()) }),
    ],
    [
      'with two lists of SANs',
      (key) => {
        const san = extension(SAN, generalNames([2, 'a.example']));
        return { ...key, attributes: attributes(extensionRequest(san, san)) };
      },
    ],
    [
      'with a SAN beyond ASCII',
      (key) => ({ ...key, attributes: attributes(extensionRequest(extension(SAN, generalNames([2, '\xe9'])))) }),
    ],
    ['with attributes that are none', (key) => ({ ...key, attributes: encodeTlv(TAG.sequence) })],
    ['with a part behind its attributes', (key) => ({ ...key, attributes: attributes(), more: attributes() })],
    ['with a part behind its signature', (key) => ({ ...key, behind: Uint8Array.of(TAG.null, 0) })],
    [
      'with an attribute of three parts',
      (key) => {
        const [type, values] = [oid('1.2.840.113549.1.9.7'), encodeTlv(TAG.set)];
        return { ...key, attributes: attributes(encodeTlv(TAG.sequence, type, values, values)) };
      },
    ],
    ...[1, 4].map((count): [string, (key: { spki: Uint8Array; privateKey: KeyObject }) => Parts] => [
      `with an extension of parts: ${count}`,
      (key) => {
        const [flag, value] = [Uint8Array.of(TAG.boolean, 1, 0xff), encodeTlv(TAG.octetString)];
        const own = encodeTlv(TAG.sequence, ...[oid('1.2.3.4'), flag, flag, value].slice(0, count));
        return { ...key, attributes: attributes(extensionRequest(own)) };
      },
    ]),
    [
      'that is longer than any honest one',
      (key) => {
        const names = Array.from({ length: 3_000 }, () => [2, 'a.example'] as const);
        return { ...key, attributes: attributes(extensionRequest(extension(SAN, generalNames(...names)))) };
      },
    ],
  ])('%s', async (_, change) => {
    const { privateKey, publicKey } = await generateKey();
    const der = requestOf(change({ spki: spkiOf(publicKey), privateKey }));
    expect(codeOfSync(() => readRequest(der))).toBe('CG_CSR_UNREADABLE');
  });

  test('with anything after it, as a certificate, or as nothing', async () => {
    const der = pemToDer(
      await createRequest(signerOf((await generateKey()).privateKey), { commonName: 'x' }),
      'CERTIFICATE REQUEST',
    );
    for (const given of [
      Buffer.concat([der, Uint8Array.of(0)]),
      derToPem(der, 'CERTIFICATE'),
      '',
      new Uint8Array(0),
      new Uint8Array(40_000).fill(0x30),
    ]) {
      expect(codeOfSync(() => readRequest(given))).toBe('CG_CSR_UNREADABLE');
    }
  });

  test('or it is read: arbitrary octets, text, and a good request with some octets changed, fail with a code only', async () => {
    const san = attributes(extensionRequest(extension(SAN, generalNames([2, 'a.example'], [6, 'spiffe://a/b']))));
    const { privateKey, publicKey } = await generateKey();
    const der = requestOf({ spki: spkiOf(publicKey), privateKey, attributes: san });
    expect(readRequest(der).subjectAltNames).toHaveLength(2);
    const change = fc.tuple(fc.nat(der.length - 1), fc.nat(255));
    const damaged = fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
      const copy = Uint8Array.from(der);
      for (const [at, octet] of changes) copy[at] = octet;
      return copy;
    });
    const codes = ['CG_CSR_UNREADABLE', 'CG_CSR_SIGNATURE', 'CG_CSR_KEY'];
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.string(), damaged), (given) => {
        const same = typeof given !== 'string' && Buffer.from(given).equals(der);
        expect(same ? [null] : codes).toContain(codeOfSync(() => readRequest(given)));
      }),
      { numRuns: 2000 },
    );
  });
});
