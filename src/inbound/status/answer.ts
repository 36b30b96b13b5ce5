// How a plain listener answers, as HTTP: a head as text and a body that is never copied. Lists and OCSP answers may be
// kept by others (RFC 5019 §6.2), but not for as long as they are valid: a cache that held a list for a day would hide
// for a day what is published within a second. Pure; the clock is given.
import { createHash } from 'node:crypto';
import { phraseOf } from '../../http1/write.ts';

export interface StatusAnswer {
  readonly head: string;
  /** In parts that follow one another; null for none. It goes out as it is, however large. */
  readonly body: readonly Uint8Array[] | null;
}

/** What can be answered with, and how long it may be kept. Times are ms since the epoch. */
export interface Content {
  readonly type: string;
  /** 200 when left out. */
  readonly status?: 503;
  /** In parts that follow one another. */
  readonly parts: readonly Uint8Array[];
  /** Null for what nobody may keep. */
  readonly fresh: { readonly thisUpdate: number; readonly nextUpdate: number } | null;
  /** In place of a hash of the octets. */
  readonly tag?: string;
}

/** How long others may keep what they were given without asking again, ms. */
const MOST_KEPT = 300_000;

/** Who asks, as far as the answer depends on it. */
export interface Asker {
  readonly isHead: boolean;
  /** Of its If-None-Match; null for none. */
  readonly knownTag: string | null;
  readonly close: boolean;
}

/** The answer with `content` at `now`, or that what the asker has is still it. */
export function answerWith(content: Content, asker: Asker, now: number): StatusAnswer {
  const { parts, fresh } = content;
  let caching = 'cache-control: no-store\r\n';
  if (fresh !== null) {
    const tag = `"${content.tag ?? hashOf(parts)}"`;
    const seconds = Math.max(0, Math.floor(Math.min(MOST_KEPT, fresh.nextUpdate - now) / 1000));
    caching =
      `cache-control: public, no-transform, must-revalidate, max-age=${seconds}\r\netag: ${tag}\r\n` +
      `last-modified: ${httpDate(fresh.thisUpdate)}\r\nexpires: ${httpDate(fresh.nextUpdate)}\r\n`;
    const known = asker.knownTag?.split(',').map((one) => one.trim().replace(/^W\//, ''));
    if (known?.some((one) => one === tag || one === '*') === true) {
      return { head: headOf(304, caching, asker.close, now), body: null };
    }
  }
  const size = parts.reduce((sum, { length }) => sum + length, 0);
  const about = `content-type: ${content.type}\r\ncontent-length: ${size}\r\n${caching}`;
  return { head: headOf(content.status ?? 200, about, asker.close, now), body: asker.isHead ? null : parts };
}

/** An answer without anything: the status says it. `extra` is lines with CRLF. */
export function answerBare(status: number, close: boolean, now: number, extra = ''): StatusAnswer {
  const lines = `content-length: 0\r\ncache-control: no-store\r\n${extra}`;
  return { head: headOf(status, lines, close, now), body: null };
}

function hashOf(parts: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex').slice(0, 32);
}

function headOf(status: number, lines: string, close: boolean, now: number): string {
  const end = close ? 'connection: close\r\n\r\n' : '\r\n';
  return `HTTP/1.1 ${status} ${phraseOf(status)}\r\ndate: ${httpDate(now)}\r\n${lines}${end}`;
}

function httpDate(ms: number): string {
  return new Date(ms).toUTCString();
}
