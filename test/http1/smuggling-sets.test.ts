// The sets of spellings by which others look for smuggling, whole: defparam/smuggler's mutations of a framing header with
// every octet in every place, narfindustries/http-garden's odd chunks, and each of them cut in two at every octet;
// PortSwigger/http-request-smuggler's headers that one reader sees and another does not, and its ends of a head that come early;
// an odd octet at each place of a message, as Envoy's tests have it. Whatever of them is accepted is one request to every
// parser, as it is sent on and as it came. And the answers by which web-platform-tests tell browsers apart: one answer or none.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { answerProblem, type Exchanges, openExchanges } from './answer-oracle.ts';
import { readCorpus } from './corpus.ts';
import { type AllParsers, startAllParsers } from './parsers/all.ts';
import { latin1 } from './read.ts';
import { requestProblem, verdictOf } from './request-oracle.ts';

let parsers: AllParsers;
let exchanges: Exchanges;
beforeAll(async () => {
  parsers = await startAllParsers();
  exchanges = await openExchanges();
});
afterAll(async () => {
  await exchanges.close();
  await parsers.stop();
});

const NOBODY: AllParsers = { requests: new Map(), answers: new Map(), stop: async () => {} };
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
/** All of ASCII, and of the rest those that somebody takes for a blank, and some. */
const OCTETS = Array.from({ length: 256 }, (_, code) => code)
  .filter((code) => code < 0x80 || [0x85, 0xa0, 0xad, 0xff].includes(code) || code % 16 === 0)
  .map((code) => String.fromCharCode(code));

/** Where smuggler puts an octet: around the name, the colon and the value, and into lines beside it. */
const PLACES: Readonly<Record<string, (name: string, value: string, octet: string) => string>> = {
  midspace: (name, value, octet) => `${name}:${octet}${value}\r\n`,
  postspace: (name, value, octet) => `${name}${octet}: ${value}\r\n`,
  prespace: (name, value, octet) => `${octet}${name}: ${value}\r\n`,
  endspace: (name, value, octet) => `${name}: ${value}${octet}\r\n`,
  xprespace: (name, value, octet) => `X: X${octet}${name}: ${value}\r\n`,
  endspacex: (name, value, octet) => `${name}: ${value}${octet}X: X\r\n`,
  rxprespace: (name, value, octet) => `X: X\r${octet}${name}: ${value}\r\n`,
  xnprespace: (name, value, octet) => `X: X${octet}\n${name}: ${value}\r\n`,
  endspacerx: (name, value, octet) => `${name}: ${value}\r${octet}X: X\r\n`,
  endspacexn: (name, value, octet) => `${name}: ${value}${octet}\nX: X\r\n`,
  inname: (name, value, octet) => `${name.slice(0, 8)}${octet}${name.slice(8)}: ${value}\r\n`,
  invalue: (name, value, octet) => `${name}: ${value.slice(0, 1)}${octet}${value.slice(1)}\r\n`,
};
const BODY = `5\r\nhello\r\n0\r\n\r\n`;
const FRAMED: ReadonlyArray<readonly [beside: string, name: string, value: string, body: string]> = [
  ['Content-Length: 5\r\n', 'Transfer-Encoding', 'chunked', BODY],
  ['', 'Transfer-Encoding', 'chunked', BODY],
  ['Transfer-Encoding: chunked\r\n', 'Content-Length', '15', BODY],
  ['', 'Content-Length', '15', BODY],
];

describe.each(Object.entries(PLACES))('an octet at %s of a framing header', (_place, spell) => {
  test.each(FRAMED)('beside %j: %s', async (beside, name, value, body) => {
    let accepted = 0;
    for (const octet of OCTETS) {
      for (const lines of new Set([beside + spell(name, value, octet), spell(name, value, octet) + beside])) {
        const bytes = latin1(`POST /a HTTP/1.1\r\nHost: a\r\n${lines}\r\n${body}${SMUGGLED}`);
        // Two framings, of which one is spelled as nobody means it.
        if (verdictOf(bytes) === 'accepted') accepted++;
        expect(await requestProblem(parsers, [bytes])).toBeNull();
      }
    }
    expect(accepted).toBeLessThan(2 * OCTETS.length);
  });
});

test('odd chunks are refused, or are one body', async () => {
  const ends = ['\r\n', '\n', '\r', '\r\r\n', '\n\r', '\r\n\r\n', '', 'XX', '\rX', 'X\n', '\0\n', ' \r\n', '\t\r\n'];
  const extensions = [
    '',
    ';',
    ';a',
    ';a=b',
    ';a="b"',
    ';a="\r\n"',
    ';a=\n',
    ';\r',
    ' ;a',
    '\t',
    ' ',
    ',',
    '=',
    ';a="\\',
  ];
  const sizes = [
    '5',
    '05',
    '5',
    '0x5',
    '+5',
    '-5',
    '5.',
    '5e',
    '5_',
    ' 5',
    'V',
    '٥',
    '00000000000005',
    '100000005',
    '',
  ];
  const lasts = [
    '0\r\n\r\n',
    '0\n\n',
    '00\r\n\r\n',
    '0\r\n',
    '0;a\r\n\r\n',
    '0\r\nX: y\r\n\r\n',
    '0\r\nContent-Length: 3\r\n\r\n',
    '-0\r\n\r\n',
    '\r\n',
    '',
  ];
  const bodies = [
    ...sizes.flatMap((size) => extensions.map((extension) => `${size}${extension}\r\nhello\r\n0\r\n\r\n`)),
    ...ends.flatMap((one) => ends.map((other) => `5${one}hello${other}0\r\n\r\n`)),
    ...ends.flatMap((end) => extensions.map((extension) => `5${extension}${end}hello\r\n0\r\n\r\n`)),
    ...lasts.flatMap((last) => ends.map((end) => `5\r\nhello${end}${last}`)),
  ];
  for (const body of bodies) {
    const bytes = latin1(`POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}${SMUGGLED}`);
    expect(await requestProblem(parsers, [bytes])).toBeNull();
  }
});

test('every message of the corpus, cut in two at every octet, is read as it is whole', async () => {
  for (const { kind, bytes } of readCorpus()) {
    if (kind !== 'request') continue;
    const step = Math.ceil(bytes.length / 2_000);
    for (let at = 1; at < bytes.length; at += step) {
      expect(await requestProblem(NOBODY, [bytes.subarray(0, at), bytes.subarray(at)])).toBeNull();
    }
  }
});

/** How a header is hidden from one of two readers; `Expect` and `Connection` can do it too. */
const HIDDEN: Readonly<Record<string, (name: string, value: string) => string>> = {
  'a blank before the colon': (name, value) => `${name} : ${value}`,
  'a tab before the colon': (name, value) => `${name}\t: ${value}`,
  'a word before the colon': (name, value) => `${name} x: ${value}`,
  'a blank for the hyphen': (name, value) => `${name.replace('-', ' ')}: ${value}`,
  'a backslash for the hyphen': (name, value) => `${name.replace('-', '\\')}: ${value}`,
  'an underscore for the hyphen': (name, value) => `${name.replace('-', '_')}: ${value}`,
  'a soft hyphen': (name, value) => `${name.replace('-', '\xad')}: ${value}`,
  'a percent sign': (name, value) => `${name.replace('-', '%2d')}: ${value}`,
  'no blank': (name, value) => `${name}:${value}`,
  'its value folded': (name, value) => `${name}:\r\n ${value}`,
  'its value folded with a tab': (name, value) => `${name}: \r\n\t${value}`,
  'its value folded by a bare line feed': (name, value) => `${name}:\n ${value}`,
  'its value folded twice': (name, value) => `${name}:\r\n \r\n ${value}`,
  'its colon folded': (name, value) => `${name}\n : ${value}`,
  'itself folded': (name, value) => `X-Junk: x\r\n ${name}: ${value}`,
  'behind a bare line feed': (name, value) => `X-Junk: x\n${name}: ${value}`,
  'behind a bare carriage return': (name, value) => `X-Junk: x\r${name}: ${value}`,
  'behind a carriage return that begins the line': (name, value) => `X-Junk: x\r\n\r${name}: ${value}`,
  'behind a line without a colon': (name, value) => `X-Junk\r\n${name}: ${value}`,
  'behind a name with a blank': (name, value) => `X-Invalid Y: \r\n${name}: ${value}`,
  'behind a line without a name': (name, value) => `: x\r\n${name}: ${value}`,
  'named by Connection': (name, value) => `${name}: ${value}\r\nConnection: ${name}`,
  'named by Connection among others': (name, value) => `Connection: keep-alive, ${name}\r\n${name}: ${value}`,
  'named by a Connection that is hidden': (name, value) => `${name}: ${value}\r\nConnection : ${name}`,
  'named by Trailer': (name, value) => `Trailer: ${name}\r\nTE: trailers\r\n${name}: ${value}`,
  'in capitals': (name, value) => `${name.toUpperCase()}: ${value}`,
  twice: (name, value) => `${name}: ${value}\r\n${name}: ${value}`,
  'twice, and first in other words': (name, value) => `${name}: x\r\n${name}: ${value}`,
  'in quotation marks': (name, value) => `${name}: "${value}"`,
  'with a parameter': (name, value) => `${name}: ${value};x=y`,
  'in a list': (name, value) => `${name}: ${value}, x`,
  'last in a list': (name, value) => `${name}: ,${value}`,
  'beside Expect': (name, value) => `Expect: 100-continue\r\n${name}: ${value}`,
  'beside an Expect that is hidden': (name, value) => `Expect: y 100-continue\r\n${name}: ${value}`,
  'beside an Expect that is folded': (name, value) => `Expect:\r\n 100-continue\r\n${name}: ${value}`,
  'beside an Expect that Connection names': (name, value) =>
    `Expect: 100-continue\r\nConnection: expect\r\n${name}: ${value}`,
  'beside an upgrade': (name, value) => `Connection: Upgrade\r\nUpgrade: h2c\r\n${name}: ${value}`,
};
const KEPT = ['Transfer-Encoding', 'Content-Length', 'Host', 'Expect'] as const;
const VALUES = { 'Transfer-Encoding': 'chunked', 'Content-Length': '5', Host: 'a', Expect: '100-continue' } as const;

describe.each(Object.entries(HIDDEN))('a header with %s', (_how, hide) => {
  test.each(KEPT)('%s', async (name) => {
    const host = name === 'Host' ? '' : 'Host: a\r\n';
    const line = `${hide(name, VALUES[name])}\r\n`;
    for (const lines of [line, `Content-Length: 15\r\n${line}`, `${line}Content-Length: 5\r\n`, `${line}${host}`]) {
      for (const method of ['POST', 'GET']) {
        for (const body of [BODY, 'hello']) {
          const bytes = latin1(`${method} /a HTTP/1.1\r\n${host}${lines}\r\n${body}${SMUGGLED}`);
          expect(await requestProblem(parsers, [bytes])).toBeNull();
        }
      }
    }
  });
});

test('what a reader may take for the end of a head is refused, or is none to any', async () => {
  const ends = [
    ...[
      'X: a\n\n',
      'X: a\r\n\n',
      'X: a\n \n',
      'X: a\n\r\n',
      'X: a\r\n \r\n',
      'X: a\r\n\t\r\n',
      'X: a\r\r',
      'X: a\r\r\n',
    ],
    ...[
      'X: "\r\n\r\n"\r\n',
      'X\r\n\r\n',
      'X\r\n',
      'X: a\0\r\n',
      'X: a\r\0\n\r\n',
      'X Y:\r\n\r\n',
      ':\r\n',
      ':\r\n\r\n',
    ],
    ...[
      'X: a\r\n\x0b\r\n',
      'X: a\r\n\0\r\n',
      'X: a\r\n\r',
      'X:\r\n',
      '=\r\n',
      ' \r\n',
      '\r\n',
      '\n',
      '\r',
      '\0\r\n\r\n',
    ],
  ];
  for (const end of ends) {
    for (const line of ['Content-Length: 5', 'Content-Length: Z', 'Transfer-Encoding: chunked', 'Host: b']) {
      for (const lines of [`${end}${line}\r\n`, `${line}\r\n${end}`]) {
        const bytes = latin1(`POST /a HTTP/1.1\r\nHost: a\r\n${lines}\r\n${BODY}${SMUGGLED}`);
        expect(await requestProblem(parsers, [bytes])).toBeNull();
      }
    }
  }
});

test.each([
  'GET /a HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n',
  `POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${BODY}`,
  'POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
])('an odd octet more, or one less, at each place of %j', async (text) => {
  for (let at = 0; at < text.length; at++) {
    for (const octet of ['', '\0', '\r', '\n', ' ', '\t', ';', '0']) {
      const bytes = latin1(`${text.slice(0, at)}${octet}${text.slice(octet === '' ? at + 1 : at)}${SMUGGLED}`);
      expect(await requestProblem(parsers, [bytes])).toBeNull();
    }
  }
});

describe('an answer is one answer, or none', () => {
  /** What web-platform-tests/fetch/h1-parsing puts an octet into. */
  const PARTS = [
    ...['', 'HT', 'TP', '/', '1', '.', '1', ' ', '200', ' ', 'OK', '\r\n'],
    ...['X-Frame', '-Options', ':', 'DE', 'NY', '\r\nContent-Length: 5\r\n\r\nTest.'],
  ];
  const agree = async (text: string): Promise<void> => {
    expect(await answerProblem(parsers, exchanges, 'GET', [latin1(text)])).toBeNull();
  };

  test.each(['\n', '\r', '\t', ' ', '\0', ':', '\x7f', '\xa0', '\r\n', '\r\n '])(
    'with %j between any two parts',
    async (octet) => {
      for (let at = 1; at < PARTS.length; at++) {
        await agree([...PARTS.slice(0, at), octet, ...PARTS.slice(at)].join(''));
      }
    },
  );

  test('with an odd status', async () => {
    const lines = [
      '',
      'BLAH',
      '0 OK',
      '99 NO',
      '099 NO',
      '999 YES',
      '1000 NO',
      '131072 NO',
      '600 x',
      '205 x',
      '304 x',
      '204 x',
    ];
    const more = [
      '199 x',
      '103 x',
      '2 0 0',
      '200',
      '200 ',
      '200\tOK',
      '+200 OK',
      '0200 OK',
      '2e2 OK',
      '200OK',
      '-200',
      '20x',
    ];
    for (const line of [...lines, ...more]) {
      for (const framed of [
        'Content-Length: 5\r\n\r\nhello',
        '\r\nhello',
        `Transfer-Encoding: chunked\r\n\r\n${BODY}`,
      ]) {
        await agree(`HTTP/1.1 ${line}\r\n${framed}`);
      }
    }
  });

  test('with an odd length', async () => {
    const odd = [
      '5,5',
      '5, 5',
      '5,4',
      '5,',
      ',5',
      '',
      '\t',
      'aaaah',
      '5s',
      '-1',
      '0x5',
      '05',
      '5\r\nContent-Length: 5',
    ];
    for (const value of [...odd, '5\r\nContent-Length: 4', '5\r\nContent-Length:', '5\r\nContent-Length: 5,5']) {
      await agree(`HTTP/1.1 200 OK\r\nContent-Length: ${value}\r\n\r\nhello`);
      await agree(`HTTP/1.1 200 OK\r\nContent-Length: ${value}\r\nTransfer-Encoding: chunked\r\n\r\n${BODY}`);
    }
  });

  test('that breaks off anywhere', async () => {
    const chunks = '05\r\nhello\r\n00a\r\n0123456789\r\n00\r\n\r\n';
    for (let at = 0; at <= chunks.length; at++) {
      await agree(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.slice(0, at)}`);
    }
  });
});
