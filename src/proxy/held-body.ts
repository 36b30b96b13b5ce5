// A request whose body has to be read before anything is sent on. It is held until it is whole; its length was announced and
// is bounded by whoever asked for it, so that no more than that is ever held for one request, in however many parts it comes.
// One without a body can be held too, until somebody knows what becomes of it.

import { type Body, followBody, openBody } from '../http1/body.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { BodyInspector, BodyVerdict, Forward, Verdict } from './contract.ts';

const NOTHING: Buffer = Buffer.alloc(0);

/** A request, and when it came: performance.now(). */
export interface Asked {
  readonly head: RequestHead;
  readonly startedAt: number;
}

export interface HeldRequest extends Asked {
  readonly verdict: Forward;
  readonly inspect: BodyInspector;
  readonly body: Body;
  /** As long as it was announced; filled as far as `body` has gone. */
  readonly bytes: Buffer;
}

/** What is to be held of a request; null when it is streamed. */
export function heldRequest(head: RequestHead, verdict: Verdict, startedAt: number): HeldRequest | null {
  if (verdict.kind !== 'forward' || head.bodyLength < 0) return null;
  const inspect = verdict.inspectBody ?? null;
  if (inspect === null) return null;
  const { bodyLength } = head;
  const bytes = bodyLength === 0 ? NOTHING : Buffer.allocUnsafeSlow(bodyLength);
  notAwaited(verdict);
  const asked: BodyInspector = (body) => {
    const said = inspect(body);
    if (said instanceof Promise) said.then(notAwaited, () => {});
    else notAwaited(said);
    return said;
  };
  return { head, verdict, inspect: asked, startedAt, body: openBody(bodyLength), bytes };
}

/** A record that nobody may come to wait for, as the client leaves first or another takes its place: its failure is no fault. */
function notAwaited({ recorded }: { readonly recorded?: Promise<void> | null }): void {
  recorded?.catch(() => {});
}

/** Takes what `bytes[from…]` has of the body; answers the index one past it. */
export function holdPart(held: HeldRequest, bytes: Buffer, from: number): number {
  const to = followBody(held.body, bytes, from);
  bytes.copy(held.bytes, held.bytes.length - held.body.remaining - (to - from), from, to);
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
