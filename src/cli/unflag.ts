// certgate unflag: takes the flag off an identity, once a person has looked at who has its token or its key. What is not
// flagged is said and no error. It lets nobody in and keeps nobody out: a lock that came with the flag is certgate unlock's.
import { Command } from 'commander';
import { unflagIdentity } from '../authority/flags.ts';
import { parseIdentityName } from '../identity/name.ts';
import { actor, openStoreToAct } from './actor.ts';
import { printable, printableJson } from './escape.ts';
import { flagJson } from './flag-words.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { configOf, withSettings } from './settings.ts';

export function unflagCommand(io: CommandIo): Command {
  const command = describe(new Command('unflag'), 'clear the flag of an identity that you have looked into', {
    examples: [
      ['the cause was your own doing, or is fixed', 'certgate unflag worker/etl-1'],
      ['for a script', 'certgate unflag worker/etl-1 --json'],
    ],
    notes: [
      'an identity is flagged when a token was used again with another key, or a key is in two places: certgate list marks it,',
      'certgate ca check names it, certgate audit --identity NAME shows who, from where and when. The flag keeps nobody out; a',
      'lock that came with it is ended by certgate unlock. The next sign of theft flags it again.',
      'clearing a flag that is not set does nothing, with exit code 0.',
    ],
  })
    .argument('<IDENTITY>', 'whose flag')
    .option('--json', 'print JSON');
  return withSettings(command).action(async (name: string, flags: { json?: true }) => {
    const identity = parseIdentityName(name);
    const now = Date.now();
    const store = openStoreToAct(configOf(command, io).stateDir, io);
    try {
      const flag = await unflagIdentity(store, identity, actor(), now);
      const lock = (await store.locks(now)).find(({ scope, subject }) => scope === 'identity' && subject === identity);
      if (flags.json === true) {
        io.out(printableJson({ identity, flag: flagJson(flag), locked: lock !== undefined }, 2));
        return;
      }
      if (flag === null) io.say(printable(`${identity} is not flagged: nothing was changed`));
      else io.out(printable(`${identity}  no longer flagged, for ${flag.reason}`));
      if (lock !== undefined) {
        io.say(printable(`it is locked, for ${lock.reason}: certgate unlock identity ${identity}`));
      }
    } finally {
      await store.close();
    }
  });
}
