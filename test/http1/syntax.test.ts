// The grammar that both readers share: limits, and that where the bytes are cut never changes what is read.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readRequestHead } from '../../src/http1/request.ts';
import { readResponseHead } from '../../src/http1/response.ts';
import { isToken, readContentLength } from '../../src/http1/syntax.ts';
import { oddHeadText, oddMessage } from './messages.ts';
import { LIMITS, latin1, outcomeOf, readRequest, requestWith } from './read.ts';

describe('limits', () => {
  const base = requestWith('', 'GET').length;
  const ofSize = (size: number): string => requestWith(`X: ${'a'.repeat(size - base - 5)}\r\n`, 'GET');

  test('a head of exactly the most bytes is accepted, one more is refused with 431', () => {
    expect(outcomeOf(readRequest(ofSize(LIMITS.headBytes)))).toBe('accepted');
    expect(outcomeOf(readRequest(ofSize(LIMITS.headBytes + 1)))).toBe(431);
  });

  test('a head that has reached the limit without an end is refused before it is whole', () => {
    const text = ofSize(LIMITS.headBytes + 100);
    expect(outcomeOf(readRequest(text.slice(0, LIMITS.headBytes - 1)))).toBe('incomplete');
    expect(outcomeOf(readRequest(text.slice(0, LIMITS.headBytes)))).toBe(431);
  });

  test('the limit counts from where the head begins and not what follows it', () => {
    const text = ofSize(LIMITS.headBytes);
    const bytes = latin1(`${'x'.repeat(50)}${text}${'y'.repeat(5_000)}`);
    expect(outcomeOf(readRequestHead(bytes, 50, LIMITS))).toBe('accepted');
  });

  test('as many header lines as allowed are accepted, one more is refused with 431', () => {
    const lines = (count: number): string => requestWith('X: a\r\n'.repeat(count - 1), 'GET');
    expect(outcomeOf(readRequest(lines(LIMITS.headerLines)))).toBe('accepted');
    expect(outcomeOf(readRequest(lines(LIMITS.headerLines + 1)))).toBe(431);
  });

  test('more header lines are refused before the head is whole: short ones would be looked at again with every octet', () => {
    const lines = (count: number): string => requestWith('X: a\r\n'.repeat(count - 1), 'GET').slice(0, -2);
    expect(outcomeOf(readRequest(lines(LIMITS.headerLines)))).toBe('incomplete');
    expect(outcomeOf(readRequest(`${lines(LIMITS.headerLines)}X: a\r`))).toBe('incomplete');
    expect(outcomeOf(readRequest(lines(LIMITS.headerLines + 1)))).toBe(431);
  });
});

describe('an incomplete head', () => {
  test('is waited for', () => {
    for (const text of ['', 'G', 'GET / HTTP/1.1', 'GET / HTTP/1.1\r', 'GET / HTTP/1.1\r\nHost: a\r\n\r']) {
      expect(readRequest(text)).toBe(null);
    }
  });

  test('is refused as soon as it has a bare line feed, so that nobody waits for what can never be', () => {
    for (const text of ['\n', 'GET / HTTP/1.1\n', 'GET / HTTP/1.1\r\nHost: a\n\n']) {
      expect(outcomeOf(readRequest(text))).toBe(400);
    }
  });

  test('is not refused for bytes before the place where it begins', () => {
    expect(readRequestHead(latin1('\nGET / HTTP/1.1\r\n'), 1, LIMITS)).toBe(null);
    // A carriage return of the message before does not make a line end of this one's first line feed.
    expect(outcomeOf(readRequestHead(latin1('\r\nGET / HTTP/1.1\r\n'), 1, LIMITS))).toBe(400);
  });
});

describe('wherever the bytes are cut', () => {
  const readers = {
    request: (bytes: Buffer, from: number) => readRequestHead(bytes, from, LIMITS),
    response: (bytes: Buffer, from: number) => readResponseHead(bytes, from, 'GET', LIMITS),
  };

  test.each(Object.entries(readers))(
    'a %s that is accepted is accepted at its last byte and not before',
    (_name, read) => {
      const property = fc.property(oddMessage, (text) => {
        const bytes = latin1(text);
        const whole = read(bytes, 0);
        if (whole === null || !whole.ok) return;
        for (let end = 0; end < whole.size; end++) expect(read(bytes.subarray(0, end), 0)).toBe(null);
        expect(read(bytes.subarray(0, whole.size), 0)).toEqual(whole);
      });
      fc.assert(property, { numRuns: 400 });
    },
  );

  test.each(Object.entries(readers))('a %s that is refused early is refused when whole', (_name, read) => {
    const property = fc.property(oddMessage, fc.nat(), (text, place) => {
      const bytes = latin1(text);
      const early = read(bytes.subarray(0, place % (bytes.length + 1)), 0);
      if (early === null) return;
      const whole = read(bytes, 0);
      if (early.ok) expect(whole).toEqual(early);
      else expect(whole?.ok).not.toBe(true);
    });
    fc.assert(property, { numRuns: 4_000 });
  });

  test.each(Object.entries(readers))('a %s is read the same from any place in a buffer', (_name, read) => {
    const property = fc.property(oddMessage, fc.string({ unit: 'binary-ascii', maxLength: 40 }), (text, before) => {
      expect(read(latin1(before + text), before.length)).toEqual(read(latin1(text), 0));
    });
    fc.assert(property, { numRuns: 2_000 });
  });
});

describe('whatever bytes come', () => {
  test('the readers answer and never throw, and no control character is in what they accept', () => {
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), oddHeadText.map(latin1));
    const property = fc.property(bytes, (some) => {
      for (const head of [
        readRequestHead(Buffer.from(some), 0, LIMITS),
        readResponseHead(Buffer.from(some), 0, 'GET', LIMITS),
      ]) {
        if (head === null || !head.ok) continue;
        for (const name of head.names) expect(isToken(name)).toBe(true);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
        for (const value of head.values) expect(value).not.toMatch(/[\x00-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$/);
      }
    });
    fc.assert(property, { numRuns: 5_000 });
  });

  test('a refusal never repeats what the peer sent', () => {
    const property = fc.property(fc.stringMatching(/^[a-z]{12}$/), fc.constantFrom(0, 1, 2, 3), (word, place) => {
      const text = [
        `${word} / HTTP/1.1\r\n\r\n`,
        `GET /#${word} HTTP/1.1\r\n\r\n`,
        requestWith(`${word} : x\r\n`),
        requestWith(`Content-Length: ${word}\r\n`),
      ][place];
      const head = readRequest(text ?? '');
      expect(head).toMatchObject({ ok: false });
      expect(JSON.stringify(head)).not.toContain(word);
    });
    fc.assert(property);
  });
});

describe('a Content-Length', () => {
  test('is a plain decimal number: any safe integer reads as itself', () => {
    const property = fc.property(fc.maxSafeNat(), (length) => {
      expect(readContentLength(String(length))).toBe(length);
    });
    fc.assert(property);
  });

  test('is nothing else: any other text reads as -1', () => {
    const texts = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'0123456789+-., _xe\t'.split('')) }));
    const property = fc.property(texts, (text) => {
      const length = readContentLength(text);
      if (length >= 0) expect(String(length)).toBe(text);
      else expect(/^(?:0|[1-9][0-9]*)$/.test(text) && Number.isSafeInteger(Number(text))).toBe(false);
    });
    fc.assert(property, { numRuns: 5_000 });
  });
});
