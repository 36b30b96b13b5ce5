// Group commit: changes that are asked for while others are on their way to the disk share the next transaction, and so one
// wait for it. What one throws undoes that one alone: then all are begun again, each in a savepoint of its own, for which
// SQLite keeps every page as it was. Nobody hears of a change before the transaction that holds it has been committed; when that
// fails, it fails for all of them.
import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** Changes of one transaction: a large one keeps other processes from writing, and this one from everything else. */
const MOST = 256;

export interface GroupedWrites {
  /**
   * Runs `deed` in the next transaction and resolves with its answer when that is committed; what it throws undoes it. It may
   * run again, when it or another was undone: what it does outside of the database it must do as well the second time.
   */
  readonly add: <T>(deed: () => T) => Promise<T>;
  /** Resolves when nothing that was added before is under way. Never rejects. */
  readonly settled: () => Promise<void>;
}

export interface GroupTools {
  readonly db: DatabaseSync;
  readonly sql: (text: string) => StatementSync;
  /** Runs it, again while another process holds the lock. */
  readonly patiently: <T>(deed: () => T) => Promise<T>;
  /** Throws when what was committed to is not what others read. */
  readonly check: () => void;
  /** What an error of SQLite means. */
  readonly failure: (error: unknown) => unknown;
  /** What deeds remember of the database, within a transaction, holds no more: one begins, or something was undone. */
  readonly forget: () => void;
}

interface Waiting {
  readonly deed: () => unknown;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Outcome = { readonly ok: true; readonly answer: unknown } | { readonly ok: false; readonly error: unknown };

export function openGroupedWrites({ db, sql, patiently, check, failure, forget }: GroupTools): GroupedWrites {
  const [begin, commit, rollback] = [sql('BEGIN IMMEDIATE'), sql('COMMIT'), sql('ROLLBACK')];
  const [mark, keep, undo] = [sql('SAVEPOINT change'), sql('RELEASE change'), sql('ROLLBACK TO change')];
  let waiting: Waiting[] = [];
  let running: Promise<void> | null = null;

  const one = ({ deed }: Waiting): Outcome => {
    mark.run();
    try {
      const answer = deed();
      keep.run();
      return { ok: true, answer };
    } catch (error) {
      if (!db.isTransaction) throw error; // SQLite has undone everything, as it does when the disk fails
      undo.run();
      keep.run();
      forget();
      return { ok: false, error };
    }
  };

  const start = (): void => {
    begin.run();
    forget();
  };

  const allOfThem = (group: readonly Waiting[]): readonly Outcome[] => {
    start();
    try {
      return group.map(({ deed }) => ({ ok: true, answer: deed() }));
    } catch (error) {
      if (!db.isTransaction) throw error; // as above
      rollback.run();
    }
    start();
    return group.map(one);
  };

  const together = (group: readonly Waiting[]): readonly Outcome[] => {
    try {
      const outcomes = allOfThem(group);
      commit.run();
      check(); // a commit to a file that nobody else will ever read is no record
      return outcomes;
    } catch (error) {
      if (db.isTransaction) rollback.run();
      throw error;
    }
  };

  const commitAll = async (): Promise<void> => {
    // Whoever else is in the same turn of the event loop comes along.
    await new Promise(setImmediate);
    while (waiting.length > 0) {
      const group = waiting.slice(0, MOST);
      waiting = waiting.slice(MOST);
      try {
        const outcomes = await patiently(() => together(group));
        for (const [i, outcome] of outcomes.entries()) {
          if (outcome.ok) group[i]?.resolve(outcome.answer);
          else group[i]?.reject(failure(outcome.error));
        }
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    running = null; // in one go with the look at what waits: nobody comes in between and is forgotten
  };

  return {
    add: <T>(deed: () => T): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        waiting.push({ deed, resolve: (answer) => resolve(answer as T), reject });
        running ??= commitAll();
      }),
    async settled() {
      while (running !== null) await running;
    },
  };
}
