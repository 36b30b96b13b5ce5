// A WebSocket whose messages are read: how much of them waits is told, and what is too much ends it.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
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

describe('a message in many parts', () => {
  const header = (length: number): Buffer => {
    const bytes = Buffer.alloc(14);
    bytes.writeUInt16BE(0x81ff, 0);
    bytes.writeBigUInt64BE(BigInt(length), 2);
    return bytes;
  };

  it('is not put together anew with every octet that comes', () => {
    const octets = 66_000;
    const moves = [vi.spyOn(Buffer, 'concat'), vi.spyOn(Buffer.prototype, 'copy')] as const;
    const read = readMessages(
      'client',
      () => ({ verdict: PASS }),
      () => true,
    );
    void read(header(octets));
    for (let i = 1; i < octets; i++) expect(read(Buffer.from('x'))).toMatchObject({ finished: false });
    const concatenated = moves[0].mock.calls.flatMap(([list]) => [...list]).reduce((sum, one) => sum + one.length, 0);
    const copied = moves[1].mock.results.reduce((sum, { value }) => sum + Number(value), 0);
    vi.restoreAllMocks();
    expect(concatenated + copied).toBeLessThan(4 * octets);
    const step = read(Buffer.from('x'));
    expect(step).toMatchObject({ send: Buffer.concat([header(octets), Buffer.alloc(octets, 'x')]) });
  });

  it('keeps nothing of the pings that come between its fragments', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const ping = Buffer.concat([Buffer.from([0x89, 0xfd, 0, 0, 0, 0]), Buffer.alloc(125)]);
    const read = readMessages(
      'client',
      () => ({ verdict: PASS }),
      () => true,
    );
    // What was let go of is counted off beside the event loop.
    const held = async (): Promise<number> => {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 20));
      return process.memoryUsage().arrayBuffers;
    };
    const before = await held();
    for (let i = 0; i < 500; i++) {
      const fragment = Buffer.from([i === 0 ? 0x01 : 0x00, 0x81, 0, 0, 0, 0, 0x78]);
      expect(read(Buffer.concat([fragment, ...Array.from({ length: 500 }, () => ping)]))).toMatchObject({
        finished: false,
      });
    }
    // 32 MB of pings have passed.
    await expect.poll(async () => (await held()) - before, { timeout: 30_000 }).toBeLessThan(4_000_000);
    const last = Buffer.from([0x80, 0x81, 0, 0, 0, 0, 0x78]);
    const step = await read(last);
    expect(step.send?.subarray(-last.length)).toEqual(last);
  });
});

describe('many messages that are decided at once', () => {
  it('are gone through one after another, however many come by one read', () => {
    const many = 30_000;
    let judged = 0;
    const read = readMessages(
      'server',
      () => {
        judged++;
        return { verdict: { kind: judged % 2 === 0 ? 'pass' : 'drop' } };
      },
      () => true,
    );
    const step = read(Buffer.alloc(many * 2, Buffer.from([0x81, 0x00])));
    expect(step).toEqual({ send: Buffer.alloc(many, Buffer.from([0x81, 0x00])), finished: false });
    expect(judged).toBe(many);
  });
});
