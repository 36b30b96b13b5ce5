// What every `certgate ca` command works on: the configured folders, with the store open for as long as it takes.
import type { Command } from 'commander';
import type { CaPlace } from '../../authority/change.ts';
import type { Config } from '../../config/schema.ts';
import { actor, openStoreToAct } from '../actor.ts';
import { printable } from '../escape.ts';
import type { CommandIo } from '../io.ts';
import { commandKeys } from '../passphrase.ts';
import { configOf } from '../settings.ts';

/** The flag of what makes an issuer's key: where a signer has the others it goes to that, by hand (docs/signer.md). */
export const KEY_HERE = [
  '--key-here',
  'make the new issuer key in certs/ although ca.signer is set; take it to the signer yourself',
] as const;

/**
 * Runs `deed` on the CA of the command's configuration; for `keyHere` as if it had no signer.
 * CG_CONFIG, CG_STORE_* and what the deed throws.
 */
export async function withCa<T>(
  command: Command,
  io: CommandIo,
  deed: (place: CaPlace, config: Config) => Promise<T>,
  keyHere = false,
): Promise<T> {
  const configured = configOf(command, io);
  const config = keyHere ? { ...configured, ca: { ...configured.ca, signer: null } } : configured;
  const { certsDir, stateDir, trustDomain } = config;
  const store = openStoreToAct(stateDir, io);
  try {
    const keys = await commandKeys(config, io);
    return await deed({ certsDir, store, trustDomain, keys, actor: actor() }, config);
  } finally {
    await store.close();
  }
}

/** What is to be done with the keys of issuers among `files`, which were made with KEY_HERE. */
export function sayKeyHere(files: readonly string[], io: CommandIo): void {
  for (const file of files.filter((one) => /\/issuer(-\d+)?\.key$/.test(one))) {
    io.say(
      printable(
        `take ${file} to the signer now, and start that with it: certgate signer --key FILE, once for each key`,
      ),
    );
  }
}

/** A change that was made, with a bundle's file that was not: the next change or start of the gate tries again. */
export function sayBundle(problem: string | null, io: CommandIo): void {
  if (problem !== null) io.say(printable(`but ca.crt is not up to date: ${problem}; it is not needed by the gate`));
}
