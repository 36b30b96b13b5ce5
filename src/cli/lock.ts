// certgate lock: keeps somebody out for now, without taking a certificate back. The lock is committed first; then the gate
// on this machine is asked to look at once, and what it cut is told. A gate elsewhere sees it within WATCH_INTERVAL.
import { Command } from 'commander';
import type { LockTarget } from '../authority/lock-table.ts';
import { LONGEST_LOCK, type Locked, lockClients, SHORTEST_LOCK } from '../authority/locking.ts';
import { shown } from '../errors.ts';
import { lockedCause } from '../inbound/revocation-watch.ts';
import { actor, openStoreToAct } from './actor.ts';
import { printable, printableJson } from './escape.ts';
import { durationFlag, readAll, usage } from './flags.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { endWords, lockJson, reasonFlag, targetOf, whoWords } from './lock-words.ts';
import { configOf, withSettings } from './settings.ts';
import { gateWords, tellGate } from './tell-gate.ts';

interface Flags {
  readonly for?: string;
  readonly reason?: string;
  readonly json?: true;
}

export function lockCommand(io: CommandIo): Command {
  const command = describe(new Command('lock'), 'keep somebody out for now: cut and refused at once, but not revoked', {
    examples: [
      ['an identity, while its machine is examined', "certgate lock identity worker/etl-1 --reason 'odd traffic'"],
      ['for two hours; the lock ends by itself', 'certgate lock identity user/alice --for 2h --reason maintenance'],
      [
        'one certificate, by its serial number from `certgate list`',
        'certgate lock serial 5f3a9c0e1d2b48768897a6b5c4d3e2f1 --reason lost',
      ],
      ['everyone', "certgate lock all --for 15m --reason 'the database is being moved'"],
    ],
    notes: [
      'certgate unlock ends a lock, and the same certificates are let in again; certgate locks shows all locks.',
      'no certificate is issued to or renewed for a locked identity, nor for anyone while everyone is locked.',
      "commands on this machine still work, and the gate's own certificate is still renewed.",
    ],
  })
    .argument('<WHAT>', 'identity, serial or all')
    .argument('[NAME]', 'the identity or the serial number')
    .option('--for <DURATION>', `for how long, from 1s to 365d, e.g. 2h; without it, until \`certgate unlock\``)
    .option('--reason <TEXT>', 'why, for the record (required)')
    .option('--json', 'print JSON');
  return withSettings(command).action(async (what: string, name: string | undefined, flags: Flags) => {
    const [target, reason, forMs] = readAll<[LockTarget, string, number | null]>(
      () => targetOf('lock', what, name),
      () => reasonFlag(flags.reason),
      () => (flags.for === undefined ? null : timeOf(flags.for)),
    );
    const { stateDir } = configOf(command, io);
    const now = Date.now();
    const store = openStoreToAct(stateDir, io);
    let locked: Locked;
    try {
      locked = await lockClients(store, { target, reason, forMs, actor: actor() }, now);
    } finally {
      await store.close();
    }
    if (flags.json !== true) sayLocked(locked, now, io);
    // Committed: from here on nothing can fail but the telling.
    const gate = await tellGate(stateDir, [lockedCause(locked.lock)], 'the lock', io);
    if (flags.json !== true) return io.say(gateWords(gate));
    const { lock, replaced, onRecord } = locked;
    io.out(
      printableJson(
        { lock: lockJson(lock), replaced: replaced === null ? null : lockJson(replaced), onRecord, gate },
        2,
      ),
    );
  });
}

function timeOf(text: string): number {
  const time = durationFlag('--for', text);
  if (time >= SHORTEST_LOCK && time <= LONGEST_LOCK) return time;
  throw usage(
    `--for is ${shown(text)}; a lock lasts from 1s to 365d, or without --for until it is unlocked`,
    'to keep somebody out for good, use certgate revoke',
  );
}

function sayLocked({ lock, replaced, onRecord }: Locked, now: number, io: CommandIo): void {
  io.out(printable(`${whoWords(lock)}  locked ${endWords(lock, now)}: ${lock.reason}`));
  if (replaced !== null) {
    io.say(printable(`instead of the lock ${endWords(replaced, now)}: ${replaced.reason}`));
  }
  if (!onRecord) {
    io.say(
      lock.scope === 'identity'
        ? `no certificate was ever issued to ${lock.subject}: the lock still applies, also to a certificate to which identity.rules give that name`
        : `no certificate with that serial number is on record: the lock still applies, to a certificate that certgate did not issue`,
    );
  }
}
