// The two things that making certificates and requests share: the library that writes them, and the signing key in the
// form it wants. @peculiar/x509 takes some 165 ms to load (measured, Node 26), so it is loaded by the first certificate
// made and never by a process that only reads them. The hash goes with the key: P-384 signs with SHA-384, the others
// with SHA-256, Ed25519 with its own.
import type { KeyObject, webcrypto } from 'node:crypto';
import { CertgateError } from '../errors.ts';
import { keyName } from './public-keys.ts';

/** @peculiar/x509, loaded once; it needs reflect-metadata to be there first. */
export async function loadX509() {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

export interface SigningKey {
  readonly key: webcrypto.CryptoKey;
  readonly algorithm: { readonly name: string; readonly hash: string };
}

/** A private key as WebCrypto takes it, with the algorithm it signs with. CG_KEY_UNREADABLE for a kind certgate never signs with. */
export function signingKeyOf(privateKey: KeyObject): SigningKey {
  const kind = keyName(privateKey);
  if (kind === 'P-256' || kind === 'P-384') {
    const algorithm = { name: 'ECDSA', hash: kind === 'P-256' ? 'SHA-256' : 'SHA-384' };
    return { key: privateKey.toCryptoKey({ name: 'ECDSA', namedCurve: kind }, false, ['sign']), algorithm };
  }
  if (kind === 'Ed25519') {
    return { key: privateKey.toCryptoKey('Ed25519', false, ['sign']), algorithm: { name: 'Ed25519', hash: 'SHA-512' } };
  }
  if (privateKey.asymmetricKeyType === 'rsa') {
    const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    return { key: privateKey.toCryptoKey(algorithm, false, ['sign']), algorithm };
  }
  throw new CertgateError('CG_KEY_UNREADABLE', {
    problem: `certgate does not sign with a key of kind ${kind}`,
    remedy:
      'use P-256, P-384, Ed25519 or RSA, e.g. `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY`',
  });
}
