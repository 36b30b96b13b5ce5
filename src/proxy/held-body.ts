// A request whose body has to be read before anything is sent on. Its parts are held until it is whole; its length was
// announced and is bounded by whoever asked for it, so that no more than that is ever held for one request. One without a
// body can be held too, until somebody knows what becomes of it.

import { type Body, followBody, openBody } from '../http1/body.ts';
import type { RequestHead } from '../http1/request.ts';
import type { BodyInspector, BodyVerdict, Forward, Verdict } from './contract.ts';

/** A request, and when it came: performance.now(). */
export interface Asked {
  readonly head: RequestHead;
  readonly startedAt: number;
}

export interface HeldRequest extends Asked {
  readonly verdict: Forward;
  readonly inspect: BodyInspector;
  readonly body: Body;
  readonly parts: Buffer[];
}

/** What is to be held of a request; null when it is streamed. */
export function heldRequest(head: RequestHead, verdict: Verdict, startedAt: number): HeldRequest | null {
  if (verdict.kind !== 'forward' || head.bodyLength < 0) return null;
  const inspect = verdict.inspectBody ?? null;
  return inspect === null ? null : { head, verdict, inspect, startedAt, body: openBody(head.bodyLength), parts: [] };
}

/** Takes what `bytes[from…]` has of the body; answers the index one past it. */
export function holdPart(held: HeldRequest, bytes: Buffer, from: number): number {
  const to = followBody(held.body, bytes, from);
  // The next read overwrites them.
  held.parts.push(Buffer.from(bytes.subarray(from, to)));
  return to;
}

/** What is sent on in place of what was held. */
export function sendable(
  { head, verdict }: HeldRequest,
  said: Extract<BodyVerdict, { readonly kind: 'send' }>,
): { readonly head: RequestHead; readonly verdict: Forward } {
  const { recorded = verdict.recorded } = said;
  return { head: { ...head, bodyLength: said.body.length }, verdict: { ...verdict, head: said.head, recorded } };
}
