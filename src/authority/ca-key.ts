// What is wrong with the key of a CA, certgate's own or a company's: whoever can find its private half can make any
// identity. Older and other kinds are taken than certgate makes itself, for a company's root is what it is: P-521, Brainpool,
// RSA with the exponent 3. Not taken is what nobody may rely on any more, DSA, RSA below 2048 bits and curves below 224 (NIST
// SP 800-131A, FIPS 186-5), curves that the key itself spells out (RFC 5480 §2.1.1, CVE-2020-0601), moduli of odd sizes, which
// only faulty tools make (CA/Browser Forum BR §6.1.6), and keys of known faults.
import type { KeyObject } from 'node:crypto';
import { childrenOf, ofTag, readOnly, TAG } from '../pki/der.ts';
import { keyBitsOf, keyName, spkiHashOf, spkiOf } from '../pki/public-keys.ts';
import { weaknessOf } from '../pki/weak-keys.ts';
import { debianWeaknessOf } from './debian-weak-keys.ts';

/** In words that follow "a key"; null when nothing is known against it. Node's error when the list of Debian's keys cannot be read. */
export async function caKeyProblemOf(publicKey: KeyObject): Promise<string | null> {
  const problem = kindProblemOf(publicKey) ?? weaknessOf(publicKey, spkiHashOf(publicKey));
  return problem ?? (await debianWeaknessOf(publicKey));
}

function kindProblemOf(publicKey: KeyObject): string | null {
  const name = keyName(publicKey);
  if (publicKey.asymmetricKeyType === 'dsa') return 'of DSA, which nobody accepts any more';
  if (publicKey.asymmetricKeyType === 'ec') return curveProblemOf(publicKey, name);
  if (publicKey.asymmetricKeyType !== 'rsa' && publicKey.asymmetricKeyType !== 'rsa-pss') return null;
  const { modulusLength = 0, publicExponent = 0n } = publicKey.asymmetricKeyDetails ?? {};
  if (modulusLength < 2048) return `of the kind ${name}, smaller than 2048 bits`;
  if (modulusLength % 8 !== 0) return `of the kind ${name}, of a size that is no number of whole octets`;
  if (publicExponent < 3n || publicExponent % 2n === 0n)
    return `of the kind ${name} with the exponent ${publicExponent}`;
  return null;
}

function curveProblemOf(publicKey: KeyObject, name: string): string | null {
  const spki = spkiOf(publicKey);
  const [algorithm] = childrenOf(spki, readOnly(spki, TAG.sequence, 'public key'));
  const [, curve] = childrenOf(spki, ofTag(algorithm, TAG.sequence, 'algorithm'));
  if (curve?.tag !== TAG.oid) return `of the kind ${name}, with its curve spelled out in it`;
  // SEC 1 §2.3.3: both coordinates, or one with a sign.
  const point = keyBitsOf(spki);
  const octets = point[0] === 4 ? (point.length - 1) / 2 : point.length - 1;
  return octets < 28 ? `of the kind ${name}, smaller than 224 bits` : null;
}
