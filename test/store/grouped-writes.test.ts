import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { openGroupedWrites } from '../../src/store/sqlite-group.ts';
import { closing, newAudit, newFolder, newRecord, newStore } from './fixture.ts';

function newGroup() {
  const db = new DatabaseSync(join(newFolder(), 'group.db'));
  db.exec('CREATE TABLE t (n INTEGER PRIMARY KEY)');
  const groups: number[] = [];
  const state = { lost: false };
  const writes = openGroupedWrites({
    db,
    sql: (text) => db.prepare(text),
    patiently: async (deed) => {
      groups.push(1);
      return deed();
    },
    check: () => {
      if (state.lost) throw new Error('lost');
    },
    failure: (error) => new Error('told', { cause: error }),
    forget: () => {},
  });
  const insert = db.prepare('INSERT INTO t VALUES (?)');
  const add = (n: number): Promise<number> =>
    writes.add(() => {
      insert.run(n);
      return n;
    });
  const kept = (): unknown[] =>
    db
      .prepare('SELECT n FROM t ORDER BY n')
      .all()
      .map(({ n }) => n);
  return { db, writes, insert, add, kept, groups, state };
}

describe('changes that come together', () => {
  it('share one transaction, and each has its own answer', async () => {
    const { add, kept, groups } = newGroup();
    expect(await Promise.all([1, 2, 3].map(add))).toEqual([1, 2, 3]);
    expect(groups).toHaveLength(1);
    expect(kept()).toEqual([1, 2, 3]);
  });

  it('do not undo each other: what one throws is undone with that one alone', async () => {
    const { writes, insert, add, kept, groups } = newGroup();
    const faulty = (): void => {
      insert.run(9); // goes with it
      throw new Error('no');
    };
    const all = await Promise.allSettled([add(1), writes.add(faulty), add(1), add(2)]);
    expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(all[1]).toMatchObject({ reason: { message: 'told' } });
    expect(groups).toHaveLength(1);
    expect(kept()).toEqual([1, 2]);
  });

  it('all fail when their transaction does, and the next begins anew', async () => {
    const { db, add, kept } = newGroup();
    db.exec('CREATE TABLE parent (n INTEGER PRIMARY KEY)');
    db.exec('CREATE TABLE child (n INTEGER REFERENCES parent (n) DEFERRABLE INITIALLY DEFERRED)');
    db.exec('CREATE TRIGGER orphan AFTER INSERT ON t WHEN new.n = 2 BEGIN INSERT INTO child VALUES (2); END');
    const all = await Promise.allSettled([add(1), add(2)]); // COMMIT itself is refused: an orphan is left
    expect(all.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await add(3)).toBe(3);
    expect(kept()).toEqual([3]);
  });

  it('are not believed when the file that they were committed to is no longer the store', async () => {
    const { add, state } = newGroup();
    state.lost = true;
    const all = await Promise.allSettled([add(1), add(2)]);
    expect(all.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('are taken up when they come in the very moment in which the last transaction ends', async () => {
    const { add, kept } = newGroup();
    let n = 0;
    const chain = async (): Promise<void> => {
      for (let i = 0; i < 50; i++) await add(++n);
    };
    await Promise.all([chain(), chain(), chain()]);
    expect(kept()).toHaveLength(150);
  });

  it('of more than one transaction are all made, in their order', async () => {
    const { add, kept, groups } = newGroup();
    await Promise.all(Array.from({ length: 600 }, (_, i) => add(i)));
    expect(kept()).toHaveLength(600);
    expect(groups).toHaveLength(3);
  });
});

describe('a store', () => {
  it('that is closed makes what was asked of it before, and nothing after', async () => {
    const path = join(newFolder(), 'certgate.db');
    const store = newStore(path);
    const record = newRecord({});
    const asked = store.addCertificate(record, newAudit());
    await store.close();
    await asked;
    await expect(store.addAudit(newAudit())).rejects.toMatchObject({ code: 'CG_STORE_CLOSED' });
    const again = closing(openSqliteStore(path));
    expect(await again.standing(record.issuer, record.serial)).not.toBeNull();
  });

  it('counts a revision for the certificates that it records together, also when what came first is undone', async () => {
    const store = newStore(join(newFolder(), 'certgate.db'));
    const before = await store.revision();
    await Promise.all(Array.from({ length: 20 }, () => store.addCertificate(newRecord({}), newAudit())));
    expect(await store.revision()).toBe(before + 1);
    const refuse = (): void => {
      throw new Error('no');
    };
    const undone = store.addCertificate(newRecord({}), newAudit(), refuse);
    const all = await Promise.allSettled([undone, store.addAudit(newAudit()), store.addAudit(newAudit())]);
    expect(all.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
    expect(await store.revision()).toBe(before + 2);
  });

  it('chains the acts of changes that come together, past those of one that is undone', async () => {
    const store = newStore(join(newFolder(), 'certgate.db'));
    const [one, other] = [newRecord({}), newRecord({})];
    await store.addCertificate(one, newAudit({ detail: { n: 0 } }));
    await store.addCertificate(other, newAudit({ detail: { n: 1 } }));
    const audit = (n: number) => store.addAudit(newAudit({ detail: { n } }));
    const undone = store.revoke([one.serial, other.serial], 'unspecified', Date.now(), ({ serial }) => {
      if (serial === other.serial) throw new Error('no'); // when the act of the first stands already
      return newAudit({ detail: { n: 9 } });
    });
    const all = await Promise.allSettled([audit(2), undone, audit(3), audit(4)]);
    expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    const acts = await store.listAudit({});
    expect(acts.map(({ detail }) => detail['n'])).toEqual([0, 1, 2, 3, 4]);
    expect(acts.slice(1).map(({ prev }) => prev)).toEqual(acts.slice(0, -1).map(({ hash }) => hash));
  });

  it('records no certificate twice, although both are asked for at once', async () => {
    const store = newStore(join(newFolder(), 'certgate.db'));
    const record = newRecord({});
    const both = await Promise.allSettled([
      store.addCertificate(record, newAudit()),
      store.addCertificate(record, newAudit()),
    ]);
    expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(both[1]).toMatchObject({ reason: { code: 'CG_STORE_SERIAL_TAKEN' } });
    expect(await store.listAudit({})).toHaveLength(1);
  });
});
