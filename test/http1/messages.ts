// Messages for the property tests: heads put together from pieces of which some are odd, so that the accepted and the
// refused lie close to each other, and bodies with their framing. Text is latin1: one character for each byte.

import fc from 'fast-check';
import { latin1 } from './read.ts';

/** Methods that each of llhttp, httptools and h11 knows. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

const TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".split('');
const VALUE_CHARACTERS = [
  ...Array.from({ length: 0x5f }, (_, i) => String.fromCharCode(0x20 + i)),
  ...Array.from({ length: 0x80 }, (_, i) => String.fromCharCode(0x80 + i)),
  '\t',
];
const TARGET_CHARACTERS = Array.from({ length: 0x5e }, (_, i) => String.fromCharCode(0x21 + i)).filter(
  (c) => c !== '#',
);

const name = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .string({ unit: fc.constantFrom(...TOKEN_CHARACTERS), minLength: 1, maxLength: 14 })
      .map((n) => `x${n}`),
  },
  fc.constantFrom(
    'Accept',
    'ACCEPT',
    'Cookie',
    'Authorization',
    'User-Agent',
    'X_Under',
    'Te',
    'Trailer',
    'Content-Type',
    'Keep-Alive',
    'Priority',
    'Via',
    'Date',
  ),
);
const value = fc.string({ unit: fc.constantFrom(...VALUE_CHARACTERS), maxLength: 24 });
const plainLine = fc.tuple(name, fc.constantFrom(': ', ':', ':\t ', ':  '), value).map((parts) => parts.join(''));
const meaningLine = fc.constantFrom(
  'Connection: close',
  'Connection: keep-alive, x-hop',
  'X-Hop: 1',
  'Expect: 100-continue',
  'Connection: Upgrade',
  'Upgrade: h2c',
  'HTTP2-Settings: AAMAAABkAAQAAP__',
);

const target = fc.string({ unit: fc.constantFrom(...TARGET_CHARACTERS), maxLength: 30 }).map((text) => `/${text}`);

export interface Sized {
  /** The header line that frames it, with its CRLF. */
  readonly framing: string;
  /** As it travels. */
  readonly wire: string;
  /** What it says. */
  readonly content: string;
}

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 60 }).map((some) => Buffer.from(some).toString('latin1')),
  fc.constantFrom(
    '0\r\n\r\n',
    'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n',
    '\r\n\r\n',
    '\n',
    '{"a":1}',
    '5\r\nhello\r\n0\r\n\r\n',
  ),
);

/** A chunked body within what the gate lets through: sizes in either case, some leading zeros, no extension, no trailer. */
export const chunkedBody: fc.Arbitrary<Sized> = fc
  .tuple(
    fc.array(
      fc.tuple(
        bytes.filter((b) => b !== ''),
        fc.boolean(),
        fc.nat({ max: 3 }),
      ),
      { maxLength: 5 },
    ),
    fc.nat({ max: 3 }),
  )
  .map(([chunks, zeros]) => {
    const wire = chunks.map(([data, upper, leading]) => {
      const size = data.length.toString(16);
      return `${'0'.repeat(leading)}${upper ? size.toUpperCase() : size}\r\n${data}\r\n`;
    });
    return {
      framing: 'Transfer-Encoding: chunked\r\n',
      wire: `${wire.join('')}${'0'.repeat(zeros + 1)}\r\n\r\n`,
      content: chunks.map(([data]) => data).join(''),
    };
  });

const lengthBody: fc.Arbitrary<Sized> = bytes.map((content) => ({
  framing: `Content-Length: ${latin1(content).length}\r\n`,
  wire: content,
  content,
}));

export interface Message {
  /** The head as a client sends it. */
  readonly head: string;
  readonly body: Sized;
}

/** A request that should be accepted, however odd it looks. */
export const request: fc.Arbitrary<Message> = fc
  .record({
    method: fc.constantFrom(...METHODS),
    target,
    before: fc.array(plainLine, { maxLength: 5 }),
    meaning: fc.option(meaningLine, { nil: null, freq: 3 }),
    after: fc.array(plainLine, { maxLength: 3 }),
    hostLine: fc.constantFrom('Host: gate.test', 'HOST:gate.test:8443', 'host: [::1]:1'),
    body: fc.oneof(fc.constant({ framing: '', wire: '', content: '' }), lengthBody, chunkedBody),
    framingFirst: fc.boolean(),
  })
  .map((r) => {
    const lines = [...r.before, r.hostLine, ...(r.meaning === null ? [] : [r.meaning]), ...r.after];
    const text = lines.map((line) => `${line}\r\n`).join('');
    const fields = r.framingFirst ? r.body.framing + text : text + r.body.framing;
    return { head: `${r.method} ${r.target} HTTP/1.1\r\n${fields}\r\n`, body: r.body };
  });

const ODD_LINES = [
  'Content-Length: 5',
  'Content-Length: 5, 5',
  'Content-Length: +5',
  'Content-Length:5 ',
  'Content_Length: 5',
  'Content-Length : 5',
  'Content-Length: 0x5',
  'Content-Length: 05',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: Chunked',
  'Transfer-Encoding:\tchunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding:\x0bchunked',
  'Transfer_Encoding: chunked',
  'Transfer-Encoding: identity',
  'Host: other.test',
  'Connection: close, host',
  'Connection: content-length',
  'Connection: x-hop,close',
  'Upgrade: websocket',
  'Connection: upgrade',
  'Expect: x',
  ' folded',
  '\tfolded',
  'X-One',
  ': x',
  'X: a\rb',
  'X: a\nb',
  'X: a\0b',
  'X: \xff',
  'X:',
  '',
];
const FIRST_LINES = [
  ...['GET / HTTP/1.1', 'POST /api/flows/ HTTP/1.1', 'OPTIONS /a?b=c HTTP/1.1', 'GET  / HTTP/1.1', 'GET / HTTP/1.0'],
  ...['GET http://a/ HTTP/1.1', 'OPTIONS * HTTP/1.1', 'get / HTTP/1.1', 'GET /#a HTTP/1.1', 'GET /', ''],
  ...['HTTP/1.1 200 OK', 'HTTP/1.0 200 OK', 'HTTP/1.1 204', 'HTTP/1.1 304 Not Modified', 'HTTP/1.1 100 Continue'],
  ...['HTTP/2 200 OK', 'HTTP/1.1 20 OK', 'HTTP/1.1  200 OK'],
];
const TAILS = [
  '',
  'hello',
  '0\r\n\r\n',
  '5\r\nhello\r\n0\r\n\r\n',
  'GET /next HTTP/1.1\r\nHost: a\r\n\r\n',
  '5;x\r\nhello\r\n0\r\n\r\n',
];
const end = fc.oneof({ weight: 12, arbitrary: fc.constant('\r\n') }, fc.constantFrom('\n', '\r', '\r\r\n', '\n\r', ''));

/** A head of mixed good and odd lines and line ends. */
export const oddHeadText: fc.Arbitrary<string> = fc
  .tuple(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...FIRST_LINES.slice(0, 3), 'HTTP/1.1 200 OK') },
      fc.constantFrom(...FIRST_LINES),
    ),
    fc.array(fc.oneof({ weight: 2, arbitrary: plainLine }, fc.constantFrom(...ODD_LINES)), { maxLength: 4 }),
    fc.boolean(),
    fc.array(end, { minLength: 7, maxLength: 7 }),
  )
  .map(([first, lines, withHost, ends]) =>
    [first, ...(withHost ? ['Host: a'] : []), ...lines, ''].map((line, i) => line + (ends[i] ?? '\r\n')).join(''),
  );

/** Such a head with something behind it. */
export const oddMessage: fc.Arbitrary<string> = fc
  .tuple(oddHeadText, fc.constantFrom(...TAILS))
  .map(([head, tail]) => head + tail);

/** An answer that should be passed on, however odd it looks, and perhaps something behind it. */
export const answer: fc.Arbitrary<string> = fc
  .record({
    line: fc.constantFrom(
      ...['HTTP/1.1 200 OK', 'HTTP/1.1 201', 'HTTP/1.1 404 Not \xe9', 'HTTP/1.1 503 Not  Now', 'HTTP/1.0 200 OK'],
      ...['HTTP/1.1 204 No Content', 'HTTP/1.1 304 Not Modified', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK'],
    ),
    before: fc.array(plainLine, { maxLength: 4 }),
    meaning: fc.option(fc.constantFrom('Connection: close', 'Connection: keep-alive, x-hop', 'X-Hop: 1'), {
      nil: null,
    }),
    body: fc.oneof(fc.constant({ framing: '', wire: 'until the end' }), lengthBody, chunkedBody),
    behind: fc.constantFrom('', '', '', 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil'),
  })
  .map(({ line, before, meaning, body, behind }) => {
    const lines = [...before, ...(meaning === null ? [] : [meaning])].map((one) => `${one}\r\n`).join('');
    return `${line}\r\n${lines}${body.framing}\r\n${body.wire}${behind}`;
  });
