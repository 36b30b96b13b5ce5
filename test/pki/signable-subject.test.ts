// What a signer reads of a leaf's subject and key, which its extensions say nothing of.
import { expect, test } from 'vitest';
import { isCertgateError } from '../../src/errors.ts';
import { encodeTlv, encodingOf, TAG } from '../../src/pki/der.ts';
import { spkiOf } from '../../src/pki/public-keys.ts';
import { judgeSignable } from '../../src/pki/signable.ts';
import { readSigned } from '../../src/pki/structure.ts';
import { at, CN, leafOf, nameOf, OU, rdn, TRUST_DOMAIN, testAuthority } from './fixture.ts';

const DAY = 86_400_000;
const NOW = at(-1).getTime() + 60_000;

/** What comes of a leaf for worker/a in which `found` stands as `other`, of the same length. */
async function judged(found: Uint8Array, other: Uint8Array): Promise<string> {
  const { issuer } = await testAuthority();
  const der = await leafOf('worker/a');
  const content = Buffer.from(encodingOf(der, readSigned(der, 'leaf').tbs));
  const start = content.indexOf(found);
  expect([start > 0, other.length]).toEqual([true, found.length]);
  content.set(other, start);
  const { certificate, signer } = issuer;
  const rules = {
    publicKey: signer.publicKey,
    certificate,
    trustDomains: [TRUST_DOMAIN],
    maxTtl: 3 * DAY,
    bundles: [],
  };
  try {
    return judgeSignable(content, rules, NOW).kind;
  } catch (error) {
    if (isCertgateError(error, 'CG_SIGNER_REFUSED')) return error.message;
    throw error;
  }
}

const own = rdn(CN, TAG.utf8String, 'worker/a');

test('a signer signs no leaf whose subject it cannot read, or has more in it than a name and groups', async () => {
  expect(await judged(own, rdn(CN, TAG.utf8String, 'worker/b'))).toBe('certificate');
  expect(await judged(own, rdn(OU, TAG.utf8String, 'worker/b'))).toBe('certificate');
  expect(await judged(own, rdn('2.5.4.10', TAG.utf8String, 'worker/b'))).toContain(
    'its subject has what leaves have not: O',
  );
  expect(await judged(own, rdn(CN, TAG.utf8String, Buffer.alloc(8, 0xff)))).toContain('is not UTF-8');
  expect(await judged(own, rdn(CN, TAG.octetString, 'worker/a'))).toContain('is not a string');
  expect(await judged(nameOf(own), encodeTlv(TAG.sequence, Buffer.alloc(own.length, 0x41)))).not.toBe('certificate');
});

test('a signer signs no leaf for what is no key, or for one that certgate certifies for nobody', async () => {
  const { leafKey } = await testAuthority();
  const spki = spkiOf(leafKey.publicKey);
  expect(await judged(spki, spki)).toBe('certificate');
  const offTheCurve = Buffer.from(spki);
  offTheCurve[90] = (offTheCurve[90] ?? 0) ^ 1;
  const otherCurve = Buffer.from(spki);
  otherCurve[22] = 6;
  for (const odd of [offTheCurve, otherCurve, Buffer.concat([spki.subarray(0, 2), Buffer.alloc(89, 0x41)])]) {
    expect(await judged(spki, odd)).toContain('key not accepted');
  }
});
