// certgate locks: who is locked now, by whom, why and until when. Reads the store only, so it tells what a gate acts on
// whether or not one runs.
import { Command } from 'commander';
import { storeFile } from '../authority/layout.ts';
import { roughDuration } from '../config/duration.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { printableJson } from './escape.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { lockJson, whoWords } from './lock-words.ts';
import { configOf, withSettings } from './settings.ts';
import { table } from './table.ts';

export function locksCommand(io: CommandIo): Command {
  const command = describe(new Command('locks'), 'show who is locked now, by whom, why and until when', {
    examples: [
      ['all locks', 'certgate locks'],
      ['how many, for a script', "certgate locks --json | jq '.locks | length'"],
    ],
    notes: ['ended locks are in the record: certgate audit.'],
  }).option('--json', 'print JSON');
  return withSettings(command).action(async (flags: { json?: true }) => {
    const { stateDir } = configOf(command, io);
    const now = Date.now();
    const store = openSqliteStore(storeFile(stateDir), { readOnly: true });
    try {
      const locks = await store.locks(now);
      if (flags.json === true) return io.out(printableJson({ locks: locks.map(lockJson) }, 2));
      if (locks.length === 0) return io.say('nobody is locked');
      const rows = locks.map((lock) => [
        whoWords(lock),
        lock.until === null ? 'by unlock' : `in ${roughDuration(lock.until - now)}`,
        lock.actor,
        lock.reason,
      ]);
      for (const line of table(['locked', 'ends', 'by', 'reason'], rows)) io.out(line);
    } finally {
      await store.close();
    }
  });
}
