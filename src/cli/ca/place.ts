// What every `certgate ca` command works on: the configured folders, with the store open for as long as it takes.
import type { Command } from 'commander';
import type { CaPlace } from '../../authority/change.ts';
import type { Config } from '../../config/schema.ts';
import { actor, openStoreToAct } from '../actor.ts';
import { printable } from '../escape.ts';
import type { CommandIo } from '../io.ts';
import { commandKeys } from '../passphrase.ts';
import { configOf } from '../settings.ts';

/** Runs `deed` on the CA of the command's configuration. CG_CONFIG, CG_STORE_* and what the deed throws. */
export async function withCa<T>(
  command: Command,
  io: CommandIo,
  deed: (place: CaPlace, config: Config) => Promise<T>,
): Promise<T> {
  const config = configOf(command, io);
  const { certsDir, stateDir, trustDomain } = config;
  const store = openStoreToAct(stateDir, io);
  try {
    const keys = await commandKeys(config, io);
    return await deed({ certsDir, store, trustDomain, keys, actor: actor() }, config);
  } finally {
    await store.close();
  }
}

/** A change that was made, with a bundle's file that was not: the next change or start of the gate tries again. */
export function sayBundle(problem: string | null, io: CommandIo): void {
  if (problem !== null) io.say(printable(`but ca.crt is not up to date: ${problem}; it is not needed by the gate`));
}
