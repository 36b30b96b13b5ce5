// A WebSocket of which every message of one side is looked at before it goes on. Messages pass byte for byte, as they were
// framed, one after another: none, and no ping behind one, overtakes a message that is still being decided, because
// Prefect's client takes a pong for "the server has all my events". Frames that control the connection (RFC 6455 §5.5) pass in
// the midst of a message. Compression was not agreed on (request-head.ts); sizes are bounded.

import type { TunnelRewriter, TunnelStep } from '../proxy/contract.ts';
import { gather, ownCopy } from '../proxy/gathered.ts';
import { maskedTextFrame } from './auth-message.ts';
import { CONTINUATION, readFrame, TEXT, textOf } from './frames.ts';

/** What becomes of a message: it passes, goes no further, another of the client's takes its place, or the WebSocket is closed. */
export type MessageVerdict =
  | { readonly kind: 'pass' | 'drop' }
  | { readonly kind: 'replace'; readonly text: string }
  /** `reason`: 123 bytes are sent. */
  | { readonly kind: 'close'; readonly reason: string };

/** Looks at one message; `done` when no more are to be looked at. */
export type MessageJudge = (text: string) => {
  readonly verdict: MessageVerdict | Promise<MessageVerdict>;
  readonly done?: true;
};

/** Prefect's events have 1.5 MB at most. Bytes. */
const LONGEST_MESSAGE = 2_097_152;
const MOST_FRAGMENTS = 1_024;

/** Makes the rewriter for what one side of one WebSocket sends. `holds` is told the bytes that wait: false for too many. */
export function readMessages(
  from: 'client' | 'server',
  judge: MessageJudge,
  holds: (bytes: number) => boolean,
): TunnelRewriter {
  const pending = gather();
  /** Of a message that has begun: its frames as they came, and what they say. */
  const raw = gather();
  const content = gather();
  let frames = 0;
  const refuse = (send: readonly Buffer[], reason: string): TunnelStep => ({
    send: Buffer.concat(send),
    finished: true,
    refuse: reason,
  });

  /** Works through `pending` until something takes its time. */
  const go = (send: Buffer[]): TunnelStep | Promise<TunnelStep> => {
    for (;;) {
      const bytes = pending.bytes();
      const frame = readFrame(bytes, LONGEST_MESSAGE, from === 'client');
      if (frame === null) return { send: Buffer.concat(send), finished: false };
      if (typeof frame === 'string') return refuse(send, frame);
      const whole = bytes.subarray(0, frame.end);
      pending.drop(frame.end);
      if (frame.opcode >= 8) {
        send.push(whole);
        continue;
      }
      const begins = frames === 0;
      if (begins === (frame.opcode === CONTINUATION)) return refuse(send, 'a message is fragmented wrongly');
      if (begins && frame.opcode !== TEXT) return refuse(send, 'a message is not text');
      frames++;
      if (raw.size + whole.length > LONGEST_MESSAGE || frames > MOST_FRAGMENTS)
        return refuse(send, 'a message is too long');
      // One that waits for the next must not keep all that came beside it.
      raw.add(frame.fin ? whole : ownCopy(whole));
      content.add(frame.payload);
      if (!frame.fin) continue;
      const text = textOf(content.bytes());
      const asItCame = raw.bytes();
      for (const one of [raw, content]) one.drop(one.size);
      frames = 0;
      if (text === null) return refuse(send, 'a message is not UTF-8');
      const { verdict, done } = judge(text);
      /** Null to go on. */
      const act = (said: MessageVerdict): TunnelStep | null => {
        if (said.kind === 'close') return refuse(send, said.reason);
        if (said.kind === 'replace') send.push(maskedTextFrame(Buffer.from(said.text, 'utf8')));
        else if (said.kind === 'pass') send.push(asItCame);
        if (done !== true) return null;
        send.push(pending.bytes());
        return { send: Buffer.concat(send), finished: true };
      };
      if (verdict instanceof Promise) return verdict.then((said) => act(said) ?? go(send));
      const step = act(verdict);
      if (step !== null) return step;
    }
  };
  const settled = (step: TunnelStep): TunnelStep => {
    holds(pending.size + raw.size);
    return step;
  };
  return (bytes) => {
    pending.add(bytes);
    if (!holds(pending.size + raw.size))
      return refuse([], 'more messages of one identity are under way than there is room for');
    const step = go([]);
    return step instanceof Promise ? step.then(settled) : settled(step);
  };
}
