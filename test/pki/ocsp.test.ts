import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { derToPem, factsOf, readCertificate } from '../../src/pki/certificates.ts';
import { context, contextConstructed, encodeTlv, TAG } from '../../src/pki/der.ts';
import { privateKeyToPem } from '../../src/pki/keys.ts';
import {
  type CertId,
  createOcspAnswer,
  matchIssuer,
  OCSP_ERRORS,
  type OcspRequest,
  type OcspStatus,
  readOcspRequest,
} from '../../src/pki/ocsp.ts';
import { reasonNames } from '../../src/pki/oids.ts';
import { at, extension, leafOf, NOW, oid, testAuthority } from './fixture.ts';
import { folderWith, openssl } from './openssl.ts';

const pem = (der: Uint8Array): string => derToPem(der, 'CERTIFICATE');
const serialOf = (leaf: Uint8Array): string => factsOf(readCertificate(leaf)).serial;

/** A folder with the CA, two leaves, and the request that `openssl ocsp` makes about them. */
async function asked(...flags: readonly string[]) {
  const { root, issuer } = await testAuthority();
  const leaves = [await leafOf('worker/a'), await leafOf('worker/b')] as const;
  const folder = folderWith({
    'root.crt': pem(root.certificate.raw),
    'issuer.crt': pem(issuer.certificate.raw),
    'a.crt': pem(leaves[0]),
    'b.crt': pem(leaves[1]),
  });
  const made = await openssl(folder, 'ocsp', '-issuer', 'issuer.crt', ...flags, '-reqout', 'request.der');
  expect(made.ok, made.text).toBe(true);
  const request = readOcspRequest(readFileSync(join(folder, 'request.der')));
  return { folder, request, serials: leaves.map(serialOf) };
}

function requireRequest(request: OcspRequest | null): OcspRequest {
  if (request === null) throw new Error('the request was not read');
  return request;
}

async function answer(certIds: readonly CertId[], statuses: readonly OcspStatus[], nonce: Uint8Array | null = null) {
  const { issuer } = await testAuthority();
  const answers = certIds.map((id, i) => [id, statuses[i] ?? { status: 'unknown' }] as const);
  return createOcspAnswer({ issuer, answers, nonce, producedAt: at(0), thisUpdate: at(0), nextUpdate: at(1) });
}

/** What `openssl ocsp` says about an answer to the request in `folder`. */
async function judge(folder: string, der: Uint8Array) {
  writeFileSync(join(folder, 'answer.der'), der);
  return openssl(
    folder,
    ...['ocsp', '-issuer', 'issuer.crt', '-respin', 'answer.der', '-reqin', 'request.der'],
    ...['-CAfile', 'root.crt', '-attime', String(NOW), '-text'],
  );
}

describe('a request', () => {
  test.each([
    ['SHA-1', ['-sha1']],
    ['SHA-256', ['-sha256']],
  ] as const)('by OpenSSL with a CertID of %s is read, and its issuer known again', async (_, [hash]) => {
    const { issuer, root } = await testAuthority();
    const { request, serials } = await asked(hash, '-cert', 'a.crt', hash, '-cert', 'b.crt', '-no_nonce');
    expect(request).toMatchObject({ nonce: null, certIds: serials.map((serial) => ({ serial, hash: hash.slice(1) })) });
    const { certIds } = requireRequest(request);
    expect(certIds.map(matchIssuer(issuer))).toEqual([true, true]);
    expect(certIds.map(matchIssuer(root))).toEqual([false, false]);
  });

  test('with a hash that is not offered is read, and its issuer is nobody', async () => {
    const { issuer } = await testAuthority();
    const { certIds } = requireRequest((await asked('-sha512', '-cert', 'a.crt')).request);
    expect(certIds[0]?.hash).toBeNull();
    expect(certIds.map(matchIssuer(issuer))).toEqual([false]);
  });

  test('gives its nonce, and a signature and a name of the asker are passed over', async () => {
    const { issuer, issuerKey } = await testAuthority();
    const { folder } = await asked('-cert', 'a.crt');
    const read = requireRequest(readOcspRequest(readFileSync(join(folder, 'request.der'))));
    expect(read.nonce?.length).toBe(16);
    const signer = folderWith({
      'issuer.crt': pem(issuer.certificate.raw),
      'issuer.key': privateKeyToPem(issuerKey.privateKey),
      'a.crt': readFileSync(join(folder, 'a.crt')),
    });
    const signing = ['-signer', 'issuer.crt', '-signkey', 'issuer.key', '-reqout', 'signed.der'];
    await openssl(signer, 'ocsp', '-issuer', 'issuer.crt', '-cert', 'a.crt', ...signing);
    const signed = readFileSync(join(signer, 'signed.der'));
    expect(signed.length).toBeGreaterThan(300);
    expect(readOcspRequest(signed)?.certIds).toHaveLength(1);
  });

  const certId = (serial = Uint8Array.of(0x4f, 1)) =>
    encodeTlv(
      TAG.sequence,
      encodeTlv(TAG.sequence, oid('1.3.14.3.2.26'), encodeTlv(TAG.null)),
      ...[20, 20].map((size) => encodeTlv(TAG.octetString, randomBytes(size))),
      encodeTlv(TAG.integer, serial),
    );
  const single = (...more: readonly Uint8Array[]) => encodeTlv(TAG.sequence, certId(), ...more);
  const nonce = (octets: Uint8Array) => extension('1.3.6.1.5.5.7.48.1.2', octets);
  const request = (parts: readonly Uint8Array[], ...extensions: readonly Uint8Array[]) => {
    const tail =
      extensions.length === 0 ? [] : [encodeTlv(contextConstructed(2), encodeTlv(TAG.sequence, ...extensions))];
    return encodeTlv(TAG.sequence, encodeTlv(TAG.sequence, ...parts, ...tail));
  };
  const list = (...singles: readonly Uint8Array[]) => encodeTlv(TAG.sequence, ...singles);

  test('has a nonce of 1 to 128 octets or is malformed (RFC 9654)', () => {
    for (const size of [1, 32, 127, 128]) {
      const octets = randomBytes(size);
      const read = readOcspRequest(request([list(single())], nonce(encodeTlv(TAG.octetString, octets))));
      expect(Buffer.from(read?.nonce ?? [])).toEqual(octets);
    }
    for (const bad of [
      encodeTlv(TAG.octetString),
      encodeTlv(TAG.octetString, randomBytes(129)),
      Buffer.from('not wrapped'),
    ]) {
      expect(readOcspRequest(request([list(single())], nonce(bad)))).toBeNull();
    }
  });

  test.each<[string, Uint8Array]>([
    ['no CertID', request([list()])],
    ['33 CertIDs', request([list(...Array.from({ length: 33 }, () => single()))])],
    ['another version', request([encodeTlv(contextConstructed(0), Uint8Array.of(TAG.integer, 1, 1)), list(single())])],
    [
      'a critical extension that is unknown',
      request([list(single())], extension('1.2.3.4', Uint8Array.of(5, 0), true)),
    ],
    [
      'the same extension twice',
      request([list(single())], ...[1, 2].map((n) => nonce(encodeTlv(TAG.octetString, Uint8Array.of(n))))),
    ],
    ['octets after it', Buffer.concat([request([list(single())]), Uint8Array.of(0)])],
    ['a part too many', request([list(single()), list(single())])],
    ['a negative serial', request([list(encodeTlv(TAG.sequence, certId(Uint8Array.of(0x80))))])],
    ['a serial of 21 octets', request([list(encodeTlv(TAG.sequence, certId(new Uint8Array(21).fill(1))))])],
    [
      'a hash of the wrong length',
      request([
        list(
          encodeTlv(
            TAG.sequence,
            encodeTlv(
              TAG.sequence,
              encodeTlv(TAG.sequence, oid('1.3.14.3.2.26')),
              ...[19, 20].map((n) => encodeTlv(TAG.octetString, randomBytes(n))),
              encodeTlv(TAG.integer, Uint8Array.of(1)),
            ),
          ),
        ),
      ]),
    ],
    ...(
      [
        ['parameters of the hash', encodeTlv(TAG.octetString, randomBytes(40))],
        ['a NULL of the hash that is none', encodeTlv(TAG.null, randomBytes(1))],
        ['more than a NULL of the hash', Buffer.concat([encodeTlv(TAG.null), encodeTlv(TAG.null)])],
      ] as const
    ).map(([what, parameters]): [string, Uint8Array] => {
      const algorithm = encodeTlv(TAG.sequence, oid('1.3.14.3.2.26'), parameters);
      const hashes = [20, 20].map((n) => encodeTlv(TAG.octetString, randomBytes(n)));
      const id = encodeTlv(TAG.sequence, algorithm, ...hashes, encodeTlv(TAG.integer, Uint8Array.of(1)));
      return [what, request([list(encodeTlv(TAG.sequence, id))])];
    }),
    [
      'something else for a signature',
      encodeTlv(TAG.sequence, encodeTlv(TAG.sequence, list(single())), encodeTlv(context(0))),
    ],
  ])('with %s is malformed', (_, der) => {
    expect(readOcspRequest(der)).toBeNull();
  });

  test('with version 1 written out, 32 CertIDs and harmless extensions is read', () => {
    const version = encodeTlv(contextConstructed(0), Uint8Array.of(TAG.integer, 1, 0));
    const singles = Array.from({ length: 32 }, () => single());
    const read = readOcspRequest(request([version, list(...singles)], extension('1.2.3.4', Uint8Array.of(5, 0))));
    expect(read?.certIds).toHaveLength(32);
  });

  test('of any octets, or a real one with any octets changed, is read or is null; nothing is thrown', async () => {
    const { folder } = await asked('-sha256', '-cert', 'a.crt');
    const real = readFileSync(join(folder, 'request.der'));
    const changed = fc
      .array(fc.tuple(fc.nat(real.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
      .map((edits) => {
        const octets = Uint8Array.from(real);
        for (const [where, value] of edits) octets[where] = value;
        return octets;
      });
    const cut = fc.nat(real.length - 1).map((length) => real.subarray(0, length));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), changed, cut), (octets) => {
        const read = readOcspRequest(octets);
        if (read === null) return;
        expect(read.certIds.length).toBeGreaterThan(0);
        for (const { serial } of read.certIds) expect(serial).toMatch(/^([0-9a-f]{2}){1,20}$/);
      }),
      { numRuns: 20_000 },
    );
    fc.assert(
      fc.property(cut, (octets) => readOcspRequest(octets) === null),
      { numRuns: 200 },
    );
  });
});

describe('an answer', () => {
  test('is verified by OpenSSL with the issuer alone, whether good, revoked or unknown', async () => {
    const { folder, request } = await asked('-cert', 'a.crt', '-cert', 'b.crt', '-serial', '0x4f02');
    const { certIds, nonce } = requireRequest(request);
    const revoked = { status: 'revoked', revokedAt: NOW * 1000 - 60_000, reason: 'keyCompromise' } as const;
    const der = await answer(certIds, [{ status: 'good' }, revoked, { status: 'unknown' }], nonce);
    const { ok, text } = await judge(folder, der);
    expect([ok, text]).toEqual([true, expect.stringContaining('Response verify OK')]);
    expect(text.match(/(?<=Cert Status: )\w+/g)).toEqual(['good', 'revoked', 'unknown']);
    expect(text).toMatch(/Revocation Time: Nov 24 11:59:00 2026 GMT\n\s+Revocation Reason: keyCompromise \(0x1\)/);
    expect(text).not.toContain('WARNING');
  });

  test('with another nonce than was asked for is refused by OpenSSL', async () => {
    const { folder, request } = await asked('-cert', 'a.crt');
    const { certIds } = requireRequest(request);
    const der = await answer(certIds, [{ status: 'good' }], randomBytes(16));
    expect((await judge(folder, der)).text).toContain('Nonce Verify error');
  });

  test('that was changed anywhere in what is signed is refused by OpenSSL', async () => {
    const { folder, request } = await asked('-cert', 'a.crt', '-no_nonce');
    const der = Buffer.from(await answer(requireRequest(request).certIds, [{ status: 'unknown' }]));
    der[der.indexOf(Uint8Array.of(0x82, 0x00))] = 0x80; // unknown becomes good
    const { ok, text } = await judge(folder, der);
    expect([ok, text]).toEqual([false, expect.stringContaining('Response Verify Failure')]);
  });

  test('gives each reason but `unspecified`, which is left out', async () => {
    const { folder, request } = await asked('-cert', 'a.crt', '-no_nonce');
    const { certIds } = requireRequest(request);
    for (const [code, reason] of reasonNames) {
      const der = await answer(certIds, [{ status: 'revoked', revokedAt: NOW * 1000, reason }]);
      const { text } = await judge(folder, der);
      if (reason === 'unspecified') expect(text).not.toContain('Revocation Reason');
      else expect(text).toMatch(new RegExp(`Revocation Reason: .* \\(0x${code.toString(16)}\\)`));
    }
  });

  test('that is an error is the five octets of RFC 6960', () => {
    const hex = Object.entries(OCSP_ERRORS).map(([name, der]) => [name, Buffer.from(der).toString('hex')]);
    expect(hex).toEqual([
      ['malformedRequest', '30030a0101'],
      ['internalError', '30030a0102'],
      ['tryLater', '30030a0103'],
      ['unauthorized', '30030a0106'],
    ]);
  });
});
