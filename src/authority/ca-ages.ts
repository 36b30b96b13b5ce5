// How far the CA's own certificates are in their lives: what `certgate ca check` shows, and what a serving gate says by
// itself. Parts of a life, not days: a company's issuer may live for a month, certgate's root lives for ten years. Pure.
import { readCertificate } from '../pki/certificates.ts';
import type { CaRecord } from '../store/store.ts';
import { rotationTime } from './rotate.ts';
import { chainOf } from './trust.ts';

/**
 * `due`: an issuer that should have been rotated; `near`: in the last tenth of its life, so that what is issued is cut
 * short; `close`: in the last fiftieth; `ahead`: not yet in its time, so that the clock is wrong or was.
 */
export type AgeStanding = 'good' | 'due' | 'near' | 'close' | 'ended' | 'ahead';

/** Times are ms since the epoch. */
export interface CaAge {
  readonly record: CaRecord;
  /** `issuer 2` */
  readonly name: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly standing: AgeStanding;
}

/** A gate rotates its issuer within a minute of that moment; the rest of a day is for one that was down. */
const GRACE = 86_400_000;

/**
 * Of all that are trusted, at `now`; without a company's CAs between that no issuer is below any more: nothing is to be put in
 * their place, and their end ends nothing.
 */
export function agesOf(records: readonly CaRecord[], now: number): readonly CaAge[] {
  const trusted = records.filter(({ state }) => state !== 'retired');
  const issuers = trusted.filter(({ role }) => role === 'issuer');
  const needed = new Set(issuers.flatMap((issuer) => chainOf(trusted, issuer)));
  return trusted
    .filter((record) => record.role !== 'intermediate' || needed.has(record))
    .map((record) => ageOf(record, now));
}

/** When its certificate ends, ms since the epoch. */
export function endOf(record: CaRecord): number {
  return readCertificate(record.der).validToDate.getTime();
}

function ageOf(record: CaRecord, now: number): CaAge {
  const { validFromDate, validToDate } = readCertificate(record.der);
  const [notBefore, notAfter] = [validFromDate.getTime(), validToDate.getTime()];
  const [life, left] = [notAfter - notBefore, notAfter - now];
  const standing = (): AgeStanding => {
    // What retires has nothing to last for: its leaves end with it.
    if (record.state === 'retiring') return 'good';
    if (now < notBefore) return 'ahead';
    if (left <= 0) return 'ended';
    if (left < life / 50) return 'close';
    if (left < life / 10) return 'near';
    const rotates = record.role === 'issuer' && record.state === 'active';
    return rotates && now > rotationTime(record) + GRACE ? 'due' : 'good';
  };
  return { record, name: `${record.role} ${record.generation}`, notBefore, notAfter, standing: standing() };
}
