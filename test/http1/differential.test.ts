// What the gate forwards, every parser behind it reads as exactly one request, with the method, target, headers and body
// that were decided on: llhttp (node:http) always, h11 and httptools (uvicorn's) where there is a Python with Prefect, Go's
// net/http where there is Go.
// A second request is sent behind each, so that a body that ends elsewhere than we think shows.

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { followBody, openBody } from '../../src/http1/body.ts';
import { readRequestHead } from '../../src/http1/request.ts';
import type { RequestHead } from '../../src/http1/request-head.ts';
import { framingLine, isHopByHop } from '../../src/http1/write.ts';
import { canonicalPath } from '../../src/policy/paths.ts';
import { websocketProblem } from '../../src/proxy/websocket.ts';
import { writeRequestHead } from '../inbound/heads.ts';
import { answerProblem, type Exchanges, openExchanges } from './answer-oracle.ts';
import { answer, type Message, oddHeadText, oddMessage, request } from './messages.ts';
import { type AllParsers, seenByEach, startAllParsers } from './parsers/all.ts';
import { goProgram } from './parsers/go.ts';
import type { Parser, SeenRequest } from './parsers/seen.ts';
import { uvicornPython } from './parsers/uvicorn.ts';
import { accepted, cutAt, LIMITS, latin1, requestWith } from './read.ts';
import { contentOf, linesOf } from './request-oracle.ts';

const NEXT = 'GET /next HTTP/1.1\r\nhost: next.test\r\n\r\n';
const NEXT_SEEN: SeenRequest = { method: 'GET', target: '/next', headers: [['host', 'next.test']], body: '' };
const places = fc.array(fc.nat({ max: 2_000 }), { maxLength: 6 });

let all: AllParsers;
let exchanges: Exchanges;
let parsers: ReadonlyMap<string, Parser>;
beforeAll(async () => {
  all = await startAllParsers();
  exchanges = await openExchanges();
  parsers = all.requests;
});
afterAll(async () => {
  await exchanges.close();
  await all.stop();
});

/** The head written anew with nothing added and nothing dropped but what is of this hop. */
function written(head: RequestHead): string {
  const fields = kept(head).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${head.method} ${head.target} HTTP/1.1\r\n${fields.join('')}${framingLine(head.bodyLength)}\r\n`;
}

function kept(head: RequestHead): Array<readonly [string, string]> {
  return head.names
    .map((name, i) => [name, head.values[i] ?? ''] as const)
    .filter(([name]) => !isHopByHop(name) && !head.connectionNames?.includes(name));
}

function framing(head: RequestHead): Array<readonly [string, string]> {
  if (head.bodyLength < 0) return [['transfer-encoding', 'chunked']];
  return head.bodyLength > 0 ? [['content-length', String(head.bodyLength)]] : [];
}

/** To llhttp an upgrade that names a body has none. */
const UPGRADE_WITH_BODY =
  'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 5\r\n\r\nhello';
const CLIENT = 'x-certgate-identity: worker/etl-1\r\n';

/** The head as the gate itself writes it for Prefect. */
function writtenByGate(head: RequestHead): string {
  return writeRequestHead(head, {
    client: CLIENT,
    address: '127.0.0.1',
    requestId: 'r',
    target: head.target,
    proto: 'https',
    plainAnswer: false,
    authorization: null,
  });
}

describe('what is forwarded is one request to every parser behind the gate', () => {
  test('the parsers asked are llhttp, h11 where there is a Python with Prefect, and net/http where there is Go', () => {
    expect([...parsers.keys()]).toContain('llhttp');
    if (uvicornPython !== null) expect([...parsers.keys()]).toContain('h11');
    if (goProgram() !== undefined) expect([...parsers.keys()]).toContain('net/http');
  });

  test('and each of them would tell: two requests are seen as two, a malformed one as none', async () => {
    for (const [parser, seen] of await seenByEach(parsers, [latin1(NEXT + NEXT)])) {
      expect({ parser, ...seen }).toEqual({ parser, requests: [NEXT_SEEN, NEXT_SEEN], refused: null, rest: null });
    }
    for (const [parser, seen] of await seenByEach(parsers, [latin1(`G{T${NEXT}`)])) {
      expect({ parser, requests: seen.requests, refused: seen.refused !== null }).toEqual({
        parser,
        requests: [],
        refused: true,
      });
    }
  });

  async function agree(message: Message, cuts: readonly number[]): Promise<void> {
    const head = accepted(message.head);
    // Policy refuses the others, and net/http some of them.
    fc.pre(canonicalPath(head.target).ok);
    const expected: SeenRequest = {
      method: head.method,
      target: head.target,
      headers: [...kept(head), ...framing(head)],
      body: message.body.content,
    };
    const bytes = latin1(written(head) + message.body.wire + NEXT);
    for (const [parser, seen] of await seenByEach(parsers, cutAt(bytes, cuts))) {
      expect({ parser, ...seen }).toEqual({ parser, requests: [expected, NEXT_SEEN], refused: null, rest: null });
    }
  }

  test('with the method, target, headers and body decided on, wherever the bytes are cut', async () => {
    await fc.assert(fc.asyncProperty(request, places, agree), { numRuns: 1_500 });
  });

  test('one byte at a time too', async () => {
    const everywhere = Array.from({ length: 2_000 }, (_, i) => i);
    await fc.assert(
      fc.asyncProperty(request, (message) => agree(message, everywhere)),
      { numRuns: 60 },
    );
  });

  test('as the gate itself writes it, with its own headers added', async () => {
    const property = fc.asyncProperty(request, places, async (message, cuts) => {
      const head = accepted(message.head);
      fc.pre(canonicalPath(head.target).ok);
      const text = writtenByGate(head);
      const bytes = latin1(text + message.body.wire + NEXT);
      const first = { method: head.method, target: head.target, headers: linesOf(text), body: message.body.content };
      for (const [parser, seen] of await seenByEach(parsers, cutAt(bytes, cuts))) {
        expect({ parser, ...seen }).toEqual({ parser, requests: [first, NEXT_SEEN], refused: null, rest: null });
      }
    });
    await fc.assert(property, { numRuns: 800 });
  });

  test('a WebSocket ends at its head: what follows is the tunnel to all of them', async () => {
    const lines =
      'Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: prefect\r\n';
    const text = writtenByGate(accepted(requestWith(lines, 'GET')));
    const first = { method: 'GET', target: '/api/flows/', headers: linesOf(text), body: '' };
    for (const [parser, seen] of await seenByEach(parsers, [latin1(text + NEXT)])) {
      expect({ parser, ...seen }).toEqual({ parser, requests: [first], refused: null, rest: NEXT });
    }
  });

  test('an upgrade to anything else is not forwarded as one, so that what follows is still a request (h2c)', async () => {
    const lines = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
    const text = writtenByGate(accepted(requestWith(lines, 'GET')));
    for (const [parser, seen] of await seenByEach(parsers, [latin1(text + NEXT)])) {
      expect({ parser, count: seen.requests.length, rest: seen.rest }).toEqual({ parser, count: 2, rest: null });
    }
  });

  test('a method that some parser does not know is never accepted', () => {
    const known = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
    const method = fc.oneof(
      fc.stringMatching(/^[A-Z][A-Z-]{0,31}$/),
      fc.constantFrom('PRI', 'GETX', 'HTTP', 'SOURCE', 'QUERY', 'PLAY', 'PROPFIND', 'M-SEARCH'),
    );
    const property = fc.property(method, (word) => {
      fc.pre(!known.includes(word));
      const head = readRequestHead(latin1(requestWith('', word)), 0, LIMITS);
      expect(head).toMatchObject({ ok: false, status: 501 });
    });
    fc.assert(property, { numRuns: 300 });
  });
});

describe('what the gate accepts means the same, or nothing, to a parser that gets it as the client sent it', () => {
  test('for mixtures of good and odd lines, line ends and framings', async () => {
    let compared = 0;
    const property = fc.asyncProperty(oddMessage, places, async (text, cuts) => {
      const bytes = latin1(text);
      const head = readRequestHead(bytes, 0, LIMITS);
      if (head === null || !head.ok) return;
      // Refused where the gate decides, before anything of it goes on.
      if (head.upgrade === 'websocket' && websocketProblem(head) !== null) return;
      const body = openBody(head.bodyLength);
      const end = followBody(body, bytes, head.size);
      if (!body.done) return;
      for (const [parser, seen] of await seenByEach(parsers, cutAt(bytes.subarray(0, end), cuts))) {
        if (seen.refused !== null) continue;
        compared++;
        const headers = head.names.map((name, i) => [name, head.values[i] ?? '']);
        const content = contentOf(head.bodyLength, text.slice(head.size, end));
        // httptools keeps the blanks behind a value that RFC 9112 §5 says to drop; what we forward has none.
        const requests = seen.requests.map((one) => ({
          ...one,
          headers: one.headers.map(([name, value]) => [name, value.replace(/[ \t]+$/, '')]),
        }));
        expect({ parser, requests }).toEqual({
          parser,
          requests: [{ method: head.method, target: head.target, headers, body: content }],
        });
      }
    });
    await fc.assert(property, { numRuns: 6_000, examples: [[UPGRADE_WITH_BODY, []]] });
    expect(compared).toBeGreaterThan(500);
  });
});

describe('what the client gets is one answer to every parser, or no whole one', () => {
  const method = fc.constantFrom('GET', 'GET', 'GET', 'HEAD');

  test('for answers that are passed on, wherever upstream cuts them', async () => {
    const property = fc.asyncProperty(answer, method, places, async (text, asked, cuts) => {
      expect(await answerProblem(all, exchanges, asked, cutAt(latin1(text), cuts))).toBeNull();
    });
    await fc.assert(property, { numRuns: 400 });
  });

  test('for mixtures of good and odd lines and line ends', async () => {
    const property = fc.asyncProperty(oddHeadText, answer, method, async (text, behind, asked) => {
      expect(await answerProblem(all, exchanges, asked, [latin1(text + behind)])).toBeNull();
    });
    await fc.assert(property, { numRuns: 200 });
  });
});
