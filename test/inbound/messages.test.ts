// A WebSocket whose messages are read: how much of them waits is told, and what is too much ends it.

import { describe, expect, it } from 'vitest';
import { maskedTextFrame } from '../../src/inbound/auth-message.ts';
import { type MessageVerdict, readMessages } from '../../src/inbound/messages.ts';

const FRAME = maskedTextFrame(Buffer.from('{"a":1}'.padEnd(1_000)));
const PASS: MessageVerdict = { kind: 'pass' };

describe('what waits of a message', () => {
  it('is told as it comes, and that nothing does once it is decided, also when that takes its time', async () => {
    const told: number[] = [];
    let decide = (_verdict: MessageVerdict): void => {};
    const verdict = new Promise<MessageVerdict>((resolve) => {
      decide = resolve;
    });
    const read = readMessages(
      'client',
      () => ({ verdict }),
      (bytes) => told.push(bytes) > 0,
    );
    expect(read(FRAME.subarray(0, 400))).toEqual({ send: Buffer.alloc(0), finished: false });
    const step = read(FRAME.subarray(400));
    expect(told).toEqual([400, 400, FRAME.length]);
    decide(PASS);
    expect(await step).toEqual({ send: FRAME, finished: false });
    expect(told.at(-1)).toBe(0);
  });

  it('ends the WebSocket when there is no room for it', () => {
    const read = readMessages(
      'client',
      () => ({ verdict: PASS }),
      (bytes) => bytes < 500,
    );
    expect(read(FRAME.subarray(0, 400))).toMatchObject({ finished: false });
    expect(read(FRAME.subarray(400))).toMatchObject({
      finished: true,
      refuse: expect.stringContaining('room') as string,
    });
  });
});
