// The octets that certgate writes, against those of another writer (@peculiar/x509) given the same content: whatever the
// names, dates, keys and extensions are, the two differ in nothing but the signature, and there only where it is random.
// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 needs it to be there first
import 'reflect-metadata';
import { type KeyObject, randomBytes } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  createIssuer,
  createLeaf,
  createRoot,
  issuerOf,
  readCertificate,
  signerOf,
} from '../../src/pki/certificates.ts';
import { encodeOid, encodeTime, encodeTlv, readOid, readOnly, readTime, TAG } from '../../src/pki/der.ts';
import { generateKey, keyId } from '../../src/pki/keys.ts';
import { pemToDer } from '../../src/pki/pem.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { readSigned } from '../../src/pki/structure.ts';

const KINDS = ['P-256', 'P-384', 'Ed25519', 'RSA-2048'] as const;
type Kind = (typeof KINDS)[number];
const keys = Object.fromEntries(
  await Promise.all(KINDS.map(async (kind) => [kind, await generateKey(kind)] as const)),
) as Record<Kind, Awaited<ReturnType<typeof generateKey>>>;
const kinds = fc.constantFrom(...KINDS);

const algorithms: Record<Kind, { readonly name: string; readonly namedCurve?: string; readonly hash: string }> = {
  'P-256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'P-384': { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  Ed25519: { name: 'Ed25519', hash: 'SHA-512' },
  'RSA-2048': { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
};
const cryptoKey = (key: KeyObject, kind: Kind) =>
  key.toCryptoKey(algorithms[kind], true, [key.type === 'private' ? 'sign' : 'verify']);
const spki = (key: KeyObject) => key.export({ type: 'spki', format: 'der' });

/** All but the signature; and the signature too where the key always makes the same one. */
function comparable(der: Uint8Array, signer: Kind): string {
  const { signature } = readSigned(der, 'signed thing');
  const isRandom = signer.startsWith('P-');
  // The signature's own length moves the outermost one.
  const end = isRandom ? signature.at : der.length;
  const start = isRandom ? (der[1] ?? 0) - 0x7e : 0;
  return Buffer.from(der.subarray(start, end)).toString('hex');
}

const second = (from: string, to: string) =>
  fc.integer({ min: Date.parse(from) / 1000, max: Date.parse(to) / 1000 }).map((seconds) => new Date(seconds * 1000));
const validity = fc.record({
  notBefore: second('1950-01-01T00:00:00Z', '2060-01-01T00:00:00Z'),
  notAfter: second('2060-01-01T00:00:01Z', '9999-12-31T23:59:59Z'),
});
const commonName = fc.oneof(
  fc.constantFrom('worker/etl-1', 'Ærø, 東京 + "x"', 'a'.repeat(64), '#=;', ' lead and trail '),
  fc.string({ unit: fc.constantFrom(...Array.from('abcXYZ059-/.,+="é京🎉')), minLength: 1, maxLength: 60 }),
);
const address = fc.oneof(
  fc.ipV4(),
  fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .map((octets) =>
      Array.from({ length: 8 }, (_, i) => ((octets[2 * i] ?? 0) * 256 + (octets[2 * i + 1] ?? 0)).toString(16)).join(
        ':',
      ),
    ),
  fc.constantFrom('::', '::1', '1::', 'fe80::1:0:0:1', '2001:db8::7', '::ffff:192.0.2.7', '0:0:1::'),
);
const label = fc.string({ unit: fc.constantFrom(...Array.from('abc019_')), minLength: 1, maxLength: 20 });
const dnsName = fc.array(label, { maxLength: 4 }).map((labels) => [...labels, 'example'].join('.'));
const serial = fc
  .tuple(fc.integer({ min: 1, max: 255 }), fc.uint8Array({ minLength: 7, maxLength: 18 }))
  .map(([first, rest]) => Buffer.from([first, ...rest]).toString('hex'));

const theirName = (text: string) => new x509.Name([{ CN: [{ utf8String: text }] }]);

describe('octet for octet what @peculiar/x509 writes', () => {
  test('is a leaf', async () => {
    const leaf = fc.record({
      ...{ signer: kinds, kind: kinds, profile: fc.constantFrom('client' as const, 'server' as const) },
      ...{ subjectCommonName: fc.oneof(commonName, fc.constantFrom('', 'x'.repeat(65))), validity, serial },
      ...{ dns: fc.array(dnsName, { maxLength: 40 }), ip: fc.array(address, { maxLength: 5 }) },
      hasStatus: fc.boolean(),
    });
    const issuers = Object.fromEntries(
      await Promise.all(
        KINDS.map(async (kind) => {
          const dates = { notBefore: new Date('2026-01-01'), notAfter: new Date('2027-01-01') };
          const der = await createRoot({ commonName: `issuer ${kind}`, ...dates, key: keys[kind] });
          return [kind, issuerOf(der, signerOf(keys[kind].privateKey))] as const;
        }),
      ),
    ) as Record<Kind, ReturnType<typeof issuerOf>>;
    await fc.assert(
      fc.asyncProperty(
        leaf,
        async ({ signer, kind, profile, subjectCommonName, validity: dates, serial: number, dns, ip, hasStatus }) => {
          const issuer = issuers[signer];
          const { publicKey } = keys[kind];
          const spiffeUri = 'spiffe://prefect.example/worker/etl-1';
          const [crl, ocsp, caIssuers] = ['crl/0f.crl', 'ocsp', 'issuer/0f.crt'].map(
            (path) => `http://a.example/${path}`,
          );
          const status = { crl: crl ?? '', ocsp: ocsp ?? '', caIssuers: caIssuers ?? '' };
          const ours = await createLeaf({
            ...(hasStatus ? { status } : {}),
            ...{ profile, subjectCommonName, spiffeUri, dns, ip, publicKey, ...dates, serial: number, issuer },
          });
          const isNamed = subjectCommonName !== '' && Array.from(subjectCommonName).length <= 64;
          const canonical = ip.map((one) =>
            one.includes(':') ? new URL(`http://[${one}]`).hostname.slice(1, -1) : one,
          );
          const theirs = await x509.X509CertificateGenerator.create({
            serialNumber: number,
            subject: isNamed ? theirName(subjectCommonName) : new x509.Name([]),
            issuer: theirName(`issuer ${signer}`),
            ...dates,
            publicKey: spki(publicKey),
            signingKey: cryptoKey(keys[signer].privateKey, signer),
            signingAlgorithm: algorithms[signer],
            extensions: [
              new x509.BasicConstraintsExtension(false, undefined, true),
              new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
              new x509.ExtendedKeyUsageExtension([`1.3.6.1.5.5.7.3.${profile === 'server' ? 1 : 2}`], false),
              new x509.SubjectAlternativeNameExtension(
                [
                  ...(profile === 'server' && dns.length + ip.length > 0
                    ? []
                    : [{ type: 'url' as const, value: spiffeUri }]),
                  ...[...new Set(dns)].map((value) => ({ type: 'dns' as const, value })),
                  ...[...new Set(canonical)].map((value) => ({ type: 'ip' as const, value })),
                ],
                !isNamed,
              ),
              new x509.SubjectKeyIdentifierExtension(keyId(publicKey)),
              new x509.AuthorityKeyIdentifierExtension(issuer.keyId),
              ...(hasStatus
                ? [
                    new x509.CRLDistributionPointsExtension([status.crl]),
                    new x509.AuthorityInfoAccessExtension({ ocsp: [status.ocsp], caIssuers: [status.caIssuers] }),
                  ]
                : []),
            ],
          });
          expect(comparable(ours, signer)).toBe(comparable(new Uint8Array(theirs.rawData), signer));
          expect(readCertificate(ours).verify(issuer.certificate.publicKey)).toBe(true);
        },
      ),
      { numRuns: 150 },
    );
  });

  test('is a root and its issuer', async () => {
    await fc.assert(
      fc.asyncProperty(kinds, kinds, commonName, validity, async (signer, kind, name, dates) => {
        const root = await createRoot({ commonName: name, ...dates, key: keys[signer] });
        const own = issuerOf(root, signerOf(keys[signer].privateKey));
        const request = { commonName: 'issuer', ...dates, key: keys[kind], root: own, trustDomain: 'prefect.example' };
        const issuer = await createIssuer(request);
        const pairs = [
          [root, name, keys[signer].publicKey, undefined],
          [issuer, 'issuer', keys[kind].publicKey, 0],
        ] as const;
        for (const [ours, subject, publicKey, pathlen] of pairs) {
          const uri = encodeTlv(0x86, Buffer.from('prefect.example'));
          const permitted = encodeTlv(TAG.sequence, encodeTlv(0xa0, encodeTlv(TAG.sequence, uri)));
          const theirs = await x509.X509CertificateGenerator.create({
            serialNumber: readCertificate(ours).serialNumber,
            subject: theirName(subject),
            issuer: theirName(name),
            ...dates,
            publicKey: spki(publicKey),
            signingKey: cryptoKey(keys[signer].privateKey, signer),
            signingAlgorithm: algorithms[signer],
            extensions: [
              new x509.BasicConstraintsExtension(true, pathlen, true),
              pathlen === 0
                ? new x509.Extension('2.5.29.15', true, Buffer.from('03020186', 'hex')) // bits 0, 5 and 6
                : new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
              ...(pathlen === 0 ? [new x509.Extension('2.5.29.30', false, permitted)] : []),
              new x509.SubjectKeyIdentifierExtension(keyId(publicKey)),
              new x509.AuthorityKeyIdentifierExtension(own.keyId),
            ],
          });
          expect(comparable(ours, signer)).toBe(comparable(new Uint8Array(theirs.rawData), signer));
          expect(readCertificate(ours).verify(own.certificate.publicKey)).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('is a request', async () => {
    await fc.assert(
      fc.asyncProperty(kinds, commonName, async (kind, name) => {
        const { privateKey, publicKey } = keys[kind];
        const ours = pemToDer(await createRequest(signerOf(privateKey), { commonName: name }), 'CERTIFICATE REQUEST');
        const theirs = await x509.Pkcs10CertificateRequestGenerator.create({
          name: theirName(name),
          keys: { privateKey: cryptoKey(privateKey, kind), publicKey: cryptoKey(publicKey, kind) },
          signingAlgorithm: algorithms[kind],
        });
        expect(comparable(ours, kind)).toBe(comparable(new Uint8Array(theirs.rawData), kind));
      }),
      { numRuns: 60 },
    );
  });
});

describe('what is written is read back', () => {
  test('when it is an object identifier', () => {
    const arc = fc.oneof(fc.nat(300), fc.maxSafeInteger().map(Math.abs));
    const first = fc.oneof(fc.tuple(fc.nat(1), fc.nat(39)), fc.tuple(fc.constant(2), fc.nat(1_000_000)));
    fc.assert(
      fc.property(first, fc.array(arc, { maxLength: 12 }), (start, rest) => {
        const dotted = [...start, ...rest].join('.');
        const der = encodeOid(dotted);
        expect(readOid(der, readOnly(der, TAG.oid, 'oid'), 'oid')).toBe(dotted);
      }),
    );
  });

  test('when it is a moment, and as UTCTime up to 2049', () => {
    fc.assert(
      fc.property(second('1950-01-01T00:00:00Z', '9999-12-31T23:59:59Z'), (moment) => {
        const der = encodeTime(moment);
        expect(der[0]).toBe(moment.getUTCFullYear() < 2050 ? TAG.utcTime : TAG.generalizedTime);
        expect(readTime(der, { tag: der[0] ?? 0, at: 0, start: 2, end: der.length }, 'time')).toEqual(moment);
      }),
    );
  });

  test.each([0, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000])('when its content has %i octets', (size) => {
    const content = randomBytes(size);
    const der = encodeTlv(TAG.octetString, content);
    const { start, end } = readOnly(der, TAG.octetString, 'content');
    expect(Buffer.from(der.subarray(start, end)).equals(content)).toBe(true);
  });
});
