// A checkpoint of the record: how far the record and the CA's acts had come at a moment, signed by the CA's issuer, so that
// whoever has one kept elsewhere can tell whether what it speaks of is still there. What exactly is signed:
// pki/audit-statement.ts. In the record's file it is a line of its own, which names the line before it as all do.

import type { Head } from './audit-chain.ts';

/** What is signed. */
export interface CheckpointFacts {
  /** ms since the epoch */
  readonly time: number;
  readonly trustDomain: string;
  /** The newest line of the record. */
  readonly record: Head;
  /** The newest act of the CA: its number and hash. */
  readonly act: Head;
  /** Key identifier of the issuer that signed it, hex. */
  readonly issuer: string;
}

export interface Checkpoint extends CheckpointFacts {
  /** base64 */
  readonly signature: string;
}

/** As a JSON object of ASCII, without a line feed. */
export function checkpointJson({ time, trustDomain, record, act, issuer, signature }: Checkpoint): string {
  return JSON.stringify({
    time,
    checkpoint: {
      trustDomain,
      record: record.seq,
      recordHash: record.hash,
      act: act.seq,
      actHash: act.hash,
      issuer,
    },
    signature,
  });
}

/** What `checkpointJson` has made of what, whatever else stands beside it; null for anything else. */
export function checkpointIn(value: unknown): Checkpoint | null {
  if (!isObject(value)) return null;
  const { time, checkpoint, signature } = value;
  if (!isObject(checkpoint) || !isMoment(time) || typeof signature !== 'string') return null;
  const { trustDomain, issuer } = checkpoint;
  const record = headOf(checkpoint['record'], checkpoint['recordHash']);
  const act = headOf(checkpoint['act'], checkpoint['actHash']);
  if (record === null || act === null || typeof trustDomain !== 'string' || typeof issuer !== 'string') return null;
  return { time, trustDomain, record, act, issuer, signature };
}

/** A line's number and hash, as JSON has them. */
export function headOf(seq: unknown, hash: unknown): Head | null {
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0) return null;
  return typeof hash === 'string' && /^[0-9a-f]{64}$/.test(hash) ? { seq, hash } : null;
}

/** Milliseconds since the epoch that a date can have (ECMA-262, 21.4.1.1): others cannot be shown. */
export function isMoment(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= 8.64e15;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
