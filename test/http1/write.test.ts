// What is written anew: the head of an answer for the client, an answer of our own, the line that frames a body. The
// client reads back exactly what was meant (RFC 9110 §7.6.1, §8.6).

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readResponseHead } from '../../src/http1/response.ts';
import { CHUNKED, UNTIL_CLOSE } from '../../src/http1/syntax.ts';
import { framingLine, isHopByHop, writeAnswer, writeResponseHead } from '../../src/http1/write.ts';
import { oddHeadText } from './messages.ts';
import { answered, LIMITS, latin1 } from './read.ts';

function rewritten(text: string, method = 'GET', close = false, extra = ''): string {
  return writeResponseHead(answered(text, method), method, close, extra);
}

describe("upstream's answer, written anew", () => {
  test('keeps status, phrase and headers, in order', () => {
    expect(
      rewritten('HTTP/1.1 201 Made  It\r\nSet-Cookie: a\r\nX-B: \xe9\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\n'),
    ).toBe('HTTP/1.1 201 Made  It\r\nset-cookie: a\r\nx-b: \xe9\r\nset-cookie: b\r\ncontent-length: 2\r\n\r\n');
  });

  test('is always of HTTP/1.1', () => {
    expect(rewritten('HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  test('has lost what is of one hop alone, and what Connection names', () => {
    const lines =
      'Connection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nTE: trailers\r\n' +
      'Trailer: X\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\n';
    expect(rewritten(`HTTP/1.1 200 OK\r\n${lines}X-Kept: 1\r\nContent-Length: 0\r\n\r\n`)).toBe(
      'HTTP/1.1 200 OK\r\nx-kept: 1\r\ncontent-length: 0\r\n\r\n',
    );
  });

  test('frames by chunks a body that upstream ends by closing, so that a broken one shows', () => {
    expect(rewritten('HTTP/1.1 200 OK\r\n\r\n')).toBe('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
  });

  test('says the length of 0 that an empty body has', () => {
    expect(rewritten('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')).toContain('content-length: 0\r\n');
  });

  test('announces to HEAD and for 304 the length that upstream announced, and none where it did not', () => {
    expect(rewritten('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', 'HEAD')).toContain('content-length: 9\r\n');
    expect(rewritten('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'HEAD')).toContain('content-length: 0\r\n');
    expect(rewritten('HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n')).toContain('content-length: 9\r\n');
    expect(rewritten('HTTP/1.1 200 OK\r\n\r\n', 'HEAD')).not.toMatch(/content-length|transfer-encoding/);
    expect(rewritten('HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n')).not.toMatch(
      /content-length|transfer-encoding/,
    );
  });

  test.each([100, 103, 204])('of status %i has no framing at all', (status) => {
    for (const lines of ['', 'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n']) {
      expect(rewritten(`HTTP/1.1 ${status} X\r\n${lines}\r\n`)).toBe(`HTTP/1.1 ${status} X\r\n\r\n`);
    }
  });

  test('says that the connection closes, and what is added', () => {
    expect(rewritten('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n', 'GET', true, 'x-request-id: r\r\n')).toBe(
      'HTTP/1.1 200 OK\r\ncontent-length: 1\r\nx-request-id: r\r\nconnection: close\r\n\r\n',
    );
  });

  test('is, whatever upstream sent, exactly one head that reads as the same status, framing and headers', () => {
    const method = fc.constantFrom('GET', 'HEAD', 'POST');
    let seen = 0;
    const property = fc.property(oddHeadText, method, fc.boolean(), (text, asked, close) => {
      const head = readResponseHead(latin1(text), 0, asked, LIMITS);
      if (head === null || !head.ok) return;
      seen++;
      const again = writeResponseHead(head, asked, close, '');
      const kept = head.names.filter((name) => !isHopByHop(name) && !head.connectionNames?.includes(name));
      const back = answered(again, asked);
      expect(back).toMatchObject({
        status: head.status,
        phrase: head.phrase,
        bodyLength: head.bodyLength === UNTIL_CLOSE ? CHUNKED : head.bodyLength,
        close,
        size: again.length,
      });
      expect(back.names.filter((name) => !isHopByHop(name))).toEqual(kept);
    });
    fc.assert(property, { numRuns: 8_000 });
    expect(seen).toBeGreaterThan(200);
  });
});

describe('an answer of our own', () => {
  test('is one answer with a JSON body of exactly its length, whatever the detail', () => {
    const details = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom('\r', '\n', '"', '\\', '\ud800', '\u2028', '\0', 'é') }),
    );
    const property = fc.property(details, fc.boolean(), (detail, close) => {
      const text = writeAnswer(403, detail, close, true, 'x-request-id: r\r\n');
      const head = answered(text);
      expect(head).toMatchObject({ status: 403, phrase: 'Forbidden', close, bodyLength: text.length - head.size });
      expect(JSON.parse(text.slice(head.size))).toEqual({ detail });
      expect(text).toMatch(/^[\t\r\n\x20-\x7e]*$/);
    });
    fc.assert(property, { numRuns: 2_000 });
  });

  test('writes DEL and everything above it as an escape', () => {
    expect(writeAnswer(403, '\u007f\u0080\uffff', true, true, '')).toContain('"\\u007f\\u0080\\uffff"');
  });

  test('to HEAD is the same head without the body', () => {
    const whole = writeAnswer(403, 'no', true, true, '');
    const head = answered(whole);
    expect(writeAnswer(403, 'no', true, false, '')).toBe(whole.slice(0, head.size));
  });

  test('has a phrase for every status that a refusal can have', () => {
    for (const status of [400, 413, 414, 417, 431, 501, 505, 403, 408, 429, 503]) {
      expect(writeAnswer(status, '', true, true, '')).not.toContain('Unknown');
    }
  });
});

describe('a body is framed', () => {
  test('by chunks, by its length, or by nothing where there is none', () => {
    expect(framingLine(CHUNKED)).toBe('transfer-encoding: chunked\r\n');
    expect(framingLine(UNTIL_CLOSE)).toBe('transfer-encoding: chunked\r\n');
    expect(framingLine(7)).toBe('content-length: 7\r\n');
    expect(framingLine(0)).toBe('');
  });

  test('by us: the headers that frame are never passed on', () => {
    const framing = ['content-length', 'transfer-encoding', 'connection', 'te', 'trailer', 'upgrade', 'http2-settings'];
    const others = ['keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization'];
    for (const name of [...framing, ...others]) {
      expect(isHopByHop(name)).toBe(true);
    }
  });
});
