// What a reader remembers of a connection's last head changes the cost of reading, never what is read.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readRequestHead } from '../../src/http1/request.ts';
import { forgetHeads, openRequestMemory } from '../../src/http1/request-memory.ts';
import { openResponseMemory, readResponseHead } from '../../src/http1/response.ts';
import { oddHeadText } from './messages.ts';
import { LIMITS, latin1, requestWith } from './read.ts';

const GOOD = [
  requestWith('', 'GET'),
  requestWith('X-A: 1\r\n', 'GET'),
  requestWith('Content-Length: 3\r\n'),
  ...['3', '30', '0', '9007199254740991', '7 ', '\t4'].map((length) =>
    requestWith(`X-A: 1\r\ncontent-length:${length}\r\nX-B: content-length: 5\r\n`),
  ),
  requestWith('Transfer-Encoding: chunked\r\n'),
  'GET /other?x=1 HTTP/1.1\r\nHost: gate.test\r\n\r\n',
  'HEAD /other HTTP/1.1\r\nHost: gate.test\r\n\r\n',
];
// The header lines of an accepted head behind a request line that is not right.
const BAD_LINES = ['GET /\tx', 'GET /x#y', 'get /x', 'GET  /x', 'BREW /x', 'GET x', 'GET /x\n', 'GET /x\r', '', ' '];
const BAD_LENGTHS = [
  '',
  '007',
  '+3',
  '-1',
  '3, 3',
  '0x3',
  '3\r\nContent-Length: 3',
  '9'.repeat(17),
  '3a',
  '3 3',
  '٣',
].map((length) => requestWith(`X-A: 1\r\ncontent-length:${length}\r\nX-B: content-length: 5\r\n`));
const BAD = BAD_LINES.flatMap((line) => [
  `${line} HTTP/1.1\r\nHost: gate.test\r\n\r\n`,
  `${line} HTTP/1.0\r\nHost: gate.test\r\n\r\n`,
]);
const requestText = fc.oneof(fc.constantFrom(...GOOD, ...BAD, ...BAD_LENGTHS), oddHeadText, fc.constantFrom(...GOOD));
/** Few for each connection, so that they come again and again. */
const fewOf = (text: fc.Arbitrary<string>): fc.Arbitrary<fc.Arbitrary<string>> =>
  fc.array(text, { minLength: 1, maxLength: 4 }).map((few) => fc.constantFrom(...few));
const body = fc.constantFrom('', 'abc', 'GET / HTTP/1.1\r\n', '\r\n', 'x'.repeat(3000));

describe('a head read with a memory', () => {
  test('of requests is what it would be without, whatever was read before, whole or cut anywhere', () => {
    const forgets = fc.nat({ max: 20 }).map((n) => n === 0);
    const steps = fewOf(requestText).chain((text) => {
      const step = fc.record({ text, body, cut: fc.nat({ max: 5000 }), from: fc.nat({ max: 3 }), forgets });
      return fc.array(step, { minLength: 1, maxLength: 16 });
    });
    fc.assert(
      fc.property(steps, (all) => {
        const memory = openRequestMemory();
        for (const { text, body: rest, cut, from, forgets: rests } of all) {
          if (rests) forgetHeads(memory);
          const whole = latin1('z'.repeat(from) + text + rest);
          const bytes = cut % 3 === 0 ? whole.subarray(0, Math.max(from, cut % (whole.length + 1))) : whole;
          expect(readRequestHead(bytes, from, LIMITS, memory)).toEqual(readRequestHead(bytes, from, LIMITS));
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('of answers is what it would be without, also to HEAD', () => {
    const answers = [
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n',
      ...['4', '44', '0', '007', '3, 3', '+3', '9'.repeat(17), '3\r\nContent-Length: 3', ' 5 ', '', '3a'].map(
        (length) => `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`,
      ),
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 3\r\nX-B: content-length: 5\r\n\r\n',
      'HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\n',
      'HTTP/1.1 201 Created\r\nContent-Length: 44\r\nConnection: close\r\n\r\n',
      'HTTP/1.1 201 Created\r\nContent-Length: 44\r\n\r\n',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 12\r\nX-B: content-length: 5\r\n\r\n',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n',
      'HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n',
      'HTTP/1.1 100 Continue\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    ];
    const steps = fewOf(fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...answers) }, oddHeadText)).chain((text) => {
      const method = fc.constantFrom('GET', 'GET', 'HEAD', 'POST');
      return fc.array(fc.record({ text, method, body, cut: fc.nat({ max: 5000 }) }), { minLength: 1, maxLength: 16 });
    });
    fc.assert(
      fc.property(steps, (all) => {
        const memory = openResponseMemory();
        for (const { text, method, body: rest, cut } of all) {
          const whole = latin1(text + rest);
          const bytes = cut % 3 === 0 ? whole.subarray(0, cut % (whole.length + 1)) : whole;
          expect(readResponseHead(bytes, 0, method, LIMITS, memory)).toEqual(
            readResponseHead(bytes, 0, method, LIMITS),
          );
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('is as long as it may be with other digits, and no longer', () => {
    const request = (digits: string) =>
      latin1(`POST /${'a'.repeat(9)} HTTP/1.1\r\nHost: gate.test\r\nContent-Length: ${digits}\r\n\r\n`);
    const answer = (digits: string) => latin1(`HTTP/1.1 200 OK\r\nContent-Length: ${digits}\r\nX-A: 1\r\n\r\n`);
    const limits = (bytes: Buffer) => ({ ...LIMITS, headBytes: bytes.length });
    const asked = openRequestMemory();
    const answered = openResponseMemory();
    // Known, as long as it may be, one longer, and known again.
    for (const digits of ['1', '12', '12', '123', '12', '1', '007', '9'.repeat(17)]) {
      const [one, other] = [limits(request('12')), limits(answer('12'))];
      const [read, told] = [
        readRequestHead(request(digits), 0, one),
        readResponseHead(answer(digits), 0, 'GET', other),
      ];
      expect([read?.ok, told?.ok]).toEqual(digits.length > 2 ? [false, false] : [true, true]);
      expect(readRequestHead(request(digits), 0, one, asked)).toEqual(read);
      expect(readResponseHead(answer(digits), 0, 'GET', other, answered)).toEqual(told);
    }
    const line = (size: number) => latin1(`GET /${'a'.repeat(size)} HTTP/1.1\r\nHost: gate.test\r\n\r\n`);
    for (const size of [5, 9, 10, 9]) {
      expect(readRequestHead(line(size), 0, limits(line(9)), asked)).toEqual(
        readRequestHead(line(size), 0, limits(line(9))),
      );
    }
  });

  test('of an answer is never that of another answer with the same length', () => {
    const memory = openResponseMemory();
    const told = ['200 OK', '201 Created', '200 OK', '204 No Content', '200 OK'].flatMap((status) =>
      ['3', '44', '5', '44'].map((length) => latin1(`HTTP/1.1 ${status}\r\nContent-Length: ${length}\r\n\r\n`)),
    );
    for (const bytes of told) {
      const read = readResponseHead(bytes, 0, 'GET', LIMITS, memory);
      expect(read).toEqual(readResponseHead(bytes, 0, 'GET', LIMITS));
      expect(memory.head).toBe(read);
    }
  });

  test('shares its lines with an earlier one also where requests with and without a body take turns', () => {
    const memory = openRequestMemory();
    const read = (text: string) => {
      const head = readRequestHead(latin1(text), 0, LIMITS, memory);
      return head?.ok === true ? head.names : null;
    };
    const [without, withBody] = [requestWith('X-A: 1\r\n', 'GET'), requestWith('X-A: 1\r\nContent-Length: 3\r\n')];
    const names = [read(without), read(withBody), read(without), read(withBody.replace(': 3', ': 44'))];
    expect(names[0]).not.toBeNull();
    expect(names[2]).toBe(names[0]);
    expect(names[3]).toBe(names[1]);
  });

  test('is that very object when a request repeats, and holds no long heads', () => {
    const memory = openRequestMemory();
    const bytes = latin1(requestWith('X-A: 1\r\n'));
    const first = readRequestHead(bytes, 0, LIMITS, memory);
    expect(readRequestHead(latin1(requestWith('X-A: 1\r\n')), 0, LIMITS, memory)).toBe(first);
    const long = latin1(requestWith(`X-A: ${'1'.repeat(5000)}\r\n`));
    expect(readRequestHead(long, 0, LIMITS, memory)).toMatchObject({ ok: true });
    expect(memory.last?.head).toBe(first);
    // A long line too, and many: what is remembered is bounded.
    const lined = latin1(`GET /${'x'.repeat(600)} HTTP/1.1\r\nHost: gate.test\r\nX-A: 1\r\n\r\n`);
    expect(readRequestHead(lined, 0, LIMITS, memory)).toMatchObject({ ok: true });
    expect(memory.last?.head).toBe(first);
    for (let i = 0; i < 200; i++) readRequestHead(latin1(requestWith('X-A: 1\r\n', `GET /${i}`)), 0, LIMITS, memory);
    expect(memory.last?.heads.size).toBeLessThanOrEqual(16);
  });

  test('is that very object also where several requests take turns', () => {
    const memory = openRequestMemory();
    const read = (line: string, length: string) =>
      readRequestHead(
        latin1(`${line} HTTP/1.1\r\nHost: gate.test\r\nContent-Length: ${length}\r\n\r\n`),
        0,
        LIMITS,
        memory,
      );
    const [first, second] = [read('POST /a', '3'), read('POST /b', '44')];
    expect([read('POST /a', '3'), read('POST /b', '44'), read('POST /a', '3'), read('POST /a', '3')]).toEqual([
      first,
      second,
      first,
      first,
    ]);
    expect(read('POST /a', '3')).toBe(first);
    expect(read('POST /b', '44')).toBe(second);
    expect(read('POST /b', '5')).toMatchObject({ line: 'POST /b HTTP/1.1', bodyLength: 5, values: ['gate.test', '5'] });
  });
});
