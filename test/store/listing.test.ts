import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pageOf } from '../../src/store/sqlite-listing.ts';
import { certificateOf } from '../../src/store/sqlite-rows.ts';
import type { CertificateFilter, CertificateRecord } from '../../src/store/store.ts';
import { addAll, HOUR, NOW, newAudit, newFolder, newRecord, newStore } from './fixture.ts';

const identities = ['worker/a', 'worker/b', 'user/c'];

// 120 certificates, many issued in the same millisecond, of all ages and lifetimes, every fifth revoked.
const records: CertificateRecord[] = Array.from({ length: 120 }, (_, i) => {
  const issuedAt = NOW - Math.floor(i / 3) * HOUR;
  return newRecord({
    identity: identities[i % 3] ?? '',
    issuedAt,
    notAfter: issuedAt + (i % 4 === 0 ? 1 : i % 4 === 3 ? 1000 : 24) * HOUR,
    ...(i % 5 === 0 ? { revokedAt: NOW, reason: 'superseded' as const } : {}),
  });
});

// What the words of CertificateFilter mean, said without an index.
function expected(filter: CertificateFilter): readonly string[] {
  const after = (r: CertificateRecord): boolean =>
    filter.after === undefined ||
    r.issuedAt < filter.after.issuedAt ||
    (r.issuedAt === filter.after.issuedAt && r.serial < filter.after.serial);
  const stateOf = (r: CertificateRecord) =>
    r.revokedAt !== null ? 'revoked' : r.notAfter > filter.now ? 'valid' : 'expired';
  return records
    .filter((r) => filter.identity === undefined || r.identity === filter.identity)
    .filter((r) => r.identity.startsWith(filter.identityStart ?? ''))
    .filter((r) => filter.serial === undefined || r.serial === filter.serial)
    .filter((r) => filter.state === undefined || stateOf(r) === filter.state)
    .filter((r) => filter.expiresBefore === undefined || r.notAfter < filter.expiresBefore)
    .filter(after)
    .toSorted((a, b) => b.issuedAt - a.issuedAt || (a.serial < b.serial ? 1 : -1))
    .slice(0, filter.limit ?? 100)
    .map((r) => r.serial);
}

const moment = fc.integer({ min: -60, max: 60 }).map((hours) => NOW + hours * HOUR);
const filters: fc.Arbitrary<CertificateFilter> = fc.record(
  {
    now: moment,
    identity: fc.constantFrom(...identities, 'worker/none'),
    identityStart: fc.constantFrom('worker/', 'worker/b', 'u', 'user/c', 'user/d', ''),
    serial: fc.constantFrom(records[0]?.serial ?? '', records[7]?.serial ?? '', 'ff'),
    state: fc.constantFrom('valid' as const, 'expired' as const, 'revoked' as const),
    expiresBefore: moment,
    limit: fc.integer({ min: 1, max: 150 }),
    after: fc.constantFrom(...records).map(({ issuedAt, serial }) => ({ issuedAt, serial })),
  },
  { requiredKeys: ['now'] },
);

async function filled() {
  const path = join(newFolder(), 'certgate.db');
  const store = newStore(path);
  await addAll(store, records);
  const revoked = records.filter((r) => r.revokedAt !== null).map((r) => r.serial);
  await store.revoke(revoked, 'superseded', NOW, () => newAudit());
  return { store, path };
}

describe('listing certificates', () => {
  it('answers what the filter means, newest first, for every combination of filters', async () => {
    const { store } = await filled();
    await fc.assert(
      fc.asyncProperty(filters, async (filter) => {
        expect((await store.listCertificates(filter)).map((r) => r.serial)).toEqual(expected(filter));
      }),
      { numRuns: 300 },
    );
  });

  it('answers the same whether few or many certificates fall into the range', async () => {
    const { path } = await filled();
    const db = new DatabaseSync(path, { readOnly: true });
    fc.assert(
      fc.property(filters, fc.boolean(), (filter, sparse) => {
        const { sql, values } = pageOf(filter, () => sparse);
        const page = db.prepare(sql).all(values).map(certificateOf);
        expect(page.map((r) => r.serial)).toEqual(expected(filter));
      }),
      { numRuns: 300 },
    );
    db.close();
  });

  it('reaches every certificate exactly once, page by page', async () => {
    const { store } = await filled();
    const seen: string[] = [];
    let after: { issuedAt: number; serial: string } | undefined;
    for (;;) {
      const page = await store.listCertificates({ now: NOW, limit: 7, ...(after === undefined ? {} : { after }) });
      const last = page.at(-1);
      if (last === undefined) break;
      seen.push(...page.map((r) => r.serial));
      after = { issuedAt: last.issuedAt, serial: last.serial };
    }
    expect(seen.toSorted()).toEqual(records.map((r) => r.serial).toSorted());
  });

  it('never reads a row that is not on the page: every filter is answered from an index alone', async () => {
    const { path } = await filled();
    const db = new DatabaseSync(path, { readOnly: true });
    fc.assert(
      fc.property(filters, fc.boolean(), (filter, sparse) => {
        if (filter.serial !== undefined) return; // at most one row
        const { sql, values } = pageOf(filter, () => sparse);
        const plan = db
          .prepare(`EXPLAIN QUERY PLAN ${sql}`)
          .all(values)
          .map((row) => String(row['detail']));
        const reads = plan.filter((line) => /^(SCAN|SEARCH) certificates/.test(line));
        expect(reads.length).toBeGreaterThan(1);
        expect(reads.pop()).toContain('USING INTEGER PRIMARY KEY');
        for (const read of reads) expect(read).toContain('USING COVERING INDEX');
        // Only a range that was found to be small is sorted as a whole; the two halves of everything are, a page each.
        const sorts = plan.filter((line) => line.startsWith('USE TEMP B-TREE'));
        if (!sparse && filter.state !== undefined) expect(sorts).toHaveLength(1);
      }),
    );
    db.close();
  });

  it('gives between 1 and 1000 rows, whatever is asked for', async () => {
    const { store } = await filled();
    expect(await store.listCertificates({ now: NOW, limit: 0 })).toHaveLength(1);
    expect(await store.listCertificates({ now: NOW, limit: 1e9 })).toHaveLength(records.length);
  });
});
