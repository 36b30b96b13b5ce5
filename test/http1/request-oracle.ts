// The promise about requests, for any bytes at all: whatever a connection brings, in whatever pieces, is read as the
// same requests; each of them, as the gate writes it anew, is that one request to every parser behind the gate; and a
// parser that gets it as the client sent it sees the same request, or refuses it. Used by the corpus and the fuzzer.

import { followBody, openBody } from '../../src/http1/body.ts';
import { readRequestHead } from '../../src/http1/request.ts';
import type { RequestHead } from '../../src/http1/request-head.ts';
import { openRequestMemory } from '../../src/http1/request-memory.ts';
import { isHopByHop } from '../../src/http1/write.ts';
import { isOwnHeader } from '../../src/inbound/request-head.ts';
import { canonicalPath } from '../../src/policy/paths.ts';
import { websocketProblem } from '../../src/proxy/websocket.ts';
import { writeRequestHead } from '../inbound/heads.ts';
import { type AllParsers, seenByEach } from './parsers/all.ts';
import type { SeenRequest } from './parsers/seen.ts';
import { LIMITS, latin1 } from './read.ts';

const NEXT = 'GET /next HTTP/1.1\r\nhost: next.test\r\n\r\n';
const NEXT_SEEN: SeenRequest = { method: 'GET', target: '/next', headers: [['host', 'next.test']], body: '' };
const CLIENT = 'x-certgate-identity: worker/etl-1\r\n';
const MOST_REQUESTS = 8;

/** What becomes of the first request of a connection: its refusal's status, or how it goes on. */
export type RequestVerdict = number | 'accepted' | 'incomplete';

export interface Read {
  readonly head: RequestHead;
  /** As it came. */
  readonly raw: string;
  /** The body as it came. */
  readonly wire: string;
}

export interface Connection {
  readonly requests: readonly Read[];
  /** The status of what was refused behind them; null for nothing. */
  readonly refused: number | null;
}

/** Reads a connection's bytes as the proxy does, with a memory or without. */
function readConnection(pieces: readonly Buffer[], remember: boolean): Connection {
  const memory = remember ? openRequestMemory() : null;
  const requests: Read[] = [];
  let pending: Buffer = Buffer.alloc(0);
  let current: { head: RequestHead; raw: string; wire: string; body: ReturnType<typeof openBody> } | null = null;
  for (const piece of pieces) {
    pending = Buffer.concat([pending, piece]);
    while (pending.length > 0 && requests.length < MOST_REQUESTS) {
      if (current === null) {
        const head = readRequestHead(pending, 0, LIMITS, memory);
        if (head === null) break;
        if (!head.ok) return { requests, refused: head.status };
        const problem = websocketProblem(head);
        if (problem !== null) return { requests, refused: problem.status };
        current = { head, raw: pending.toString('latin1', 0, head.size), wire: '', body: openBody(head.bodyLength) };
        pending = pending.subarray(head.size);
      } else {
        const to = followBody(current.body, pending, 0);
        if (current.body.bad) return { requests, refused: 400 };
        current.wire += pending.toString('latin1', 0, to);
        pending = pending.subarray(to);
      }
      if (current?.body.done) {
        requests.push({ head: current.head, raw: current.raw + current.wire, wire: current.wire });
        if (current.head.upgrade === 'websocket' || current.head.close) return { requests, refused: null };
        current = null;
      }
    }
  }
  return { requests, refused: null };
}

export function verdictOf(bytes: Buffer): RequestVerdict {
  const { requests, refused } = readConnection([bytes], false);
  if (requests.length > 0) return 'accepted';
  return refused ?? 'incomplete';
}

/** What is wrong with our reading of `bytes`, cut at `pieces` and whole; null when the promise holds. */
export async function requestProblem(parsers: AllParsers, pieces: readonly Buffer[]): Promise<string | null> {
  const whole = readConnection([Buffer.concat(pieces)], false);
  const inPieces = readConnection(pieces, true);
  const [one, other] = [whole, inPieces].map(({ requests, refused }) => JSON.stringify([requests, refused !== null]));
  if (one !== other) return `read otherwise in pieces: ${one} and ${other}`;
  for (const request of whole.requests) {
    if (isKnownGood(parsers, request)) continue;
    const problem = (await forwardedProblem(parsers, request)) ?? (await sentProblem(parsers, request));
    if (problem !== null) return problem;
    keepGood(parsers, request);
  }
  return null;
}

/** Requests in which nothing was wrong, by their bytes: most connections of a test end with the same one. */
const good = new WeakMap<AllParsers, Set<string>>();
const MOST_GOOD = 200;

function isKnownGood(parsers: AllParsers, { raw }: Read): boolean {
  return good.get(parsers)?.has(raw) === true;
}

function keepGood(parsers: AllParsers, { raw }: Read): void {
  const known = good.get(parsers) ?? new Set();
  if (known.size >= MOST_GOOD) known.clear();
  good.set(parsers, known.add(raw));
}

/** The lines of a head that the gate wrote, without the one that frames the body: it comes first. */
export function withoutFraming<Line extends readonly [string, string]>(lines: readonly Line[]): readonly Line[] {
  const [first] = lines;
  return first !== undefined && /^(?:content-length|transfer-encoding)$/.test(first[0]) ? lines.slice(1) : lines;
}

/** One request as the gate sends it on, with another behind it. */
async function forwardedProblem(parsers: AllParsers, { head, wire }: Read): Promise<string | null> {
  const target = canonicalPath(head.target);
  if (!target.ok) return null;
  const text = writeRequestHead(head, {
    client: CLIENT,
    address: '127.0.0.1',
    requestId: 'r',
    target: target.target,
    proto: 'https',
    plainAnswer: false,
    authorization: null,
  });
  const written = linesOf(text);
  const kept = keptOf(head);
  if (JSON.stringify(withoutFraming(written).slice(0, kept.length)) !== JSON.stringify(kept)) {
    return `written ${JSON.stringify(written)}, decided ${JSON.stringify(kept)}`;
  }
  const first = {
    method: head.method,
    target: target.target,
    headers: written,
    body: contentOf(head.bodyLength, wire),
  };
  const upgraded = head.upgrade === 'websocket';
  const expected = { requests: upgraded ? [first] : [first, NEXT_SEEN], refused: null, rest: upgraded ? NEXT : null };
  for (const [parser, seen] of await seenByEach(parsers.requests, [latin1(text + wire + NEXT)])) {
    if (JSON.stringify(seen) !== JSON.stringify(expected)) {
      return `${parser} behind the gate saw ${JSON.stringify(seen)} in ${JSON.stringify(text + wire)}`;
    }
  }
  return null;
}

/** The same request as the client sent it: the same to a parser, or nothing. */
async function sentProblem(parsers: AllParsers, { head, raw, wire }: Read): Promise<string | null> {
  // An upgrade to what we do not speak is left out of what goes on: httptools takes it for the end of all HTTP.
  if (head.upgrade !== null && head.upgrade !== 'websocket') return null;
  const headers = head.names.map((name, i) => [name, head.values[i] ?? ''] as const);
  const expected = { method: head.method, target: head.target, headers, body: contentOf(head.bodyLength, wire) };
  for (const [parser, seen] of await seenByEach(parsers.requests, [latin1(raw)])) {
    if (seen.refused !== null) continue;
    // httptools keeps the blanks behind a value that RFC 9112 §5 says to drop; what we forward has none.
    const requests = seen.requests.map((one) => ({
      ...one,
      headers: one.headers.map(([name, value]) => [name, value.replace(/[ \t]+$/, '')]),
    }));
    if (JSON.stringify(requests) !== JSON.stringify([expected])) {
      return `${parser} in the gate's place saw ${JSON.stringify(seen)} in ${JSON.stringify(raw)}`;
    }
  }
  return null;
}

function keptOf(head: RequestHead): Array<readonly [string, string]> {
  return head.names
    .map((name, i) => [name, head.values[i] ?? ''] as const)
    .filter(([name]) => !isHopByHop(name) && !isOwnHeader(name) && !head.connectionNames?.includes(name));
}

/** The header lines of a head that we wrote, which are as plain as can be. */
export function linesOf(text: string): Array<readonly [string, string]> {
  const end = text.indexOf('\r\n\r\n');
  return text
    .slice(0, end)
    .split('\r\n')
    .slice(1)
    .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)] as const);
}

/** What a body says, by a reading of its own: `wire` is whole, its length known (0 and more) or in chunks. */
export function contentOf(length: number, wire: string): string {
  if (length >= 0) return wire;
  let content = '';
  let at = 0;
  for (;;) {
    const lineEnd = wire.indexOf('\r\n', at);
    const size = Number.parseInt(wire.slice(at, lineEnd), 16);
    // What breaks off has no next line.
    if (lineEnd < 0 || !(size > 0)) return content;
    content += wire.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
}
