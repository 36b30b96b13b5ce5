// certgate token list: which tokens there are, what they are still good for, who used them, and which were misused. Reads
// the store only.
import { Command } from 'commander';
import { storeFile } from '../../authority/layout.ts';
import { tokenState } from '../../authority/tokens.ts';
import { roughDuration } from '../../config/duration.ts';
import { poolsIn } from '../../policy/scope.ts';
import { openSqliteStore } from '../../store/sqlite.ts';
import type { TokenUse } from '../../store/token-use.ts';
import type { TokenRecord } from '../../store/tokens.ts';
import { printable, printableJson } from '../escape.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';
import { configOf, withSettings } from '../settings.ts';
import { table } from '../table.ts';
import { tokenJson, useJson } from './token-words.ts';

export function listCommand(io: CommandIo): Command {
  const command = describe(new Command('list'), 'show the tokens, newest first, and who used them', {
    examples: [
      ['all of them', 'certgate token list'],
      ['the misused ones, for a script', "certgate token list --json | jq '.tokens[] | select(.flag != null)'"],
    ],
    notes: ['a token marked with ! was used in a way that only a thief has reason to: certgate audit says more.'],
  }).option('--json', 'print JSON');
  return withSettings(command).action(async (flags: { json?: true }) => {
    const { stateDir } = configOf(command, io);
    const now = Date.now();
    const store = openSqliteStore(storeFile(stateDir), { readOnly: true });
    try {
      const tokens: Array<{ token: TokenRecord; uses: readonly TokenUse[] }> = [];
      for (const token of await store.tokens()) tokens.push({ token, uses: await store.tokenUses(token.id) });
      if (flags.json === true) {
        const all = tokens.map(({ token, uses }) => ({ ...tokenJson(token, now), usedBy: uses.map(useJson) }));
        return io.out(printableJson({ tokens: all }, 2));
      }
      if (tokens.length === 0) return io.say('there are no tokens');
      const rows = tokens.map(({ token, uses }) => row(token, uses, now));
      for (const line of table(['token', 'for', 'pool', 'state', 'left', 'ends', 'used by'], rows)) io.out(line);
      for (const { token } of tokens) if (token.flag !== null) io.say(printable(`! ${token.id}: ${token.flag}`));
    } finally {
      await store.close();
    }
  });
}

function row(token: TokenRecord, uses: readonly TokenUse[], now: number): string[] {
  const { id, subject, usesLeft, expiresAt, flag } = token;
  const ends = expiresAt > now ? `in ${roughDuration(expiresAt - now)}` : `${roughDuration(now - expiresAt)} ago`;
  const names = uses.slice(0, 3).map(({ identity }) => identity);
  const more = uses.length > names.length ? ` and ${uses.length - names.length} more` : '';
  return [
    `${id}${flag === null ? '' : ' !'}`,
    subject,
    poolsIn(token.groups ?? []).join(', ') || '-',
    tokenState(token, now),
    `${usesLeft} of ${token.uses}`,
    ends,
    names.join(', ') + more,
  ];
}
