import { createHash, X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { isCertgateError } from '../../src/errors.ts';
import { auditStatement, retirementStatement } from '../../src/pki/audit-statement.ts';
import { bundleStatement } from '../../src/pki/bundle-signature.ts';
import { createIssuer, createRoot, signerOf } from '../../src/pki/certificates.ts';
import {
  childrenOf,
  context,
  contextConstructed,
  encodeOid,
  encodeTime,
  encodeTlv,
  encodeUnsigned,
  encodingOf,
  readOnly,
  TAG,
} from '../../src/pki/der.ts';
import { generateKey, keyId, keyIdOf } from '../../src/pki/keys.ts';
import { pemToDer } from '../../src/pki/pem.ts';
import { keyBitsOf, spkiOf } from '../../src/pki/public-keys.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { judgeSignable, type SignerRules, trustDomainsOf } from '../../src/pki/signable.ts';
import { type Signer, signingAlgorithmOf } from '../../src/pki/signing.ts';
import { readFrame, readSigned } from '../../src/pki/structure.ts';
import { at, craft, extension, generalNames, leafOf, SAN, TRUST_DOMAIN, testAuthority } from './fixture.ts';

const DAY = 86_400_000;
const BUNDLE_ID = 'a'.repeat(64);
/** The fixture's leaves begin here. */
const NOW = at(-1).getTime() + 60_000;
const sequence = (...parts: readonly Uint8Array[]): Uint8Array => encodeTlv(TAG.sequence, ...parts);

let certificate: X509Certificate;
let rules: SignerRules;
let signer: Signer;
let name: Uint8Array;
let algorithm: Uint8Array;
let authorityKeyId: Uint8Array;

beforeAll(async () => {
  const { issuer } = await testAuthority();
  ({ certificate, signer } = issuer);
  rules = {
    publicKey: signer.publicKey,
    certificate,
    trustDomains: [TRUST_DOMAIN],
    maxTtl: 2 * DAY,
    bundles: [BUNDLE_ID],
  };
  const frame = readFrame(certificate.raw);
  name = encodingOf(frame.der, frame.subject);
  algorithm = signingAlgorithmOf(signer.publicKey).identifier;
  authorityKeyId = extension('2.5.29.35', sequence(encodeTlv(context(0), Buffer.from(issuer.keyId, 'hex'))));
});

const signedPart = (der: Uint8Array): Uint8Array => encodingOf(der, readSigned(der, 'thing').tbs);
const judge = (content: Uint8Array, other: Partial<SignerRules> = {}, now = NOW) =>
  judgeSignable(content, { ...rules, ...other }, now);
function refusal(content: Uint8Array, other: Partial<SignerRules> = {}, now = NOW): string {
  try {
    judge(content, other, now);
  } catch (error) {
    if (isCertgateError(error, 'CG_SIGNER_REFUSED')) return error.message;
    throw error;
  }
  throw new Error('it would be signed');
}

const usage = (bits: number): Uint8Array => extension('2.5.29.15', Uint8Array.of(TAG.bitString, 2, 0, bits), true);
const purpose = (...oids: readonly string[]): Uint8Array => extension('2.5.29.37', sequence(...oids.map(encodeOid)));
type Names = ReadonlyArray<readonly [number, Uint8Array | string]>;
const CLIENT = '1.3.6.1.5.5.7.3.2';
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
const san = (...names: Names): Uint8Array => extension(SAN, generalNames(...names));
const URI = [6, `spiffe://${TRUST_DOMAIN}/worker/a`] as const;
/** A TBSCertificate with these extensions besides the key identifier of the issuer. */
const leafWith = async (...extensions: readonly Uint8Array[]): Promise<Uint8Array> =>
  signedPart(await craft({ extensions: [authorityKeyId, ...extensions] }));

describe('a signer signs', () => {
  test('what certgate issues, and says for the log what it is', async () => {
    const content = signedPart(await leafOf('worker/etl-1', { dns: ['etl.example'], ip: ['192.0.2.7'] }));
    expect(judge(content)).toMatchObject({
      kind: 'certificate',
      serial: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
      names: [`spiffe://${TRUST_DOMAIN}/worker/etl-1`, 'etl.example', '192.0.2.7'],
      notAfter: at(1).toISOString(),
    });
    expect(judge(signedPart(await leafOf('gate/a', { profile: 'server' }))).kind).toBe('certificate');
    const gate = judge(signedPart(await leafOf('gate/a', { profile: 'server', dns: ['a.example'] })));
    expect(gate).toMatchObject({ kind: 'certificate', names: ['a.example'] });
  });

  test('a request for its own key, also while it has no certificate', async () => {
    const pem = await createRequest(signer, { commonName: 'certgate issuer' });
    const content = signedPart(pemToDer(pem, 'CERTIFICATE REQUEST'));
    expect(judge(content, { certificate: null })).toEqual({ kind: 'request' });
    expect(judge(content)).toEqual({ kind: 'request' });
    const other = signerOf((await generateKey()).privateKey);
    const others = signedPart(pemToDer(await createRequest(other, { commonName: 'x' }), 'CERTIFICATE REQUEST'));
    expect(refusal(others)).toContain('another key');
    const parts = childrenOf(content, readOnly(content, TAG.sequence, 'request')).map((one) =>
      encodingOf(content, one),
    );
    const [version = content, subject = content, spki = content, attributes = content] = parts;
    expect(refusal(sequence(...parts, encodeTlv(TAG.null)))).toContain('after its attributes');
    expect(refusal(sequence(version, encodeTlv(TAG.null), spki, attributes))).toContain('subject');
    expect(refusal(sequence(version, subject, spki, sequence()))).toContain('attributes');
    expect(refusal(sequence(version, subject, spki))).toContain('attributes');
  });

  test('a CRL of its own and of now', () => {
    const entry = sequence(encodeUnsigned(Uint8Array.of(0x12)), encodeTime(new Date(NOW)));
    expect(judge(crl({ entries: [entry, entry] }))).toEqual({ kind: 'crl', entries: 2 });
    expect(judge(crl({}))).toEqual({ kind: 'crl', entries: 0 });
    expect(refusal(crl({ issuer: sequence() }))).toContain('another issuer');
    expect(refusal(crl({ thisUpdate: NOW - 2 * 3_600_000 }))).toContain('not of now');
    expect(refusal(crl({ nextUpdate: NOW + 40 * DAY }))).toContain('it is good until');
    expect(refusal(crl({ version: 2 }))).toContain('version 2');
    expect(refusal(crl({ nextUpdate: NOW - 1000 }))).toContain('it is good until');
    expect(refusal(crl({ signedBy: sequence(encodeOid('1.2.840.10045.4.3.3')) }))).toContain('algorithm');
    expect(refusal(crl({ extensions: [] }))).toContain("another issuer's key");
    for (const odd of [encodeTlv(TAG.null), encodeUnsigned(Uint8Array.of(0x12))])
      expect(refusal(crl({ entries: [entry, odd] }))).toContain('entry');
    expect(refusal(crl({ after: [sequence()] }))).toContain('after its extensions');
    expect(refusal(crl({ beside: [sequence()] }))).toContain('after its extensions');
  });

  test('an OCSP answer about its own certificates, and that it does not know those of others', () => {
    const good = encodeTlv(context(0));
    const unknown = encodeTlv(context(2));
    expect(judge(ocsp({ status: good }))).toEqual({ kind: 'ocsp', entries: 1 });
    expect(judge(ocsp({ status: unknown, keyHash: Buffer.alloc(20) }))).toEqual({ kind: 'ocsp', entries: 1 });
    expect(refusal(ocsp({ status: good, keyHash: Buffer.alloc(20) }))).toContain('another issuer');
    expect(refusal(ocsp({ status: good, responder: Buffer.alloc(20) }))).toContain('another one answers');
    expect(refusal(ocsp({ status: good, producedAt: NOW + 2 * 3_600_000 }))).toContain('not of now');
    for (const status of [good, unknown]) expect(refusal(ocsp({ status, until: null }))).toContain('nextUpdate');
    // What may follow it in an answer (RFC 6960 §4.2.1), and certgate never writes.
    const single = encodeTlv(contextConstructed(1), sequence(extension('1.2.3.4', encodeTlv(TAG.null))));
    expect(refusal(ocsp({ status: good, behind: [single] }))).toContain('after nextUpdate');
    expect(refusal(ocsp({ status: good, until: null, behind: [single] }))).toContain('nextUpdate');
    expect(refusal(ocsp({ status: good, thisUpdate: NOW - 2 * 3_600_000 }))).toContain('not of now');
    for (const until of [NOW + 40 * DAY, NOW - 1000])
      expect(refusal(ocsp({ status: good, until }))).toContain('it is good until');
    const named = encodeTlv(contextConstructed(1), name);
    expect(judge(ocsp({ status: good, by: named }))).toEqual({ kind: 'ocsp', entries: 1 });
    for (const by of [encodeTlv(contextConstructed(1), sequence()), encodeTlv(contextConstructed(1))])
      expect(refusal(ocsp({ status: good, by }))).toContain('another one answers');
    const nonce = extension('1.3.6.1.5.5.7.48.1.2', encodeTlv(TAG.octetString, Buffer.alloc(8)));
    const extensions = encodeTlv(contextConstructed(1), sequence(nonce));
    expect(judge(ocsp({ status: good, after: [extensions] })).kind).toBe('ocsp');
    expect(refusal(ocsp({ status: good, after: [sequence()] }))).toContain('extensions');
    expect(refusal(ocsp({ status: good, after: [extensions, sequence()] }))).toContain('after its extensions');
  });

  test('an OCSP answer about several certificates only if it may speak of each, by a hash that it knows', () => {
    const good = encodeTlv(context(0));
    const own = (hash: string) =>
      createHash(hash)
        .update(keyBitsOf(spkiOf(signer.publicKey)))
        .digest();
    const [sha1, sha256, sha384] = ['1.3.14.3.2.26', '2.16.840.1.101.3.4.2.1', '2.16.840.1.101.3.4.2.2'];
    const asked = (...ids: ReadonlyArray<readonly [string | undefined, Uint8Array]>) =>
      ocsp({ status: good, ids: ids.map(([oid = '', hash]) => [oid, hash] as const) });
    expect(judge(asked([sha1, own('sha1')], [sha256, own('sha256')]))).toEqual({ kind: 'ocsp', entries: 2 });
    expect(refusal(asked([sha1, own('sha1')], [sha256, Buffer.alloc(32)]))).toContain('another issuer');
    expect(refusal(asked([sha1, own('sha256')]))).toContain('another issuer');
    for (const hash of ['sha1', 'sha256']) expect(refusal(asked([sha384, own(hash)]))).toContain('another issuer');
  });
});

test('a signer vouches for the trust bundle that it was shown, and for no other', () => {
  expect(judge(bundleStatement(BUNDLE_ID, NOW))).toEqual({ kind: 'bundle' });
  expect(refusal(bundleStatement('b'.repeat(64), NOW))).toContain('ca.crt');
  expect(refusal(bundleStatement(BUNDLE_ID, NOW), { bundles: [] })).toContain('ca.crt');
  const more = Buffer.concat([bundleStatement(BUNDLE_ID, NOW), Buffer.from('x')]);
  expect(refusal(more)).toContain('ca.crt');
  expect(refusal(Buffer.from(`certgate trust bundle 1\n${BUNDLE_ID}\n`))).toContain('ca.crt');
});

test('a signer signs a checkpoint of the record that is of its issuer, its trust domain and now, and no other', () => {
  const issuer = keyIdOf(certificate);
  const head = { seq: 8, hash: 'a'.repeat(64) };
  const facts = { trustDomain: TRUST_DOMAIN, record: head, act: { ...head, seq: 0 }, time: NOW, issuer };
  const text = Buffer.from(auditStatement(facts)).toString('latin1');
  expect(judge(Buffer.from(text))).toEqual({ kind: 'checkpoint', entries: 8 });
  expect(refusal(auditStatement({ ...facts, issuer: 'aa11' }))).toContain('another issuer');
  expect(refusal(auditStatement(facts), { certificate: null })).toContain('another issuer');
  expect(refusal(auditStatement({ ...facts, trustDomain: 'other.example' }))).toContain('not of');
  for (const time of [NOW - 600_000, NOW + 600_000]) {
    expect(refusal(auditStatement({ ...facts, time }))).toContain('which is not now');
  }
  for (const odd of [
    `${text}x`,
    text.slice(0, -1),
    text.replace('record 8', 'record -8'),
    text.replace(' 1\n', ' 2\n'),
  ]) {
    expect(refusal(Buffer.from(odd))).toContain('no statement about the audit record');
  }
});

test('a signer signs a retirement of the oldest records of its own issuer and of now, and none of more than there are', () => {
  const facts = {
    ...{ trustDomain: TRUST_DOMAIN, record: { seq: 8, hash: 'a'.repeat(64) }, time: NOW, issuer: keyIdOf(certificate) },
    ...{ from: 1, to: { seq: 5, hash: 'b'.repeat(64) }, rule: 'keepFor 90d' },
  };
  const text = Buffer.from(retirementStatement(facts)).toString('latin1');
  expect(judge(Buffer.from(text))).toEqual({ kind: 'retirement', entries: 8 });
  expect(refusal(retirementStatement({ ...facts, issuer: 'aa11' }))).toContain('retirement names another issuer');
  expect(refusal(retirementStatement({ ...facts, trustDomain: 'other.example' }))).toContain('not of');
  expect(refusal(retirementStatement({ ...facts, time: NOW + 600_000 }))).toContain('which is not now');
  for (const odd of [
    retirementStatement({ ...facts, from: 6 }),
    retirementStatement({ ...facts, to: { ...facts.to, seq: 9 } }),
    retirementStatement({ ...facts, rule: 'keepFor 90d\nrule keepFor 1d' }),
    Buffer.from(`${text}x`),
  ]) {
    expect(refusal(odd)).toContain('no statement about the audit record');
  }
});

test('a signer gives no trust bundle a number that lies far ahead: the sidecars would refuse all after it', () => {
  expect(judge(bundleStatement(BUNDLE_ID, NOW + DAY))).toEqual({ kind: 'bundle' });
  expect(refusal(bundleStatement(BUNDLE_ID, NOW + DAY + 1))).toContain('a time to come');
  for (const number of ['0', '01', '-1', '1e9', '99999999999999999']) {
    expect(refusal(Buffer.from(`certgate trust bundle 2\n${number}\n${BUNDLE_ID}\n`))).not.toBe('');
  }
});

describe('a signer refuses', () => {
  test('the certificate of a CA: a root, an issuer, and a leaf that says so on the side', async () => {
    const key = await generateKey();
    const validity = { notBefore: at(-1), notAfter: at(0) };
    const root = signedPart(await createRoot({ commonName: 'test issuer', ...validity, key }));
    expect(refusal(root)).not.toBe('');
    const { issuer } = await testAuthority();
    const below = await createIssuer({
      commonName: 'below',
      ...validity,
      key,
      root: issuer,
      trustDomain: TRUST_DOMAIN,
    });
    expect(refusal(signedPart(below))).toMatch(/2\.5\.29\.30|CA|longer/);
    const ca = extension('2.5.29.19', sequence(Uint8Array.of(TAG.boolean, 1, 0xff)), true);
    expect(refusal(await leafWith(usage(0x80), purpose(CLIENT), san(URI), ca))).toContain('of a CA');
    const pathLength = extension('2.5.29.19', sequence(encodeUnsigned(Uint8Array.of(0))), true);
    expect(refusal(await leafWith(usage(0x80), purpose(CLIENT), san(URI), pathLength))).toContain('of a CA');
    const no = extension('2.5.29.19', sequence(), true);
    expect(judge(await leafWith(usage(0x80), purpose(CLIENT), san(URI), no)).kind).toBe('certificate');
    for (const bits of [0x04, 0x02, 0x86]) {
      expect(refusal(await leafWith(usage(bits), purpose(CLIENT), san(URI)))).toContain('may sign');
    }
  });

  test('a longer life than --max-ttl, one that begins at another time, and one that ends before it begins', async () => {
    const life = async (from: number, until: number): Promise<Uint8Array> =>
      signedPart(await leafOf('worker/a', { notBefore: new Date(from), notAfter: new Date(until) }));
    expect(judge(await life(NOW - 60_000, NOW + 2 * DAY)).kind).toBe('certificate');
    expect(refusal(await life(NOW - 60_000, NOW + 2 * DAY + 1000))).toContain('--max-ttl');
    // Five minutes are a clock's; no life ends later for it.
    expect(judge(await life(NOW + 300_000, NOW + 300_000 + 2 * DAY)).kind).toBe('certificate');
    expect(refusal(await life(NOW + 300_000, NOW + 360_000 + 2 * DAY))).toContain('--max-ttl');
    expect(judge(await life(NOW - 360_000, NOW + DAY)).kind).toBe('certificate');
    for (const from of [NOW - 361_000, NOW + 301_000])
      expect(refusal(await life(from, NOW + DAY))).toContain('not now');
    const extensions = [authorityKeyId, usage(0x80), purpose(CLIENT), san(URI)];
    for (const until of [NOW, NOW - 1000]) {
      const none = signedPart(await craft({ extensions, validity: [new Date(NOW), new Date(until)] }));
      expect(refusal(none)).toContain('which is not now');
    }
    expect(refusal(await life(NOW + DAY, NOW + 2 * DAY))).toContain('not now');
    expect(refusal(await life(NOW - DAY, NOW + DAY))).toContain('not now');
  });

  test('names of other trust domains, other kinds of names, no name and two', async () => {
    const named = async (...names: Names): Promise<Uint8Array> => leafWith(usage(0x80), purpose(CLIENT), san(...names));
    expect(judge(await named(URI)).kind).toBe('certificate');
    expect(refusal(await named([6, 'spiffe://evil.example/worker/a']))).toContain('evil.example');
    expect(refusal(await named([6, `spiffe://${TRUST_DOMAIN}.evil.example/a`]))).toContain('trust domain');
    expect(refusal(await named([6, `spiffe://${TRUST_DOMAIN}`]))).toContain('trust domain');
    expect(refusal(await named([6, `https://evil.example/spiffe://${TRUST_DOMAIN}/a`]))).toContain('trust domain');
    const domains = ['other.example', TRUST_DOMAIN];
    expect(judge(await named(URI), { trustDomains: domains }).kind).toBe('certificate');
    expect(refusal(await named([6, 'spiffe://evil.example/a']), { trustDomains: domains })).toContain(
      domains.join(', '),
    );
    expect(refusal(await named(URI), { trustDomains: [] })).toContain('trust domain');
    expect(refusal(await named(URI, [6, `spiffe://${TRUST_DOMAIN}/worker/b`]))).toContain('2 URIs');
    expect(refusal(await named(URI, [1, 'a@b.example']))).toContain('email');
    expect(refusal(await named([2, 'a.example']))).toContain('0 URIs');
    expect(refusal(await leafWith(usage(0x80), purpose(CLIENT)))).toContain('0 URIs');
  });

  test('purposes and extensions that leaves have not', async () => {
    expect(refusal(await leafWith(usage(0x80), purpose('1.3.6.1.5.5.7.3.3'), san(URI)))).toContain('3.3');
    expect(refusal(await leafWith(usage(0x80), purpose('2.5.29.37.0'), san(URI)))).toContain('2.5.29.37.0');
    expect(judge(await leafWith(usage(0x80), purpose(CLIENT, '1.3.6.1.5.5.7.3.1'), san(URI))).kind).toBe('certificate');
    expect(refusal(await leafWith(usage(0x80), purpose(CLIENT, '1.3.6.1.5.5.7.3.3'), san(URI)))).toContain('3.3');
    expect(refusal(await leafWith(usage(0x80), purpose(), san(URI)))).toContain('no purpose');
    // A responder's certificate, of which certgate has none (RFC 6960 §4.2.2.2): by it anybody is good for as long as it lasts.
    for (const purposes of [[OCSP_SIGNING], [CLIENT, OCSP_SIGNING]]) {
      expect(refusal(await leafWith(usage(0x80), purpose(...purposes), san(URI)))).toContain(OCSP_SIGNING);
    }
    const unchecked = extension('1.3.6.1.5.5.7.48.1.5', encodeTlv(0x05));
    expect(refusal(await leafWith(usage(0x80), purpose(CLIENT), san(URI), unchecked))).toContain('48.1.5');
    expect(refusal(await leafWith(usage(0x80), san(URI)))).toContain('no extended key usage');
    expect(refusal(await leafWith(purpose(CLIENT), san(URI)))).toContain('no key usage');
    const odd = extension('1.2.3.4', sequence());
    expect(refusal(await leafWith(usage(0x80), purpose(CLIENT), san(URI), odd))).toContain('1.2.3.4');
  });

  test("another issuer's leaf, by name, by key and by algorithm", async () => {
    const content = Buffer.from(signedPart(await leafOf('worker/a')));
    const { root } = await testAuthority();
    expect(refusal(content, { certificate: root.certificate })).toContain('another issuer');
    // Another name with the same key, and its own name with another key's identifier.
    const blank = content.indexOf('test issuer') + 'test'.length;
    const renamed = Buffer.from(content);
    renamed.write('-', blank);
    expect(refusal(renamed)).toMatch(/it names another issuer$/);
    const noKeyId = signedPart(await craft({ extensions: [usage(0x80), purpose(CLIENT), san(URI)] }));
    expect(refusal(noKeyId)).toContain("another issuer's key");
    const position = content.indexOf(encodeOid('1.2.840.10045.4.3.2'));
    content[position + 9] = 3;
    expect(refusal(content)).toContain('algorithm');
  });

  test('a certificate that is not of version 3', async () => {
    const content = Buffer.from(signedPart(await leafOf('worker/a')));
    const version = content.indexOf(Uint8Array.of(0xa0, 3, TAG.integer, 1, 2));
    for (const other of [0, 1, 3]) {
      content[version + 4] = other;
      expect(refusal(content)).toContain('version');
    }
  });

  test('the key identifier of another, where its certificate names one', async () => {
    const keyIdentifier = extension('2.5.29.14', encodeTlv(TAG.octetString, Uint8Array.of(0xaa, 0xbb)));
    const odd = new X509Certificate(await craft({ extensions: [keyIdentifier] }));
    const record = { seq: 8, hash: 'a'.repeat(64) };
    const facts = { trustDomain: TRUST_DOMAIN, record, act: { ...record, seq: 0 }, time: NOW };
    expect(judge(auditStatement({ ...facts, issuer: 'aabb' }), { certificate: odd }).kind).toBe('checkpoint');
    const computed = keyId(signer.publicKey);
    expect(refusal(auditStatement({ ...facts, issuer: computed }), { certificate: odd })).toContain('another issuer');
    const bare = new X509Certificate(await craft({ extensions: [] }));
    expect(judge(auditStatement({ ...facts, issuer: computed }), { certificate: bare }).kind).toBe('checkpoint');
  });

  test('anything but requests without a certificate', async () => {
    expect(refusal(signedPart(await leafOf('worker/a')), { certificate: null })).toContain('only requests');
  });

  test('whatever else there is, always with the one error', async () => {
    const real = [
      signedPart(await leafOf('worker/a')),
      crl({}),
      ocsp({ status: encodeTlv(context(0)) }),
      signedPart(pemToDer(await createRequest(signer, { commonName: 'x' }), 'CERTIFICATE REQUEST')),
    ];
    expect(refusal(new Uint8Array())).not.toBe('');
    const judged = (content: Uint8Array): boolean => {
      try {
        judge(content);
        return true;
      } catch (error) {
        return isCertgateError(error, 'CG_SIGNER_REFUSED');
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), judged));
    const cut = fc.tuple(fc.constantFrom(...real), fc.nat(), fc.nat(255));
    fc.assert(
      fc.property(cut, ([content, place, octet]) => {
        const changed = Buffer.from(content);
        changed[place % changed.length] = octet;
        return judged(changed) && judged(content.subarray(0, place % content.length));
      }),
      { numRuns: 3000 },
    );
  });
});

test('the trust domain is that of the name constraint of the issuer', async () => {
  expect(trustDomainsOf(certificate)).toEqual([TRUST_DOMAIN]);
  const { root } = await testAuthority();
  expect(trustDomainsOf(root.certificate)).toEqual([]);
});

function crl({
  version = 1,
  signedBy = algorithm,
  issuer = name,
  thisUpdate = NOW,
  nextUpdate = NOW + DAY,
  entries = [] as readonly Uint8Array[],
  extensions = [authorityKeyId] as readonly Uint8Array[],
  beside = [] as readonly Uint8Array[],
  after = [] as readonly Uint8Array[],
}): Uint8Array {
  return sequence(
    encodeUnsigned(Uint8Array.of(version)),
    signedBy,
    issuer,
    encodeTime(new Date(thisUpdate)),
    encodeTime(new Date(nextUpdate)),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    encodeTlv(contextConstructed(0), sequence(...extensions), ...beside),
    ...after,
  );
}

function ocsp(different: {
  readonly status: Uint8Array;
  readonly keyHash?: Uint8Array;
  readonly responder?: Uint8Array;
  readonly by?: Uint8Array;
  readonly producedAt?: number;
  readonly thisUpdate?: number;
  readonly until?: number | null;
  /** In each answer, after that. */
  readonly behind?: readonly Uint8Array[];
  readonly ids?: ReadonlyArray<readonly [hash: string, ofKey: Uint8Array]>;
  readonly after?: readonly Uint8Array[];
}): Uint8Array {
  const own = createHash('sha1')
    .update(keyBitsOf(spkiOf(signer.publicKey)))
    .digest();
  const { status, keyHash = own, responder = own, producedAt = NOW, thisUpdate = NOW, until = NOW + DAY } = different;
  const time = (moment: number): Uint8Array =>
    encodeTlv(TAG.generalizedTime, Buffer.from(new Date(moment).toISOString().replaceAll(/[-:T]|\.\d+/g, '')));
  const octets = (value: Uint8Array): Uint8Array => encodeTlv(TAG.octetString, value);
  const answers = (different.ids ?? [['1.3.14.3.2.26', keyHash]]).map(([oid, hash]) => {
    const by = sequence(encodeOid(oid), encodeTlv(TAG.null));
    const id = sequence(by, octets(Buffer.alloc(20, 1)), octets(hash), encodeUnsigned(Uint8Array.of(0x12)));
    return sequence(
      id,
      status,
      time(thisUpdate),
      ...(until === null ? [] : [encodeTlv(contextConstructed(0), time(until))]),
      ...(different.behind ?? []),
    );
  });
  const by = different.by ?? encodeTlv(contextConstructed(2), octets(responder));
  return sequence(by, time(producedAt), sequence(...answers), ...(different.after ?? []));
}
