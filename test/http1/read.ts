// Short ways for the tests of this room to read a message from text. Text is latin1: one character for each byte.

import { followBody, openBody } from '../../src/http1/body.ts';
import { readRequestHead } from '../../src/http1/request.ts';
import type { RequestHead } from '../../src/http1/request-head.ts';
import { type ResponseHead, readResponseHead } from '../../src/http1/response.ts';
import type { HeadLimits, Malformed } from '../../src/http1/syntax.ts';

/** The limits that the gate ships with. */
export const LIMITS: HeadLimits = { headBytes: 32_768, headerLines: 100 };

export function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

export function readRequest(text: string, limits = LIMITS): RequestHead | Malformed | null {
  return readRequestHead(latin1(text), 0, limits);
}

/** A head that must be accepted. */
export function accepted(text: string): RequestHead {
  const head = readRequest(text);
  if (head === null || !head.ok) throw new Error(`not accepted: ${JSON.stringify(text)}: ${JSON.stringify(head)}`);
  return head;
}

export function readResponse(text: string, method = 'GET'): ResponseHead | Malformed | null {
  return readResponseHead(latin1(text), 0, method, LIMITS);
}

/** An answer's head that must be accepted. */
export function answered(text: string, method = 'GET'): ResponseHead {
  const head = readResponse(text, method);
  if (head === null || !head.ok) throw new Error(`not accepted: ${JSON.stringify(text)}: ${JSON.stringify(head)}`);
  return head;
}

/** The status of a refusal; 'accepted' or 'incomplete' where there is none. */
export function outcomeOf(head: RequestHead | ResponseHead | Malformed | null): number | 'accepted' | 'incomplete' {
  if (head === null) return 'incomplete';
  return head.ok ? 'accepted' : head.status;
}

/** A request of `lines` between a request line and a Host that are beyond reproach. */
export function requestWith(lines: string, method = 'POST'): string {
  return `${method} /api/flows/ HTTP/1.1\r\nHost: gate.test\r\n${lines}\r\n`;
}

export interface Followed {
  readonly done: boolean;
  readonly bad: boolean;
  /** How many bytes belong to the body. */
  readonly taken: number;
}

/** Follows a body of `length` through `pieces`, as a connection would: no piece is offered once it is done or bad. */
export function follow(length: number, ...pieces: readonly Buffer[]): Followed {
  const body = openBody(length);
  let taken = 0;
  for (const piece of pieces) {
    if (body.done || body.bad) break;
    taken += followBody(body, piece, 0);
  }
  return { done: body.done, bad: body.bad, taken };
}

/** `bytes` cut at the given places, which are taken modulo its length; no piece is empty. */
export function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const cuts = [...new Set(places.map((place) => place % Math.max(bytes.length, 1)))].toSorted((a, b) => a - b);
  const pieces: Buffer[] = [];
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    if (cut > from) pieces.push(bytes.subarray(from, cut));
    from = cut;
  }
  return pieces;
}
