// certgate unlock: ends a lock before its time. Others stay: whoever was locked twice is told so. What is not locked is said
// and no error, so that it can be asked for twice. The gate on this machine lets in again at once.
import { Command } from 'commander';
import { type LockTarget, targetArguments } from '../authority/lock-table.ts';
import { type Unlocked, unlockClients } from '../authority/locking.ts';
import type { FlagRecord } from '../store/flags.ts';
import { actor, openStoreToAct } from './actor.ts';
import { printable, printableJson } from './escape.ts';
import { flagJson, flagLines } from './flag-words.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { endWords, lockJson, targetOf, whoWords } from './lock-words.ts';
import { configOf, withSettings } from './settings.ts';
import { gateWords, tellGate } from './tell-gate.ts';

export function unlockCommand(io: CommandIo): Command {
  const command = describe(new Command('unlock'), 'end a lock: the same certificates are let in again', {
    examples: [
      ['an identity', 'certgate unlock identity worker/etl-1'],
      ['everyone; locks on one identity or certificate stay', 'certgate unlock all'],
    ],
    notes: ['unlocking what is not locked does nothing, with exit code 0; certgate locks shows all locks.'],
  })
    .argument('<WHAT>', 'identity, serial or all')
    .argument('[NAME]', 'the identity or the serial number')
    .option('--json', 'print JSON');
  return withSettings(command).action(async (what: string, name: string | undefined, flags: { json?: true }) => {
    const target = targetOf('unlock', what, name);
    const { stateDir } = configOf(command, io);
    const now = Date.now();
    const store = openStoreToAct(stateDir, io);
    let ended: Unlocked;
    let flag: FlagRecord | undefined;
    try {
      ended = await unlockClients(store, target, actor(), now);
      if (target.scope === 'identity') flag = (await store.flags()).find(({ identity }) => identity === target.subject);
    } finally {
      await store.close();
    }
    if (flags.json !== true) sayUnlocked(target, ended, now, io);
    if (flags.json !== true && flag !== undefined) {
      for (const line of flagLines(flag, now)) io.say(printable(line));
    }
    const gate = ended.unlocked ? await tellGate(stateDir, [], 'the end of the lock', io) : null;
    if (flags.json === true) {
      const { unlocked, standing } = ended;
      io.out(printableJson({ ...target, unlocked, standing: standing.map(lockJson), flag: flagJson(flag), gate }, 2));
    } else if (ended.unlocked) {
      io.say(
        gate === null
          ? gateWords(gate)
          : `the gate on this machine has applied it (${gate.milliseconds.toFixed(0)} ms)`,
      );
    }
  });
}

function sayUnlocked(target: LockTarget, { unlocked, standing }: Unlocked, now: number, io: CommandIo): void {
  const who = whoWords(target);
  if (unlocked) io.out(printable(`${who}  unlocked`));
  else
    io.say(
      printable(
        target.scope === 'all'
          ? 'there is no lock on all: nothing was changed'
          : `${who} is not locked: nothing was changed`,
      ),
    );
  const all = standing.find(({ scope }) => scope === 'all');
  if (all !== undefined)
    io.say(printable(`everyone is locked ${endWords(all, now)}: certgate unlock ${targetArguments(all)}`));
  else if (standing.length > 0) {
    io.say(`${standing.length === 1 ? '1 other lock stands' : `${standing.length} other locks stand`}: certgate locks`);
  }
}
