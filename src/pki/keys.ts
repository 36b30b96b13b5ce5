// Key pairs: making, writing and reading them (PKCS#8, RFC 5958, in PEM), and what ties a key to a certificate. The
// randomness and the arithmetic are OpenSSL's, through node:crypto. No message ever carries a key, not even a part of
// one; an encrypted key is refused here, and opened by encrypted-keys.ts.
import { createPrivateKey, generateKeyPair, hash, type KeyObject, type X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { CertgateError } from '../errors.ts';
import { readCertificate, subjectKeyIdOf } from './facts.ts';
import { keyBitsOf, spkiOf } from './public-keys.ts';

export { keyName } from './public-keys.ts';

export type KeyKind = 'P-256' | 'P-384' | 'Ed25519' | 'RSA-2048' | 'RSA-3072' | 'RSA-4096';

export interface KeyPair {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

const generate = promisify(generateKeyPair);

/** A new key pair, made off the main thread. RSA's public exponent is 65537. */
export function generateKey(kind: KeyKind = 'P-256'): Promise<KeyPair> {
  switch (kind) {
    case 'P-256':
    case 'P-384':
      return generate('ec', { namedCurve: kind });
    case 'Ed25519':
      return generate('ed25519');
    default:
      return generate('rsa', { modulusLength: Number(kind.slice(4)) });
  }
}

/** PKCS#8 PEM, not encrypted: for a file that only its owner can read. */
export function privateKeyToPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' });
}

/**
 * The private key in a PEM text: PKCS#8, or the older `EC PRIVATE KEY` and `RSA PRIVATE KEY`.
 * @throws CG_KEY_UNREADABLE when there is none, or two, or it is encrypted or damaged
 */
export function privateKeyFromPem(pem: string): KeyObject {
  requireOneKey(pem);
  if (isEncryptedPem(pem)) {
    throw new CertgateError('CG_KEY_UNREADABLE', {
      problem: 'it is encrypted, and this command takes no passphrase',
      remedy: 'decrypt it into a file of your own: `(umask 077; openssl pkey -in ENCRYPTED.key -out tls.key)`',
    });
  }
  try {
    return createPrivateKey({ key: pem, format: 'pem' });
  } catch (cause) {
    throw new CertgateError(
      'CG_KEY_UNREADABLE',
      {
        problem: 'it is damaged, or of a kind that OpenSSL does not know',
        remedy: 'check it with `openssl pkey -in FILE -check -noout`; make another with `openssl genpkey`',
      },
      { cause },
    );
  }
}

/** Whether a PEM text holds a private key in encrypted form, PKCS#8 or OpenSSL's older one. */
export function isEncryptedPem(pem: string): boolean {
  return /^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: *4, *ENCRYPTED/m.test(pem);
}

/** Nothing, when the PEM text holds one private key, encrypted or not. CG_KEY_UNREADABLE. */
export function requireOneKey(pem: string): void {
  const { length } = pem.match(/^-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----/gm) ?? [];
  if (length === 1) return;
  throw new CertgateError('CG_KEY_UNREADABLE', {
    problem: length === 0 ? 'no PEM block of a private key' : `${length} private keys where one was expected`,
    remedy: 'the file must hold one block -----BEGIN PRIVATE KEY-----, as `openssl genpkey` writes it',
  });
}

/** Whether the private key belongs to the certificate's public key. CG_CERT_UNREADABLE, CG_PEM for a text that is none. */
export function publicKeyFits(certificate: string | X509Certificate, privateKey: KeyObject): boolean {
  const read = typeof certificate === 'string' ? readCertificate(certificate) : certificate;
  return read.checkPrivateKey(privateKey);
}

/** By what a CA certificate is known, hex: its subject key identifier, else its key's identifier. CG_CERT_UNREADABLE. */
export function keyIdOf(certificate: X509Certificate): string {
  return subjectKeyIdOf(certificate) ?? keyId(certificate.publicKey);
}

/** Key identifier as RFC 5280 §4.2.1.2 (1) makes it: SHA-1 of the key's bit string, lower-case hex. */
export function keyId(publicKey: KeyObject): string {
  return hash('sha1', keyBitsOf(spkiOf(publicKey)));
}
