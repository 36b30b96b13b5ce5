// The RSA keys that Debian's and Ubuntu's OpenSSL made from 2006 to 2008 (CVE-2008-0166): 1,348,571 that anybody can make
// again, of 1024, 2048, 3072 and 4096 bits. debian-weak-keys.bin beside this, 4 MB, is read when the first RSA key comes,
// without holding anything up, and kept; who certifies none never reads it.
import type { KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CertgateError } from '../errors.ts';
import { type KeyList, openKeyList } from '../pki/listed-keys.ts';
import { keyName } from '../pki/public-keys.ts';

let list: Promise<KeyList> | null = null;

/**
 * What is wrong with a key that is on the list, in words that follow its kind; null for all others.
 * @throws Node's error when the list, which is part of certgate, cannot be read: then nobody can say that the key is good
 */
export async function debianWeaknessOf(publicKey: KeyObject): Promise<string | null> {
  if (publicKey.asymmetricKeyType !== 'rsa') return null;
  list ??= readFile(new URL('./debian-weak-keys.bin', import.meta.url)).then(openKeyList);
  // What failed is tried again with the next key.
  const read = await list.catch((error: unknown) => {
    list = null;
    throw error;
  });
  return read.has(publicKey)
    ? "that Debian's OpenSSL made in 2006 to 2008, which anybody can reproduce (CVE-2008-0166)"
    : null;
}

/** CG_CSR_KEY for a key that is on the list. */
export async function requireNotDebian(publicKey: KeyObject): Promise<void> {
  const weakness = await debianWeaknessOf(publicKey);
  if (weakness !== null) throw new CertgateError('CG_CSR_KEY', { key: `${keyName(publicKey)} ${weakness}` });
}
