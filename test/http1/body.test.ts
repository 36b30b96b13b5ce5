// Where a body ends (RFC 9112 §6.3, §7.1), in whatever pieces it comes, and which chunks are refused.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chunksOf, followBody, openBody } from '../../src/http1/body.ts';
import { CHUNKED, UNTIL_CLOSE } from '../../src/http1/syntax.ts';
import { chunkedBody } from './messages.ts';
import { cutAt, follow, latin1 } from './read.ts';

const NEXT = 'GET /api/next HTTP/1.1\r\nHost: a\r\n\r\n';
const places = fc.array(fc.nat({ max: 5_000 }), { maxLength: 12 });

describe('a body of a known length', () => {
  test('is done at once when the length is 0, and takes nothing', () => {
    expect(openBody(0).done).toBe(true);
    expect(followBody(openBody(0), latin1(NEXT), 0)).toBe(0);
  });

  test('takes exactly its bytes, in whatever pieces, and leaves the next request alone', () => {
    const property = fc.property(fc.uint8Array({ minLength: 1, maxLength: 400 }), places, (body, cuts) => {
      const bytes = Buffer.concat([body, latin1(NEXT)]);
      expect(follow(body.length, ...cutAt(bytes, cuts))).toEqual({ done: true, bad: false, taken: body.length });
      const state = openBody(body.length);
      expect(followBody(state, Buffer.concat([latin1('head'), bytes]), 4)).toBe(4 + body.length);
    });
    fc.assert(property);
  });

  test('is not done one byte short', () => {
    expect(follow(5, latin1('abcd'))).toEqual({ done: false, bad: false, taken: 4 });
    // Nor behind a head, of which no byte is the body's.
    const behind = openBody(5);
    expect([followBody(behind, latin1('head\r\n\r\nabcd'), 8), behind.done, behind.remaining]).toEqual([12, false, 1]);
    expect([followBody(behind, latin1(`e${NEXT}`), 0), behind.done]).toEqual([1, true]);
  });
});

describe('a body that ends with its connection', () => {
  test('takes everything and is never done', () => {
    expect(follow(UNTIL_CLOSE, latin1('abc'), latin1('0\r\n\r\n'))).toEqual({ done: false, bad: false, taken: 8 });
  });
});

describe('a chunked body', () => {
  test('ends after its last chunk, in whatever pieces, and leaves the next request alone', () => {
    const property = fc.property(chunkedBody, places, ({ wire }, cuts) => {
      const bytes = latin1(wire + NEXT);
      expect(follow(CHUNKED, ...cutAt(bytes, cuts))).toEqual({ done: true, bad: false, taken: wire.length });
    });
    fc.assert(property, { numRuns: 1_000 });
  });

  test('is not done before its last byte', () => {
    const property = fc.property(chunkedBody, fc.nat(), ({ wire }, place) => {
      const part = latin1(wire).subarray(0, place % wire.length);
      expect(follow(CHUNKED, part)).toEqual({ done: false, bad: false, taken: part.length });
    });
    fc.assert(property, { numRuns: 1_000 });
  });

  test('may write a size in upper and lower case and with leading zeros', () => {
    for (const wire of [
      'A\r\n0123456789\r\n0\r\n\r\n',
      '00a\r\n0123456789\r\n000\r\n\r\n',
      '000000000001\r\nx\r\n0\r\n\r\n',
    ]) {
      expect(follow(CHUNKED, latin1(wire))).toEqual({ done: true, bad: false, taken: wire.length });
    }
  });

  test('counts a chunk of 2^48-1 bytes, the most that is read, rightly', () => {
    const body = openBody(CHUNKED);
    followBody(body, latin1('ffffffffffff\r\n'), 0);
    expect(body).toMatchObject({ done: false, bad: false, remaining: 2 ** 48 - 1 });
  });

  test.each([
    ['a size that overflows 32 bits only to be small again', '1000000000005\r\nhello\r\n0\r\n\r\n'],
    ['a size that overflows 64 bits', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
    ['a size of all f', 'ffffffffffffffff\r\nhello\r\n0\r\n\r\n'],
    ['a size of more leading zeros than digits are read', '0000000000005\r\nhello\r\n0\r\n\r\n'],
    ['a negative size', '-5\r\nhello\r\n0\r\n\r\n'],
    ['a signed size', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a size with 0x', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a size with an underscore', '1_0\r\nhello\r\n0\r\n\r\n'],
    ['an empty size', '\r\nhello\r\n0\r\n\r\n'],
    ['a size that is no number', 'g\r\nhello\r\n0\r\n\r\n'],
    ['a size between the digits and the letters of ASCII', ':\r\nhello\r\n0\r\n\r\n'],
    ['a size of @', '@\r\nhello\r\n0\r\n\r\n'],
    ['a size of a control character that case folding makes a digit', '\x10\r\nhello\r\n0\r\n\r\n'],
    ['a size of a byte above 127', '\xb5\r\nhello\r\n0\r\n\r\n'],
    ['a blank before the size', ' 5\r\nhello\r\n0\r\n\r\n'],
    ['a blank behind the size', '5 \r\nhello\r\n0\r\n\r\n'],
    ['a tab behind the size', '5\t\r\nhello\r\n0\r\n\r\n'],
    ['a chunk extension', '5;a=b\r\nhello\r\n0\r\n\r\n'],
    ['an empty chunk extension', '5;\r\nhello\r\n0\r\n\r\n'],
    ['a chunk extension with a line feed in it', '5;\nxx\r\nhello\r\n0\r\n\r\n'],
    ['a chunk extension on the last chunk', '5\r\nhello\r\n0;a\r\n\r\n'],
    ['a size that ends in LF', '5\nhello\r\n0\r\n\r\n'],
    ['a size that ends in CR', '5\rhello\r\n0\r\n\r\n'],
    ['a size that ends in CR CR LF', '5\r\r\nhello\r\n0\r\n\r\n'],
    ['a size that ends in LF CR', '5\n\rhello\r\n0\r\n\r\n'],
    ['a chunk that is longer than its size', '5\r\nhelloX\r\n0\r\n\r\n'],
    ['a chunk that is shorter than its size', '6\r\nhello\r\n0\r\n\r\n'],
    ['a chunk without its line end', '5\r\nhello0\r\n\r\n'],
    ['a chunk that ends in LF', '5\r\nhello\n0\r\n\r\n'],
    ['a chunk that ends in CR', '5\r\nhello\r0\r\n\r\n'],
    ['a chunk that ends in any two bytes (TERM.EXT)', '5\r\nhelloXX0\r\n\r\n'],
    ['a size line of CR and any other byte', '5\r\0hello\r\n0\r\n\r\n'],
    ['a chunk that ends in any byte and LF', '5\r\nhelloX\n0\r\n\r\n'],
    ['a chunk that ends in CR and any byte', '5\r\nhello\rX0\r\n\r\n'],
    ['a last line of any byte and LF', '5\r\nhello\r\n0\r\nX\n'],
    ['a last line of CR and any byte', '5\r\nhello\r\n0\r\n\rX'],
    ['a last chunk that ends in LF', '5\r\nhello\r\n0\n\r\n'],
    ['an empty line of a bare LF', '5\r\nhello\r\n0\r\n\n'],
    ['a trailer', '5\r\nhello\r\n0\r\nX-Trailer: a\r\n\r\n'],
    ['a trailer that frames', '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n'],
    ['a next request where the empty line is missing', `5\r\nhello\r\n0\r\n${NEXT}`],
    ['a NUL where the size begins', '\x005\r\nhello\r\n0\r\n\r\n'],
  ])('is refused for %s, in whatever pieces', (_what, wire) => {
    const bytes = latin1(wire);
    expect(follow(CHUNKED, bytes)).toMatchObject({ bad: true, done: false });
    expect(follow(CHUNKED, ...cutAt(bytes, Array.from(bytes.keys())))).toMatchObject({ bad: true, done: false });
  });

  test('has sizes of hexadecimal digits and of no other byte', () => {
    for (let code = 0; code < 256; code++) {
      const body = openBody(CHUNKED);
      followBody(body, Buffer.from([code]), 0);
      const size = Number.parseInt(String.fromCharCode(code), 16);
      expect({ code, bad: body.bad }).toEqual({ code, bad: Number.isNaN(size) });
      if (!body.bad) expect(body.remaining).toBe(size);
    }
  });

  test('that is bad takes nothing more, and is never done', () => {
    const body = openBody(CHUNKED);
    followBody(body, latin1('5;a\r\n'), 0);
    expect(followBody(body, latin1('0\r\n\r\n'), 0)).toBe(0);
    expect(body).toMatchObject({ bad: true, done: false });
  });

  test('tells, wherever it is cut, what has come of a size or of the end that is not whole', () => {
    const size = '05\r\n';
    const last = '00\r\n\r\n';
    const wire = `${size}hello\r\n${size}again\r\n${last}`;
    const second = size.length + 'hello\r\n'.length;
    const spans = [
      [0, size],
      [second, size],
      [2 * second, last],
    ] as const;
    for (let at = 0; at <= wire.length; at++) {
      const open = spans.find(([from, text]) => from < at && at < from + text.length);
      for (const between of [0, at - 1, Math.floor(at / 2)]) {
        const body = openBody(CHUNKED);
        for (const piece of [wire.slice(0, Math.max(between, 0)), wire.slice(Math.max(between, 0), at)]) {
          followBody(body, latin1(piece), 0);
        }
        expect({ at, unfinished: body.unfinished }).toEqual({ at, unfinished: open === undefined ? 0 : at - open[0] });
      }
    }
  });

  test('has the same end, or the same fault at the same byte, in whatever pieces any bytes come', () => {
    const piece = fc.constantFrom(
      '0',
      '1',
      '5',
      'a',
      'F',
      '\r',
      '\n',
      '\r\n',
      '\r\n\r\n',
      'hello',
      ';',
      ' ',
      '0\r\n\r\n',
      'x\r\n',
    );
    const property = fc.property(fc.array(piece, { maxLength: 20 }), places, (pieces, cuts) => {
      const bytes = latin1(pieces.join(''));
      expect(follow(CHUNKED, ...cutAt(bytes, cuts))).toEqual(follow(CHUNKED, bytes));
    });
    fc.assert(property, { numRuns: 5_000 });
  });

  test('is accepted exactly when the strict grammar of RFC 9112 §7.1, less extensions and trailers, has it', () => {
    const piece = fc.constantFrom(
      '0',
      '1',
      '2',
      '00',
      '\r\n',
      '\r\n',
      'x\r\n',
      'xy\r\n',
      '0\r\n\r\n',
      '\n',
      '1\r\nz\r\n',
      '2\r\n\r\n\r\n',
    );
    const property = fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
      const wire = pieces.join('');
      expect(follow(CHUNKED, latin1(wire)).done).toBe(endsByGrammar(wire));
    });
    fc.assert(property, { numRuns: 5_000 });
  });
});

test('the data of a body in chunks is that of its chunks, whatever stands in them', () => {
  const chunk = fc.uint8Array({ minLength: 1, maxLength: 40 });
  const property = fc.property(fc.array(chunk, { maxLength: 6 }), fc.boolean(), (parts, padded) => {
    const size = (part: Uint8Array) => (padded ? '000' : '') + part.length.toString(16);
    const framed = parts.flatMap((part) => [latin1(`${size(part)}\r\n`), part, latin1('\r\n')]);
    expect(chunksOf(Buffer.concat([...framed, latin1('0\r\n\r\n')]))).toEqual(Buffer.concat(parts));
  });
  fc.assert(property);
});

/** A second reading of the grammar, written as a regular expression for each chunk. */
function endsByGrammar(wire: string): boolean {
  let rest = wire;
  for (;;) {
    const line = /^([0-9A-Fa-f]{1,12})\r\n/.exec(rest);
    if (line === null) return false;
    const size = Number.parseInt(line[1] ?? '', 16);
    rest = rest.slice(line[0].length);
    if (size === 0) return rest.startsWith('\r\n');
    if (rest.slice(size, size + 2) !== '\r\n') return false;
    rest = rest.slice(size + 2);
  }
}
