// certgate audit export: hands the record and the acts of the CA on to a collector, each at least once. A process of its own,
// which only reads: what becomes of it or of the collector is nothing to the gate. How far it has come is in the cursor once a
// batch was taken; a collector that is down is waited for, with one batch in memory and the rest where it is.
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { storeFile } from '../../authority/layout.ts';
import { CertgateError } from '../../errors.ts';
import type { Head } from '../../observe/audit-chain.ts';
import { type TailLine, tailAudit } from '../../observe/audit-tail.ts';
import type { ExportEntry, Sender } from '../../observe/export-entry.ts';
import { openSqliteStore } from '../../store/sqlite.ts';
import type { Store } from '../../store/store.ts';
import { printable } from '../escape.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';
import { auditFile } from '../serve-options.ts';
import { configOf, withSettings } from '../settings.ts';
import { hearStop } from '../signals.ts';
import { collectorSender } from './collector.ts';
import { entryOfAct, entryOfLine } from './entries.ts';
import { BEGINNING, type ExportCursor, readCursor, writeCursor } from './export-cursor.ts';

interface Flags {
  readonly to: string;
  readonly follow?: true;
  readonly cursor?: string;
  readonly sdId: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Records of a batch, and octets of their lines. */
const BATCH = 500;
const BATCH_OCTETS = 512 * 1024;
/** Backoff, ms: doubled from the first to the longest. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
/** How long one that does not follow waits for a collector, ms. */
const PATIENCE = 60_000;

export function exportCommand(io: CommandIo): Command {
  const command = describe(new Command('export'), 'export the record to a collector: syslog or OpenTelemetry', {
    examples: [
      [
        'as it grows, to a syslog receiver over TLS',
        'certgate audit export --to syslog+tls://logs.example:6514 --follow --cursor state/export.cursor',
      ],
      [
        'to an OpenTelemetry collector on this machine',
        'certgate audit export --to otlp+http://127.0.0.1:4318/v1/logs --follow --cursor state/export.cursor',
      ],
      [
        'only what is new, once: for cron',
        'certgate audit export --to syslog+udp://127.0.0.1:514 --cursor state/export.cursor',
      ],
    ],
    notes: [
      'without --cursor, export begins with the first entry. Entries in transit when it was stopped are sent again: seq identifies them.',
      'OTEL_EXPORTER_OTLP_HEADERS (name=value,…) adds headers to OpenTelemetry requests. Exporting does not affect the gate.',
    ],
  })
    .requiredOption(
      '--to <URL>',
      'syslog+tcp://, syslog+tls://, syslog+udp://, syslog+unix:///, otlp+http:// or otlp+https://',
    )
    .option('-f, --follow', 'keep sending new entries, and wait while the collector is down')
    .option('--cursor <FILE>', 'the file that keeps how far the export has got')
    .option('--sd-id <NAME@NUMBER>', 'name of the structured data element in syslog', 'certgate@32473')
    .option('--ca <FILE>', "the collector's CA, PEM (default: the system's)")
    .option('--cert <FILE>', 'client certificate for the collector, PEM')
    .option('--key <FILE>', 'its key, PEM');
  return withSettings(command).action(async (flags: Flags) => {
    const config = configOf(command, io);
    const cursor = flags.cursor === undefined ? BEGINNING : readCursor(flags.cursor);
    const sender = collectorSender({ ...flags, cwd: io.cwd, headers: io.env['OTEL_EXPORTER_OTLP_HEADERS'] });
    const store = openSqliteStore(storeFile(config.stateDir), { readOnly: true });
    const stop = new AbortController();
    void hearStop().until(async (signal, hurry) => {
      // What is under way would be waited for. Ended as any process is, the cursor stays: it is sent again.
      hurry.addEventListener('abort', () => process.kill(process.pid, signal));
      stop.abort();
    });
    try {
      await exportAll({ path: auditFile(config), store, sender, cursor, flags, signal: stop.signal }, io);
    } finally {
      sender.close();
      await store.close();
    }
  });
}

interface Export {
  readonly path: string;
  readonly store: Store;
  readonly sender: Sender;
  readonly cursor: ExportCursor;
  readonly flags: Flags;
  readonly signal: AbortSignal;
}

async function exportAll({ path, store, sender, cursor, flags, signal }: Export, io: CommandIo): Promise<void> {
  let at = cursor;
  let count = 0;
  let batch: ExportEntry[] = [];
  let octets = 0;
  /** Of what is in the batch. */
  let next = cursor;
  const deliver = deliverer(sender, flags, signal, io);
  /** What was sent last is not on record as it was. */
  const sayReplaced = (what: string): void => {
    const why = `${what}, which was sent last, is not on record as it was sent: was an older copy put back?`;
    io.say(printable(`${why} what has that number or a lower one now is not sent: delete ${flags.cursor}, and all is`));
  };
  const flush = async (): Promise<void> => {
    if (batch.length > 0 && !(await deliver(batch))) return;
    if (next !== at && flags.cursor !== undefined) await writeCursor(flags.cursor, next);
    count += batch.length;
    at = next;
    batch = [];
    octets = 0;
  };
  const add = async (entry: ExportEntry | null, then: ExportCursor): Promise<void> => {
    next = then;
    if (entry === null) return;
    batch.push(entry);
    octets += entry.text.length;
    if (batch.length >= BATCH || octets >= BATCH_OCTETS) await flush();
  };
  const { act: sentAct, record: sent } = cursor;
  const act = sentAct.seq === 0 ? sentAct : await actAt(store, sentAct.seq);
  if (act?.hash !== sentAct.hash) {
    sayReplaced(`act ${sentAct.seq}`);
    if (act !== null) next = { ...next, act };
  }
  let compared = sent.seq === 0;
  // From what was sent last, to see that it is still that.
  for await (const line of tailAudit(path, { after: Math.max(0, sent.seq - 1), signal })) {
    const isSent = line !== null && line.seq > 0 && line.seq <= sent.seq;
    if (!compared && (line === null || line.seq > 0)) {
      compared = true;
      if (line === null || (isSent && line.hash !== sent.hash)) sayReplaced(`record ${sent.seq}`);
    }
    if (isSent) {
      if (line.hash !== sent.hash) next = { ...next, record: { seq: line.seq, hash: line.hash } };
    } else if (line === null) {
      let page: Awaited<ReturnType<Store['listAudit']>>;
      do {
        page = await store.listAudit({ afterId: next.act.seq, limit: BATCH });
        for (const one of page) await add(entryOfAct(one), { ...next, act: { seq: one.id, hash: one.hash } });
      } while (page.length === BATCH && !signal.aborted);
      await flush();
      if (flags.follow !== true) break;
    } else if (line.seq > 0) {
      const problem = breakBefore(line, next);
      if (problem !== null) io.say(problem);
      await add(entryOfLine(line), { ...next, record: { seq: line.seq, hash: line.hash } });
    }
    if (signal.aborted) break;
  }
  io.say(`${count} ${count === 1 ? 'record' : 'records'} sent, up to number ${at.record.seq} and act ${at.act.seq}`);
}

/** The act of that number, as it is on record now; null for none. */
async function actAt(store: Store, seq: number): Promise<Head | null> {
  const [act] = await store.listAudit({ afterId: seq - 1, limit: 1 });
  return act?.id === seq ? { seq, hash: act.hash } : null;
}

/** What is to be said when a line does not follow what was sent last. */
function breakBefore(line: TailLine, { record }: ExportCursor): string | null {
  if (line.seq > record.seq + 1)
    return `records ${record.seq + 1} to ${line.seq - 1} are not here any more, and were not sent`;
  return line.prev === record.hash
    ? null
    : `record ${line.seq} does not follow what was sent last: certgate audit --verify`;
}

/** Sends until it is sent; false when it was stopped before. CG_AUDIT_EXPORT. */
function deliverer(sender: Sender, flags: Flags, signal: AbortSignal, io: CommandIo) {
  const failed = (reason: string): CertgateError => new CertgateError('CG_AUDIT_EXPORT', { to: flags.to, reason });
  return async (batch: readonly ExportEntry[]): Promise<boolean> => {
    const began = performance.now();
    for (let wait = FIRST_WAIT, tries = 0; !signal.aborted; wait = Math.min(2 * wait, LONGEST_WAIT), tries++) {
      const sent = await sender.send(batch);
      if (sent.kind === 'sent') {
        if (tries > 0) io.say(printable(`${flags.to} accepts records again`));
        if (sent.partial !== undefined) io.say(printable(`${flags.to} does not accept all of them: ${sent.partial}`));
        return true;
      }
      if (sent.kind === 'refused') throw failed(sent.reason);
      if (flags.follow !== true && performance.now() - began > PATIENCE) throw failed(sent.reason);
      if (tries === 0) io.say(printable(`${flags.to} accepts nothing now (${sent.reason}): waiting for it`));
      await sleep(sent.after ?? wait * (0.5 + Math.random()), undefined, { signal }).catch(() => {});
    }
    return false;
  };
}
