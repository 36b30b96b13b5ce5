// certgate audit: who did what, oldest first. Two records are read as one: the gate's own (state/audit.jsonl: every
// write, how it went, and every refusal) and the CA's (in the store: what was issued, revoked, made). Reads only. A damaged
// line is reported and stepped over, never hidden.
import { Command } from 'commander';
import { storeFile } from '../authority/layout.ts';
import { canonicalSerial } from '../authority/revocation.ts';
import { shown } from '../errors.ts';
import { isIdentityName, parseIdentityName } from '../identity/name.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import { type Act, actsOfCa, actsOfGate, newest, type Wanted } from './audit/acts.ts';
import { exportCommand } from './audit/export.ts';
import { follow } from './audit/follow.ts';
import { giveCheckpoint } from './audit/give-checkpoint.ts';
import { printActs, printCsv } from './audit/print.ts';
import { verify } from './audit/verify.ts';
import { printable, printableJson } from './escape.ts';
import { choiceFlag, collect, countFlag, momentFlag, usage } from './flags.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { auditFile } from './serve-options.ts';
import { configOf, withSettings } from './settings.ts';

const DECISIONS = ['permit', 'refuse'] as const;

interface Flags {
  readonly identity?: string;
  readonly serial?: string;
  readonly operation?: string;
  readonly request?: string;
  readonly since?: string;
  readonly until?: string;
  readonly decision?: string;
  readonly limit: string;
  readonly follow?: true;
  readonly json?: true;
  readonly csv?: true;
  readonly verify?: true;
  readonly sinceCheckpoint?: readonly string[];
  readonly checkpoint?: string;
}

export function auditCommand(io: CommandIo): Command {
  const command = describe(new Command('audit'), "show who did what: the gate's record and the CA's, oldest first", {
    examples: [
      ['the last hour', 'certgate audit --since 1h'],
      ['everything that was refused today, as JSON lines', 'certgate audit --decision refuse --since 24h --json'],
      ['what one worker did, and what was done about its identity', 'certgate audit --identity worker/etl-1'],
      ['what is refused from now on, as it happens', 'certgate audit --follow --decision refuse --limit 0'],
      ['for a spreadsheet', 'certgate audit --since 7d --limit 100000 --csv'],
      ['has anybody changed the record?', 'certgate audit --verify'],
      ['save a checkpoint, to be kept elsewhere', 'certgate audit --checkpoint checkpoint.json'],
      ['does the record still continue from there?', 'certgate audit --verify --since-checkpoint checkpoint.json'],
    ],
    notes: [
      'permitted reads are in the log, not here. --decision, --serial, --operation and --request leave out the acts of the CA, which are not about requests.',
      '--json prints one JSON object per line, with `source` gate or ca; times are milliseconds since 1970.',
      '--follow shows the newest entries, then new ones: a write when it is decided, and its outcome (→) on a separate line.',
      '--verify reads every file of the record (or those given), and ends with exit code 3 if something was changed.',
    ],
  })
    .argument('[FILE...]', 'with --verify: files of the record, instead of those in the state folder, oldest first')
    .option('--identity <NAME>', 'only what this identity did, or was done about it')
    .option('--serial <HEX>', 'only what was done with this certificate')
    .option('--operation <NAME>', 'only requests for this Prefect operation, e.g. create_flow_run')
    .option('--request <ID>', 'only the request with this X-Request-Id')
    .option('--since <WHEN>', 'only since this time: 2h for the last two hours, or a time such as 2026-10-31T08:00Z')
    .option('--until <WHEN>', 'only before this time')
    .option('--decision <DECISION>', 'only requests with this decision of the gate: permit, refuse')
    .option('--limit <N>', 'only this many, the newest', '100')
    .option('-f, --follow', 'keep printing new entries, until interrupted')
    .option('--json', 'print JSON lines')
    .option('--csv', 'print comma-separated values (RFC 4180), for a spreadsheet')
    .option('--verify', 'check that the record was not changed after it was written')
    .option(
      '--since-checkpoint <FILE>',
      'with --verify: it must continue from this checkpoint; may be repeated',
      collect,
    )
    .option('--checkpoint <FILE>', 'write the newest signed checkpoint to this file, or to standard output (-)');
  // Both have --follow: whose it is, is said by where it stands.
  command.enablePositionalOptions().addCommand(exportCommand(io));
  return withSettings(command).action(async (files: readonly string[], flags: Flags) => {
    const wanted = wantedBy(flags);
    if (files.length > 0 && flags.verify !== true) {
      const [first = ''] = files;
      throw usage(
        `${shown(first)} would not be read: files are only for --verify`,
        isIdentityName(first) ? `write certgate audit --identity ${first}` : 'write certgate audit --verify FILE',
      );
    }
    const config = configOf(command, io);
    const path = auditFile(config);
    const store = openSqliteStore(storeFile(config.stateDir), { readOnly: true });
    try {
      if (flags.checkpoint !== undefined) await giveCheckpoint(flags.checkpoint, config.stateDir, store, io);
      else if (flags.verify === true) {
        await verify({ path, files, since: flags.sinceCheckpoint ?? [], json: flags.json === true }, store, io);
      } else {
        const limit = countFlag('--limit', flags.limit, { min: flags.follow === true ? 0 : 1, max: 1_000_000 });
        const broken = (words: string) => io.say(printable(words));
        if (flags.follow === true) return await follow({ path, wanted, limit, form: formOf(flags), broken }, store, io);
        const { acts, dropped } = await newest(limit, [actsOfGate(path, wanted, broken), actsOfCa(store, wanted)]);
        print(acts, flags, io);
        if (dropped > 0) io.say(`${dropped} older ones are not shown: --limit shows more`);
      }
    } finally {
      await store.close();
    }
  });
}

function wantedBy(flags: Flags): Wanted {
  if (flags.json === true && flags.csv === true)
    throw usage('--json and --csv exclude each other', 'leave one of them out');
  if (flags.follow === true && (flags.verify === true || flags.checkpoint !== undefined)) {
    throw usage('--follow goes with neither --verify nor --checkpoint', 'leave one of them out');
  }
  if (flags.sinceCheckpoint !== undefined && flags.verify !== true) {
    throw usage('--since-checkpoint is for --verify', 'write certgate audit --verify --since-checkpoint FILE');
  }
  const now = Date.now();
  return {
    ...(flags.identity === undefined ? {} : { identity: nameIn(flags.identity) }),
    ...(flags.serial === undefined ? {} : { serial: canonicalSerial(flags.serial) }),
    ...(flags.operation === undefined ? {} : { operation: flags.operation }),
    ...(flags.request === undefined ? {} : { requestId: flags.request }),
    ...(flags.since === undefined ? {} : { since: momentFlag('--since', flags.since, now) }),
    ...(flags.until === undefined ? {} : { until: momentFlag('--until', flags.until, now) }),
    ...(flags.decision === undefined ? {} : { decision: choiceFlag('--decision', flags.decision, DECISIONS) }),
  };
}

/** An identity, or who acted on the CA: `cli:root@host`, `gate`. A mistyped name would find nothing, and say so. CG_IDENTITY_NAME. */
function nameIn(text: string): string {
  return text.includes(':') || text === 'gate' ? text : parseIdentityName(text);
}

function formOf(flags: Flags): 'json' | 'csv' | 'table' {
  return flags.json === true ? 'json' : flags.csv === true ? 'csv' : 'table';
}

function print(acts: readonly Act[], flags: Flags, io: CommandIo): void {
  if (flags.json === true) for (const act of acts) io.out(printableJson(act));
  else if (flags.csv === true) printCsv(acts, io);
  else printActs(acts, io);
}
