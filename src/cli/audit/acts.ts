// What was done, as `certgate audit` shows it: the acts of clients at the gate, each with how it went, and those of the CA and
// of its operators, in one order of time.
import { listRecord } from '../../observe/audit-files.ts';
import type { AuditOutcome, AuditRecord } from '../../observe/audit-log.ts';
import { type AuditFilter, itemOf, satisfies } from '../../observe/audit-reader.ts';
import { tailAudit } from '../../observe/audit-tail.ts';
import type { StoredAuditEntry } from '../../store/audit-entry.ts';
import type { Store } from '../../store/store.ts';

const PAGE = 1000;

/** An act of a client; how it went where that is on record. */
type GateAct = { readonly source: 'gate' } & AuditRecord & Partial<Pick<AuditOutcome, 'outcome' | 'ending' | 'ms'>>;

/** One act, of a client through the gate or of the CA. */
export type Act = GateAct | ({ readonly source: 'ca' } & StoredAuditEntry);

export type Wanted = AuditFilter;

/** Merges by time and keeps the last `limit`; both sources are in the order of time. How many it left out comes with it. */
export async function newest(
  limit: number,
  sources: readonly [AsyncGenerator<Act | AuditOutcome>, AsyncGenerator<Act>],
) {
  const [a, b] = sources;
  const kept: Act[] = [];
  /** Of the acts of clients among them: most outcomes are of none where a filter leaves acts out. */
  let requests = new Set<string>();
  let dropped = 0;
  let [left, right] = [await a.next(), await b.next()];
  while (left.done !== true || right.done !== true) {
    const fromLeft = right.done === true || (left.done !== true && left.value.time <= right.value.time);
    const act = fromLeft ? left : right;
    if (act.done !== true) {
      if ('source' in act.value) {
        kept.push(act.value);
        if (act.value.source === 'gate') requests.add(act.value.requestId);
      } else if (requests.has(act.value.requestId)) join(kept, act.value);
    }
    if (fromLeft) left = await a.next();
    else right = await b.next();
    // Cut in halves: shifting one element out of a long array each time would be quadratic.
    if (kept.length >= 2 * limit) {
      dropped += kept.splice(0, kept.length - limit).length;
      requests = new Set(kept.flatMap((one) => (one.source === 'gate' ? [one.requestId] : [])));
    }
  }
  dropped += kept.splice(0, Math.max(0, kept.length - limit)).length;
  return { acts: kept, dropped };
}

/** How far back the act of an outcome is looked for; a WebSocket may end long after it began. */
const BACK = 20_000;

function join(acts: Act[], { requestId, outcome, ending, ms }: AuditOutcome): void {
  for (let i = acts.length - 1; i >= Math.max(0, acts.length - BACK); i--) {
    const act = acts[i];
    if (act?.source !== 'gate' || act.requestId !== requestId) continue;
    acts[i] = { ...act, outcome, ending, ms };
    return;
  }
}

/** How far a clock may have gone back, ms. */
const CLOCKS = 86_400_000;

/** What the record at `path` tells, the files that it was in before with it; `broken` is told of what is no record. */
export async function* actsOfGate(
  path: string,
  wanted: Wanted,
  broken: (words: string) => void,
): AsyncGenerator<Act | AuditOutcome> {
  const files = await listRecord(path);
  // A file ends before the next one begins, by what they say: anybody can give a file another time.
  const begun = (wanted.since ?? 0) - CLOCKS;
  const first = files.findLast((one) => one.seq > 0 && one.begun !== null && one.begun < begun);
  const after = first === undefined ? 0 : first.seq - 1;
  for await (const line of tailAudit(path, { after, hashed: false, signal: new AbortController().signal })) {
    if (line === null) return;
    const item = itemOf(line);
    if (item?.kind === 'record' && satisfies(item.record, wanted)) yield { source: 'gate', ...item.record };
    else if (item?.kind === 'outcome') yield item.outcome;
    else if (item?.kind === 'broken') broken(`${line.file}:${line.number}: no record: ${item.problem}: ${item.text}`);
  }
}

/** The CA's acts that are wanted, after the number `after`; `seen` is told of each that was looked at. */
export async function* actsOfCa(
  store: Store,
  wanted: Wanted,
  { after = 0, seen }: { readonly after?: number; readonly seen?: (id: number) => void } = {},
): AsyncGenerator<Act> {
  const { identity, since, until, decision, operation, requestId, serial } = wanted;
  if ([decision, operation, requestId].some((one) => one !== undefined)) return;
  let afterId = after;
  for (;;) {
    const page = await store.listAudit({ afterId, limit: PAGE });
    for (const entry of page) {
      seen?.(entry.id);
      const { object, actor, time, detail } = entry;
      const about =
        (identity === undefined || object === identity || actor === identity) &&
        (serial === undefined || object === serial || detail['serial'] === serial) &&
        (since === undefined || time >= since) &&
        (until === undefined || time < until);
      if (about) yield { source: 'ca', ...entry };
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    afterId = last.id;
  }
}
