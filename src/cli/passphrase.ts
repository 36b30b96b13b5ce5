// Where a command gets the passphrase of encrypted keys: the file that is configured, else CERTGATE_PASSPHRASE, else the
// systemd credential `certgate-passphrase`, else, when somebody sits at a terminal, a question. Never an argument: those
// stand in `ps` and in the shell's history. What is typed is not shown, and asked for once however many keys need it.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type KeyStore, openKeyStore } from '../authority/key-store.ts';
import type { PassphraseSource } from '../authority/passphrase.ts';
import { passphraseFile, passphraseValue, strongEnough } from '../authority/passphrase.ts';
import { parseSocketPath } from '../config/address.ts';
import type { Config } from '../config/schema.ts';
import { CertgateError } from '../errors.ts';
import { printable } from './escape.ts';
import type { Io } from './io.ts';

/** The name of the systemd credential, as in `LoadCredentialEncrypted=certgate-passphrase:…`. */
const CREDENTIAL = 'certgate-passphrase';

type Asking = Pick<Io, 'env' | 'askSecret'>;

/** The passphrase that is configured: by `file`, the environment or systemd; null when by none. */
export function configuredPassphrase(config: Config, file: string | null, io: Asking): PassphraseSource | null {
  if (file !== null) return passphraseFile(file);
  if (config.passphrase !== null) return passphraseValue('CERTGATE_PASSPHRASE', config.passphrase);
  const folder = io.env['CREDENTIALS_DIRECTORY'];
  const credential = folder === undefined || folder === '' ? null : join(folder, CREDENTIAL);
  if (credential === null || statSync(credential, { throwIfNoEntry: false })?.isFile() !== true) return null;
  return passphraseFile(credential, { private: false });
}

/** A question at the terminal, asked once; null where there is no terminal. */
export function promptedPassphrase(question: string, { askSecret: ask }: Asking): PassphraseSource | null {
  if (ask === undefined) return null;
  let answer: Promise<string> | null = null;
  return {
    name: 'the passphrase that was typed',
    async read() {
      answer ??= ask(question);
      return passphraseValue(this.name, await answer).read();
    },
  };
}

/** A new passphrase, typed twice; null where there is no terminal. CG_PASSPHRASE when the two differ. */
export function newPassphrase({ askSecret: ask }: Asking): PassphraseSource | null {
  if (ask === undefined) return null;
  const typed = async (): Promise<string> => {
    const first = await ask("new passphrase for the CA's keys: ");
    // What is too short is said before it is typed again.
    await strongEnough(passphraseValue('the passphrase that was typed', first)).read();
    if ((await ask('the same again: ')) === first) return first;
    throw new CertgateError('CG_PASSPHRASE', {
      problem: 'the two passphrases that were typed are not the same',
      remedy: 'nothing was changed: run the command again',
    });
  };
  let answer: Promise<string> | null = null;
  return {
    name: 'the passphrase that was typed',
    async read() {
      answer ??= typed();
      return passphraseValue(this.name, await answer).read();
    },
  };
}

/** The keys of the CA as the configuration says: files, encrypted or not, or behind a signer. `warn` gets sentences. */
export async function keyStoreOf(config: Config, io: Asking, warn: (sentence: string) => void): Promise<KeyStore> {
  const files = openKeyStore({
    passphrase: configuredPassphrase(config, config.ca.passphraseFile, io),
    prompt: promptedPassphrase("passphrase of the CA's key: ", io),
    warn,
  });
  const socket = config.ca.signer === null ? null : parseSocketPath(config.ca.signer);
  // Loaded only where it is used: a gate with its key in a file has no need of it.
  return socket === null ? files : (await import('../authority/remote-signer.ts')).signedElsewhere(socket, files);
}

/** The same for a command that ends: warnings are words on stderr. */
export function commandKeys(config: Config, io: Io): Promise<KeyStore> {
  return keyStoreOf(config, io, (sentence) => io.say(`warning: ${printable(sentence)}`));
}

/** What opens the key of an outbound sidecar: octets, or null when there is nothing to open it with. */
export function sidecarPassphrase(config: Config, io: Asking): () => Promise<Uint8Array | null> {
  const source =
    configuredPassphrase(config, config.connect.passphraseFile, io) ??
    promptedPassphrase('passphrase of the private key: ', io);
  return async () => source?.read() ?? null;
}
