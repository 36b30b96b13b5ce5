// certgate audit: who did what, oldest first. Two records are read as one: the gate's own (state/audit.jsonl: every
// write and every refusal) and the CA's (in the store: what was issued, revoked, made). Reads only. A damaged line is
// reported and stepped over, never hidden.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { storeFile } from '../authority/layout.ts';
import type { AuditRecord } from '../observe/audit-log.ts';
import { readAudit } from '../observe/audit-reader.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import type { Store, StoredAuditEntry } from '../store/store.ts';
import { printable, printableJson } from './escape.ts';
import { choiceFlag, countFlag, momentFlag } from './flags.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { configOf, withSettings } from './settings.ts';
import { table } from './table.ts';

const PAGE = 1000;
const DECISIONS = ['permit', 'refuse'] as const;

interface Flags {
  readonly identity?: string;
  readonly since?: string;
  readonly decision?: string;
  readonly limit: string;
  readonly json?: true;
}

/** One act, of a client through the gate or of the CA. */
type Act = ({ readonly source: 'gate' } & AuditRecord) | ({ readonly source: 'ca' } & StoredAuditEntry);

interface Wanted {
  readonly identity?: string;
  readonly since?: number;
  readonly decision?: (typeof DECISIONS)[number];
}

export function auditCommand(io: CommandIo): Command {
  const command = describe(new Command('audit'), "show who did what: the gate's record and the CA's, oldest first", {
    examples: [
      ['the last hour', 'certgate audit --since 1h'],
      ['everything that was refused today, as JSON lines', 'certgate audit --decision refuse --since 24h --json'],
      ['what one worker did, and what was done about it', 'certgate audit --identity worker/etl-1'],
    ],
    notes: [
      'reads and permitted GETs are in the log, not here. --decision leaves out the CA, which decides nothing about requests.',
      '--json prints one JSON object a line, with `source` gate or ca; times are milliseconds since 1970.',
    ],
  })
    .option('--identity <NAME>', 'only what this identity did, or what was done about it')
    .option('--since <WHEN>', 'only since then: 2h for the last two hours, or a time such as 2026-10-31T08:00Z')
    .option('--decision <DECISION>', 'only requests with this decision of the gate: permit, refuse')
    .option('--limit <N>', 'only the newest', '100')
    .option('--json', 'print JSON lines');
  return withSettings(command).action(async (flags: Flags) => {
    const limit = countFlag('--limit', flags.limit, { min: 1, max: 1_000_000 });
    const wanted: Wanted = {
      ...(flags.identity === undefined ? {} : { identity: flags.identity }),
      ...(flags.since === undefined ? {} : { since: momentFlag('--since', flags.since, Date.now()) }),
      ...(flags.decision === undefined ? {} : { decision: choiceFlag('--decision', flags.decision, DECISIONS) }),
    };
    const { stateDir } = configOf(command, io);
    const store = openSqliteStore(storeFile(stateDir), { readOnly: true });
    try {
      const { acts, dropped } = await newest(limit, [
        actsOfGate(join(stateDir, 'audit.jsonl'), wanted, io),
        actsOfCa(store, wanted),
      ]);
      if (flags.json === true) for (const act of acts) io.out(printableJson(act));
      else print(acts, io);
      if (dropped > 0) io.say(`${dropped} older ones are not shown: --limit shows more`);
    } finally {
      await store.close();
    }
  });
}

/** Merges by time and keeps the last `limit`; both sources are in the order of time. */
async function newest(limit: number, sources: readonly [AsyncGenerator<Act>, AsyncGenerator<Act>]) {
  const [a, b] = sources;
  const kept: Act[] = [];
  let dropped = 0;
  let [left, right] = [await a.next(), await b.next()];
  while (left.done !== true || right.done !== true) {
    const fromLeft = right.done === true || (left.done !== true && left.value.time <= right.value.time);
    const act = fromLeft ? left : right;
    if (act.done !== true) kept.push(act.value);
    if (fromLeft) left = await a.next();
    else right = await b.next();
    // Cut in halves: shifting one element out of a long array each time would be quadratic.
    if (kept.length >= 2 * limit) dropped += kept.splice(0, kept.length - limit).length;
  }
  dropped += kept.splice(0, Math.max(0, kept.length - limit)).length;
  return { acts: kept, dropped };
}

async function* actsOfGate(path: string, wanted: Wanted, io: CommandIo): AsyncGenerator<Act> {
  if (!existsSync(path)) return;
  for await (const item of readAudit(path, wanted)) {
    if (item.ok) yield { source: 'gate', ...item.record };
    else io.say(printable(`${path}:${item.line}: no record: ${item.problem}: ${item.text}`));
  }
}

async function* actsOfCa(store: Store, { identity, since, decision }: Wanted): AsyncGenerator<Act> {
  if (decision !== undefined) return;
  let afterId = 0;
  for (;;) {
    const page = await store.listAudit({ afterId, limit: PAGE });
    for (const entry of page) {
      const about = identity === undefined || entry.object === identity || entry.actor === identity;
      if (about && (since === undefined || entry.time >= since)) yield { source: 'ca', ...entry };
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    afterId = last.id;
  }
}

function print(acts: readonly Act[], io: CommandIo): void {
  if (acts.length === 0) io.say('nothing on record matches');
  else for (const line of table(['time', 'who', 'decision', 'what', 'detail'], acts.map(row))) io.out(line);
}

function row(act: Act): string[] {
  const time = new Date(act.time).toISOString();
  if (act.source === 'ca') return [time, act.actor, '', `${act.action} ${act.object}`, detailWords(act.detail)];
  const what = `${act.method} ${act.path}${act.operation === null ? '' : ` (${act.operation})`}`;
  const said = [
    act.role === null || act.role === undefined ? '' : `as ${act.role}`,
    act.status === null ? '' : `${act.status}`,
    act.reason ?? '',
    act.code === null ? '' : `[${act.code}]`,
  ];
  return [time, act.identity ?? act.address, act.decision, what, said.filter((word) => word !== '').join(' ')];
}

function detailWords(detail: StoredAuditEntry['detail']): string {
  const words = ['serial', 'reason', 'out', 'backup', 'revoked', 'unknown'].flatMap((key) =>
    detail[key] === undefined || detail[key] === null ? [] : [`${key} ${String(detail[key])}`],
  );
  const { until } = detail;
  return [...words, ...(typeof until === 'number' ? [`until ${new Date(until).toISOString()}`] : [])].join(', ');
}
