import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rewriteAuthMessage } from '../../src/inbound/auth-message.ts';

const TEXT = 1;
const PING = 9;
const MASK = Buffer.from([1, 2, 3, 4]);

function frame(opcode: number, payload: Buffer | string, fin = true): Buffer {
  const bytes = Buffer.from(payload);
  const header =
    bytes.length < 126
      ? Buffer.from([(fin ? 0x80 : 0) | opcode, 0x80 | bytes.length])
      : Buffer.from([(fin ? 0x80 : 0) | opcode, 0x80 | 126, bytes.length >> 8, bytes.length & 0xff]);
  return Buffer.concat([header, MASK, bytes.map((byte, i) => byte ^ (MASK[i % 4] ?? 0))]);
}

/** Client frames as a server would read them. */
function read(bytes: Buffer): Array<{ opcode: number; fin: boolean; text: string }> {
  const frames = [];
  let at = 0;
  while (at < bytes.length) {
    const first = bytes[at] ?? 0;
    let length = (bytes[at + 1] ?? 0) & 0x7f;
    let start = at + 2;
    if (length === 126) {
      length = bytes.readUInt16BE(start);
      start += 2;
    }
    const mask = bytes.subarray(start, start + 4);
    const payload = bytes.subarray(start + 4, start + 4 + length).map((byte, i) => byte ^ (mask[i % 4] ?? 0));
    frames.push({ opcode: first & 0x0f, fin: (first & 0x80) !== 0, text: Buffer.from(payload).toString('utf8') });
    at = start + 4 + length;
  }
  return frames;
}

/** Feeds `wire` cut at `cuts` and answers what goes on upstream. */
function pass(wire: Buffer, cuts: readonly number[] = []): { sent: Buffer; refused: string | undefined } {
  const rewrite = rewriteAuthMessage('the:secret');
  const places = [...cuts.map((cut) => cut % (wire.length + 1)), wire.length].toSorted((a, b) => a - b);
  const sent: Buffer[] = [];
  let from = 0;
  let finished = false;
  for (const to of places) {
    const part = wire.subarray(from, to);
    from = to;
    if (finished) {
      sent.push(part);
      continue;
    }
    const result = rewrite(part);
    if (result.refuse !== undefined) return { sent: Buffer.concat(sent), refused: result.refuse };
    if (result.send !== null) sent.push(result.send);
    finished = result.finished;
  }
  return { sent: Buffer.concat(sent), refused: undefined };
}

describe('the first message of a WebSocket', () => {
  it('gets the server’s password in place of the client’s token, wherever the bytes are cut', () => {
    const wire = Buffer.concat([
      frame(PING, 'hello?'),
      frame(TEXT, '{"type":"auth","token":null}'),
      frame(TEXT, '{"type":"filter","filter":{}}'),
    ]);
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 8 }), (cuts) => {
        const { sent, refused } = pass(wire, cuts);
        expect(refused).toBeUndefined();
        expect(read(sent)).toEqual([
          { opcode: PING, fin: true, text: 'hello?' },
          { opcode: TEXT, fin: true, text: '{"type":"auth","token":"the:secret"}' },
          { opcode: TEXT, fin: true, text: '{"type":"filter","filter":{}}' },
        ]);
      }),
    );
  });

  it('is put together when it comes in fragments, with a ping between them', () => {
    const wire = Buffer.concat([frame(TEXT, '{"type":"au', false), frame(PING, 'p'), frame(0, 'th","token":"mine"}')]);
    const frames = read(pass(wire).sent);
    expect(frames.map(({ text }) => text)).toEqual(['p', '{"type":"auth","token":"the:secret"}']);
  });

  it.each([
    ['is no JSON', 'hello'],
    ['is another message', '{"type":"subscribe"}'],
    ['is no object', '"auth"'],
    ['is not UTF-8, which is not mended', Buffer.from('{"type":"auth","token":"\xff"}', 'latin1')],
  ])('passes unchanged when it %s', (_what, text) => {
    const wire = Buffer.concat([frame(TEXT, text), frame(TEXT, '{"type":"auth","token":null}')]);
    expect(pass(wire).sent.equals(wire)).toBe(true);
  });

  it('never lets the password out for a second auth message', () => {
    const wire = Buffer.concat([frame(TEXT, '{"type":"auth"}'), frame(TEXT, '{"type":"auth","token":"x"}')]);
    expect(read(pass(wire).sent)[1]?.text).toBe('{"type":"auth","token":"x"}');
  });

  it.each([
    ['an unmasked frame', Buffer.from([0x81, 0x02, 0x68, 0x69])],
    ['an extension that was not agreed on', Buffer.from([0xc1, 0x80, 0, 0, 0, 0])],
    ['a continuation of nothing', frame(0, 'x')],
    ['a length in more bytes than it needs', Buffer.from([0x81, 0xfe, 0, 2, 0, 0, 0, 0, 0x68, 0x69])],
    ['a length of exabytes', Buffer.from([0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])],
    [
      'fragments without end',
      Buffer.concat([frame(TEXT, 'x', false), ...Array.from({ length: 5 }, () => frame(0, 'y'.repeat(20_000), false))]),
    ],
  ])('is refused when it begins with %s', (_what, wire) => {
    expect(pass(wire).refused).toBeTypeOf('string');
  });
});
