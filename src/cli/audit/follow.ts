// certgate audit --follow: the newest acts, then those that come, of the gate and of the CA. What is shown of a write when it
// is decided can't say yet how it went: that has a line of its own, shown for the writes that were shown. It ends when it is
// interrupted, or when nobody reads any more.
import type { AuditOutcome } from '../../observe/audit-log.ts';
import { itemOf, satisfies } from '../../observe/audit-reader.ts';
import { type TailLine, tailAudit } from '../../observe/audit-tail.ts';
import type { Store } from '../../store/store.ts';
import { printableJson } from '../escape.ts';
import type { CommandIo } from '../io.ts';
import { hearStop } from '../signals.ts';
import { type Act, actsOfCa, newest, type Wanted } from './acts.ts';
import { printActs, printCsv, printLater } from './print.ts';

export interface FollowAsked {
  readonly path: string;
  readonly wanted: Wanted;
  /** How many to begin with. */
  readonly limit: number;
  readonly form: 'json' | 'csv' | 'table';
  /** Told of a line that is no record. */
  readonly broken: (words: string) => void;
}

/** Writes of which it is not known yet how they went; older ones are given up. */
const MOST_OPEN = 20_000;

/** Resolves when it is interrupted. CG_AUDIT_UNREADABLE, CG_STORE_*. */
export async function follow(asked: FollowAsked, store: Store, io: CommandIo): Promise<void> {
  const { path, wanted, limit, form, broken } = asked;
  const stop = new AbortController();
  void hearStop().until(async () => stop.abort());
  const tail = tailAudit(path, { signal: stop.signal });
  let act = 0;
  const seen = (id: number): void => {
    act = id;
  };
  /** Shown, and under way. */
  const open = new Map<string, Act>();
  const note = (one: Act): void => {
    if (one.source !== 'gate' || one.decision !== 'permit' || one.outcome !== undefined) return;
    open.set(one.requestId, one);
    for (const [oldest] of open) {
      if (open.size <= MOST_OPEN) break;
      open.delete(oldest);
    }
  };

  async function* soFar(): AsyncGenerator<Act | AuditOutcome> {
    for (;;) {
      const next = await tail.next();
      if (next.done === true || next.value === null) return;
      const said = saying(next.value, wanted, broken);
      if (said !== null) yield said;
    }
  }
  const { acts } = await newest(limit, [soFar(), actsOfCa(store, wanted, { seen })]);
  if (form === 'json') for (const one of acts) io.out(printableJson(one));
  else if (form === 'csv') printCsv(acts, io);
  else if (acts.length > 0) printActs(acts, io);
  for (const one of acts) note(one);

  const show = (one: Act, ended: AuditOutcome | null): void => {
    if (form !== 'json') printLater(one, ended, form, io);
    else io.out(printableJson(ended === null ? one : { source: 'gate', ...ended }));
  };
  for await (const line of tail) {
    if (line === null) {
      for await (const one of actsOfCa(store, wanted, { after: act, seen })) show(one, null);
      continue;
    }
    const said = saying(line, wanted, broken);
    if (said === null) continue;
    if ('source' in said) {
      show(said, null);
      note(said);
      continue;
    }
    const begun = open.get(said.requestId);
    if (begun !== undefined) show(begun, said);
    open.delete(said.requestId);
  }
}

function saying(line: TailLine, wanted: Wanted, broken: FollowAsked['broken']): Act | AuditOutcome | null {
  const item = itemOf(line);
  if (item?.kind === 'record') return satisfies(item.record, wanted) ? { source: 'gate', ...item.record } : null;
  if (item?.kind === 'outcome') return item.outcome;
  if (item?.kind === 'broken') broken(`${line.file}:${item.line}: no record: ${item.problem}: ${item.text}`);
  return null;
}
