// certgate token revoke: nobody can enrol with it any more. What was issued by it stays: that is for certgate revoke.
import { Command } from 'commander';
import { revokeToken } from '../../authority/tokens.ts';
import { shown } from '../../errors.ts';
import { actor, openStoreToAct } from '../actor.ts';
import { printable } from '../escape.ts';
import { usage } from '../flags.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';
import { configOf, withSettings } from '../settings.ts';

export function revokeCommand(io: CommandIo): Command {
  const command = describe(new Command('revoke'), 'revoke a token: nobody can enrol with it any more', {
    examples: [['by the id that `certgate token list` shows', 'certgate token revoke 3f9a0c1e5b7d2468']],
    notes: ['certificates that were issued with it stay valid: revoke them with certgate revoke.'],
  }).argument('<ID>', 'the id, not the token itself');
  return withSettings(command).action(async (text: string) => {
    if (!/^[0-9a-f]{16}$/.test(text)) {
      const problem = text.startsWith('cgt') ? 'that is a token itself, not' : `${shown(text)} is not`;
      throw usage(`${problem} the id of one`, 'give the id that `certgate token list` shows: 16 hex digits');
    }
    const { stateDir } = configOf(command, io);
    const store = openStoreToAct(stateDir, io);
    try {
      const revoked = await revokeToken(store, text, actor(), Date.now());
      io.say(revoked ? `token ${text} is revoked` : `token ${text} was revoked before`);
      const uses = await store.tokenUses(text);
      for (const { identity, serial } of uses) io.out(printable(`${identity}  ${serial}`));
      if (uses.length > 0) io.say('these certificates were issued by it, and stay valid');
    } finally {
      await store.close();
    }
  });
}
