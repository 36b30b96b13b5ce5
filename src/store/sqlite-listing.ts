// Which SQL lists certificates, and by which index. Pages run by (issued_at, serial) descending and continue from a key,
// never from an offset, so that page 1000 costs what page 1 costs. The planner is not asked: each query names its index.
// A range of expiry times, or of names, can be walked two ways, in page order until a page is full, or through the range and
// then sorted: the first is slow when little matches, the second when much does. A bounded count decides. What is revoked and
// what is not are walked apart, and joined where both are asked for. Measured with 1,000,000 certificates: scripts/bench/run
// --works list. The worst case is a range of 50,000 or more, all of them older than all others in the same state.
import { certificateColumns } from './sqlite-rows.ts';
import type { CertificateFilter } from './store.ts';

/** A range of expiry times that holds fewer certificates than this is walked as a range. */
export const SPARSE = 50_000;

export const BY_ISSUE = 'certificates_by_issue';
export const BY_IDENTITY = 'certificates_by_identity';
export const BY_EXPIRY = 'certificates_by_expiry';
const BY_SERIAL = 'sqlite_autoindex_certificates_1';

const DEFAULT_PAGE = 100;
const LARGEST_PAGE = 1000;

export interface Listing {
  readonly sql: string;
  readonly values: Readonly<Record<string, string | number>>;
}

/**
 * The query of one page. `isSparse` runs a probe made by this function and answers whether it counted less than SPARSE;
 * it is asked only where it matters.
 */
export function pageOf(filter: CertificateFilter, isSparse: (probe: Listing) => boolean): Listing {
  const conditions: string[] = [];
  const values: Record<string, string | number> = {};
  const range = expiryRange(filter);
  if (range !== null) {
    conditions.push(range.condition);
    Object.assign(values, range.values);
  } else if (filter.state === 'revoked') {
    conditions.push('revoked = 1');
  }
  const names = nameRange(filter);
  if (names !== null) {
    conditions.push(names.condition);
    Object.assign(values, names.values);
  }
  const index = indexFor(filter, range, names, isSparse);
  const apart = index === BY_ISSUE && filter.state === undefined;
  if (filter.serial !== undefined) {
    conditions.push('serial = :serial');
    values['serial'] = filter.serial;
  }
  if (filter.identity !== undefined) {
    conditions.push('identity = :identity');
    values['identity'] = filter.identity;
  }
  const { after } = filter;
  if (after !== undefined && (range === null || after.issuedAt < range.before)) {
    conditions.push('(issued_at, serial) < (:afterIssuedAt, :afterSerial)');
    values['afterIssuedAt'] = after.issuedAt;
    values['afterSerial'] = after.serial;
  } else if (range !== null && Number.isFinite(range.before)) {
    conditions.push('issued_at < :before'); // what has expired by then was issued before: the walk can start there
  }
  values['limit'] = pageSize(filter.limit);
  const order = 'ORDER BY issued_at DESC, serial DESC';
  const page = (more: readonly string[]): string => {
    const all = [...conditions, ...more];
    const where = all.length === 0 ? '' : `WHERE ${all.join(' AND ')}`;
    return `SELECT id AS chosen, issued_at, serial FROM certificates INDEXED BY ${index} ${where} ${order} LIMIT :limit`;
  };
  const both = ['revoked = 0', 'revoked = 1'].map((one) => `SELECT * FROM (${page([one])})`).join(' UNION ALL ');
  // CROSS JOIN keeps the page on the outside (sqlite.org/optoverview §6.1).
  const sql = `SELECT ${certificateColumns} FROM (
      SELECT chosen FROM (${apart ? `${both} ${order} LIMIT :limit` : page([])})
    ) CROSS JOIN certificates ON id = chosen ${order}`;
  return { sql, values };
}

/** Rows of a page: what was asked for, between 1 and LARGEST_PAGE. */
export function pageSize(limit: number = DEFAULT_PAGE): number {
  return Math.min(Math.max(Math.trunc(limit), 1), LARGEST_PAGE);
}

function indexFor(
  filter: CertificateFilter,
  range: ExpiryRange | null,
  names: Range | null,
  isSparse: (probe: Listing) => boolean,
): string {
  if (filter.serial !== undefined) return BY_SERIAL;
  if (filter.identity !== undefined) return BY_IDENTITY;
  const ranges = [
    ...(names === null ? [] : [{ ...names, index: BY_IDENTITY }]),
    ...(range === null ? [] : [{ ...range, index: BY_EXPIRY }]),
  ];
  const sparse = ranges.find(({ condition, values, index }) => {
    const sql = `SELECT count(*) AS found FROM (
      SELECT 1 FROM certificates INDEXED BY ${index} WHERE ${condition} LIMIT ${SPARSE})`;
    return isSparse({ sql, values });
  });
  return sparse?.index ?? BY_ISSUE;
}

interface Range {
  readonly condition: string;
  readonly values: Readonly<Record<string, number | string>>;
}

/** Names are ASCII (identity/name.ts), so that none that begins so lies behind its beginning with the last of it. */
function nameRange({ identityStart }: CertificateFilter): Range | null {
  if (identityStart === undefined || identityStart === '') return null;
  const values = { start: identityStart, end: `${identityStart}\u007f` };
  return { condition: 'identity >= :start AND identity < :end', values };
}

interface ExpiryRange extends Range {
  /** The upper bound, exclusive, ms since the epoch; infinite when there is none. */
  readonly before: number;
}

function expiryRange({ state, now, expiresBefore }: CertificateFilter): ExpiryRange | null {
  // One bound a side: of two upper bounds SQLite would walk the index up to the first.
  const reached = state === 'expired' ? Math.floor(now) + 1 : Number.POSITIVE_INFINITY;
  const before = Math.min(reached, expiresBefore ?? Number.POSITIVE_INFINITY);
  const bounds: string[] = [];
  const values: Record<string, number> = {};
  if (state === 'valid') {
    bounds.push('not_after > :now');
    values['now'] = now;
  }
  if (before !== Number.POSITIVE_INFINITY) {
    bounds.push('not_after < :before');
    values['before'] = before;
  }
  if (bounds.length === 0) return null;
  // Named even where both are meant, so that the index, which starts with it, can be entered at the range.
  const revoked = state === undefined ? 'revoked IN (0, 1)' : `revoked = ${state === 'revoked' ? 1 : 0}`;
  return { condition: [revoked, ...bounds].join(' AND '), values, before };
}
