// The CA's private keys as files, under a passphrase or not. What is read becomes a Signer and nothing else leaves; what
// is written is a new file with mode 0600 from its first byte, encrypted whenever a passphrase is configured. A key that
// others than its owner could read is not used. Whoever else holds the issuer's key (a signer in another process) is
// behind the same interface: see remote-signer.ts. No message carries a key or a passphrase.

import type { KeyObject, X509Certificate } from 'node:crypto';
import { CertgateError, isCertgateError } from '../errors.ts';
import { encryptedKeyToPem, type OpenedKey, openPrivateKey } from '../pki/encrypted-keys.ts';
import { isEncryptedPem, privateKeyToPem } from '../pki/keys.ts';
import { type Signer, signerOf } from '../pki/signing.ts';
import { PRIVATE_FILE, readKeyFile, unreadable, writeNewFile } from './files.ts';
import type { PassphraseSource } from './passphrase.ts';
import { strongEnough } from './passphrase.ts';

export interface KeyStoreOptions {
  /** Null: none is configured. Otherwise every key that is written is encrypted with it. */
  readonly passphrase: PassphraseSource | null;
  /** Asked, when none is configured, for a key that turns out to be encrypted; then new keys are encrypted as well. */
  readonly prompt?: PassphraseSource | null;
  /** Told of a key whose encryption is weaker than OWASP asks for, or none where one is expected: a sentence without secrets. */
  readonly warn?: (sentence: string) => void;
}

export interface KeyStore {
  /**
   * The key in the file at `path`: PKCS#8, encrypted or not.
   * @throws CG_CA_FILE, CG_KEY_MODE, CG_PASSPHRASE; CG_KEY_UNREADABLE for a way of encryption that is not taken
   */
  read(path: string): Promise<Signer>;
  /** As `read`; and CG_CA_MISMATCH when the key is not that of the CA's certificate, which is called `name` in words. */
  signerFor(certificate: X509Certificate, path: string, name: string): Promise<Signer>;
  /**
   * Writes a new file, 0600, and waits until it is on the disk. It never replaces one: Node's EEXIST.
   * @throws CG_PASSPHRASE, CG_KEY_MODE (of the passphrase's file); Node's errors
   */
  write(path: string, key: KeyObject): Promise<void>;
}

/** The keys that are files of this machine. */
export function openKeyStore({ passphrase, prompt = null, warn = () => {} }: KeyStoreOptions): KeyStore {
  // A CA whose keys are encrypted gets no plain ones beside them.
  let forNewKeys = passphrase;
  const open = async (path: string): Promise<{ signer: Signer; encrypted: boolean }> => {
    const { key, encrypted, weakness } = await readKey(path, passphrase ?? prompt);
    if (encrypted) forNewKeys ??= prompt;
    if (weakness !== null)
      warn(`${path} is weakly encrypted: ${weakness}; encrypt it again with certgate ca passphrase`);
    return { signer: signerOf(key), encrypted };
  };
  return {
    read: async (path) => (await open(path)).signer,
    async signerFor(certificate, path, name) {
      const { signer, encrypted } = await open(path);
      // Who configures one after the keys were made takes them for protected.
      if (!encrypted && passphrase !== null)
        warn(`${path} is not encrypted, though there is a passphrase: encrypt it with certgate ca passphrase`);
      if (signer.publicKey.equals(certificate.publicKey)) return signer;
      const problem = `${path} is not the key of ${name}`;
      throw new CertgateError('CG_CA_MISMATCH', { problem, remedy: 'restore the two from the same backup' });
    },
    write: async (path, key) => writeNewFile(path, await keyText(key, forNewKeys), PRIVATE_FILE),
  };
}

/** For keys that nothing encrypts; an encrypted one can't be read through it. */
export const plainKeyStore: KeyStore = openKeyStore({ passphrase: null });

/** What the file of a key holds: PKCS#8 PEM, encrypted when there is a source of a passphrase. CG_PASSPHRASE. */
export async function keyText(key: KeyObject, passphrase: PassphraseSource | null): Promise<string> {
  return passphrase === null ? privateKeyToPem(key) : encryptedKeyToPem(key, await strongEnough(passphrase).read());
}

/** The key in the file at `path`. CG_CA_FILE, CG_KEY_MODE, CG_PASSPHRASE, CG_KEY_UNREADABLE. */
export async function readKey(path: string, passphrase: PassphraseSource | null): Promise<OpenedKey> {
  let pem = '';
  let ofTheSource: unknown = null;
  try {
    pem = await readKeyFile(path);
    return await openPrivateKey(pem, async () => {
      if (passphrase === null) return null;
      return passphrase.read().catch((error: unknown) => {
        ofTheSource = error;
        throw error;
      });
    });
  } catch (error) {
    if (error === ofTheSource) throw error;
    throw fileError(path, passphrase, error, isEncryptedPem(pem));
  }
}

function fileError(path: string, passphrase: PassphraseSource | null, error: unknown, encrypted: boolean): unknown {
  if (isCertgateError(error, 'CG_KEY_MODE')) return error;
  if (isCertgateError(error, 'CG_PASSPHRASE')) {
    const { problem, remedy } = error.facts;
    const words = passphrase === null ? problem : `${passphrase.name} does not open it`;
    return new CertgateError('CG_PASSPHRASE', { problem: `${path}: ${words}`, remedy });
  }
  // How it is encrypted is the trouble, and the remedy says how to encrypt it anew.
  if (encrypted && isCertgateError(error, 'CG_KEY_UNREADABLE')) {
    const { problem, remedy } = error.facts;
    return new CertgateError('CG_KEY_UNREADABLE', { problem: `${path}: ${problem}`, remedy }, { cause: error });
  }
  return unreadable(path, error);
}
