// The CA's acts, each of which names the hash of the one before: gone through from the first, and compared with what
// checkpoints say of them.
import { type Head, START } from '../../observe/audit-chain.ts';
import type { Checkpoint } from '../../observe/audit-checkpoint.ts';
import type { Finding } from '../../observe/audit-verify.ts';
import type { Store } from '../../store/store.ts';

export interface ActsVerdict {
  readonly findings: readonly Finding[];
  /** In the chain, and before it. */
  readonly count: number;
  readonly unchained: number;
  readonly head: Head;
}

const PAGE = 1000;

/** CG_STORE_*. */
export async function verifyActs(
  store: Store,
  kept: ReadonlyArray<{ readonly from: string; readonly checkpoint: Checkpoint }>,
): Promise<ActsVerdict> {
  const findings: Finding[] = [];
  const say = (file: string, words: string): void => {
    if (findings.length < PAGE) findings.push({ harmless: false, file, line: null, words });
  };
  const wanted = new Map(kept.map(({ checkpoint: { act } }) => [act.seq, '']));
  let [count, unchained] = [0, 0];
  let head: Head = START;
  for (;;) {
    const page = await store.listAudit({ afterId: head.seq, limit: PAGE });
    for (const { id, prev, hash } of page) {
      if (id > head.seq + 1) {
        const gone = id === head.seq + 2 ? `act ${id - 1} is missing` : `acts ${head.seq + 1} to ${id - 1} are missing`;
        say(store.location, `${gone} before act ${id}`);
      } else if (prev === null && count > 0) say(store.location, `act ${id} names none before it: it was put in`);
      else if (prev !== null && prev !== head.hash) {
        const words = `act ${head.seq} was changed: its SHA-256 is ${head.hash}, and act ${id} names ${prev}`;
        say(store.location, words);
      }
      if (prev === null) unchained++;
      else count++;
      head = { seq: id, hash };
      if (wanted.has(id)) wanted.set(id, hash);
    }
    if (page.length < PAGE) break;
  }
  const told = new Set<string>();
  for (const { from, checkpoint } of kept) {
    const { act, time } = checkpoint;
    const same = `${act.seq} ${act.hash} ${time}`;
    if (told.has(same)) continue;
    told.add(same);
    const when = new Date(time).toISOString();
    if (act.seq > head.seq) say(from, `the acts end with ${head.seq}, but act ${act.seq} was signed at ${when}`);
    else if (act.seq > 0 && wanted.get(act.seq) !== act.hash) {
      say(from, `act ${act.seq} is not the one that was signed at ${when}: its SHA-256 was ${act.hash}`);
    }
  }
  return { findings, count, unchained, head };
}
