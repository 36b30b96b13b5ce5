// The sets of spellings by which others look for smuggling, whole: defparam/smuggler's mutations of a framing header with
// every octet in every place, narfindustries/http-garden's odd chunks, and each of them cut in two at every octet. Whatever
// of them is accepted is one request to every parser, as it is sent on and as it came.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCorpus } from './corpus.ts';
import { type AllParsers, startAllParsers } from './parsers/all.ts';
import { latin1 } from './read.ts';
import { requestProblem, verdictOf } from './request-oracle.ts';

let parsers: AllParsers;
beforeAll(async () => {
  parsers = await startAllParsers();
});
afterAll(async () => await parsers.stop());

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
      for (const lines of [beside + spell(name, value, octet), spell(name, value, octet) + beside]) {
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
