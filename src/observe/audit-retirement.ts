// A retirement of the record's oldest files: the gate's word, signed by the CA's issuer and on record before the first of
// them is removed, up to which line it removes and by which rule. So who verifies what is left can tell what the gate has
// retired from what somebody cut. What exactly is signed: pki/audit-statement.ts.

import { asciiJson } from './ascii-json.ts';
import type { Head } from './audit-chain.ts';
import { headOf, isMoment, isObject } from './audit-checkpoint.ts';

/** What is to be signed. */
export interface Retiring {
  /** The newest line. */
  readonly record: Head;
  /** The number of the first line that goes, and the last. */
  readonly from: number;
  readonly to: Head;
  /** `keepFor 90d` or `keepFiles 12`. */
  readonly rule: string;
}

export interface Retirement extends Retiring {
  /** ms since the epoch */
  readonly time: number;
  readonly trustDomain: string;
  /** Key identifier of the issuer that signed it, hex. */
  readonly issuer: string;
  /** base64 */
  readonly signature: string;
}

/** As a JSON object of ASCII, without a line feed; `files` are the names of what is removed, for people. */
export function retirementJson(retirement: Retirement, files: readonly string[]): string {
  const { time, trustDomain, record, from, to, rule, issuer, signature } = retirement;
  const retired = {
    trustDomain,
    record: record.seq,
    recordHash: record.hash,
    from,
    to: to.seq,
    toHash: to.hash,
    rule,
    issuer,
    files,
  };
  return asciiJson({ time, retired, signature });
}

/** What `retirementJson` has made of what, whatever else stands beside it; null for anything else. */
export function retirementIn(value: unknown): Retirement | null {
  if (!isObject(value)) return null;
  const { time, retired, signature } = value;
  if (!isObject(retired) || !isMoment(time) || typeof signature !== 'string') return null;
  const { trustDomain, issuer, rule, from } = retired;
  const record = headOf(retired['record'], retired['recordHash']);
  const to = headOf(retired['to'], retired['toHash']);
  if (record === null || to === null || typeof from !== 'number' || !Number.isSafeInteger(from)) return null;
  if (typeof trustDomain !== 'string' || typeof issuer !== 'string' || typeof rule !== 'string') return null;
  return { time, trustDomain, record, from, to, rule, issuer, signature };
}
