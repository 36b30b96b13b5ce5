// Changes a raw message a little: bytes, and what the grammar of HTTP/1.1 is made of (lines, names, numbers, line ends,
// chunks). Text is latin1: one character for each byte.

import type { Random } from './random.ts';

const LONGEST = 4_096;

type Pieces = readonly [string, ...string[]];

const PIECES: Pieces = [
  ...([
    '\r\n',
    '\n',
    '\r',
    '\r\n\r\n',
    '\n\n',
    '\r\r\n',
    '\n\r',
    ' ',
    '\t',
    '\0',
    '\x0b',
    '\x0c',
    '\x7f',
    '\x85',
    '\xa0',
    '\xff',
  ] as const),
  ...[
    ':',
    ';',
    ',',
    '=',
    '"',
    '#',
    '?',
    '%',
    '%0d%0a',
    '/',
    '//',
    '/../',
    '\\',
    '@',
    '+',
    '-',
    '_',
    '0',
    '00',
    '0x',
    '1',
    '5',
    'a',
    'F',
  ],
  ...[
    'Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding: identity\r\n',
    'transfer_encoding: chunked\r\n',
    'chunked',
    'Chunked',
  ],
  ...[
    'Content-Length: 0\r\n',
    'Content-Length: 5\r\n',
    'Content-Length: 44\r\n',
    'content_length: 5\r\n',
    'Content-Length',
  ],
  ...[
    'Connection: close\r\n',
    'Connection: keep-alive\r\n',
    'Connection: Upgrade\r\n',
    'Upgrade: websocket\r\n',
    'Upgrade: h2c\r\n',
  ],
  ...[
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
    'Sec-WebSocket-Version: 13\r\n',
    'Expect: 100-continue\r\n',
    'Host: a\r\n',
  ],
  ...['0\r\n\r\n', '5\r\nhello\r\n', '5;a=b\r\nhello\r\n', '2c\r\n', 'ffffffffffff\r\n', '0\r\nX: y\r\n\r\n', 'hello'],
  ...[
    'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\n',
    'HEAD ',
    'OPTIONS ',
    'HTTP/1.1',
    'HTTP/1.0',
    'HTTP/2.0',
  ],
  ...[
    'HTTP/1.1 200 OK\r\n',
    'HTTP/1.1 204 No Content\r\n\r\n',
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 304 X\r\n',
    'HTTP/1.1 101 X\r\n\r\n',
  ],
];

const NUMBERS: Pieces = [
  '0',
  '1',
  '-1',
  '5',
  '16',
  '010',
  '0x10',
  '65535',
  '65536',
  '4294967296',
  '9007199254740991',
  '9007199254740992',
  '18446744073709551621',
];

/** `text` changed in one to four ways; `other` is another message to take parts from. */
export function mutate(text: string, other: string, random: Random): string {
  let changed = text;
  for (let i = random.below(4); i >= 0; i--) changed = random.pick(WAYS)(changed, other, random);
  return changed.slice(0, LONGEST);
}

type Way = (text: string, other: string, random: Random) => string;

const insert = (text: string, at: number, piece: string): string => text.slice(0, at) + piece + text.slice(at);

function span(text: string, random: Random): [number, number] {
  const from = random.below(text.length + 1);
  return [from, Math.min(text.length, from + 1 + random.below(random.oneIn(4) ? 64 : 8))];
}

/** Changes one line of the text, which is split at LF so that odd line ends stay with their lines. */
function onLines(change: (lines: string[], random: Random) => void): Way {
  return (text, _other, random) => {
    const lines = text.split('\n');
    change(lines, random);
    return lines.join('\n');
  };
}

const WAYS: readonly [Way, ...Way[]] = [
  (text, _other, random) => insert(text, random.below(text.length + 1), random.pick(PIECES)),
  (text, _other, random) => insert(text, random.below(text.length + 1), String.fromCharCode(random.below(256))),
  (text, _other, random) => {
    const at = random.below(text.length);
    return text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1);
  },
  (text, _other, random) => {
    const at = random.below(text.length);
    const flipped = (text.charCodeAt(at) || 0) ^ (1 << random.below(8));
    return text.slice(0, at) + String.fromCharCode(flipped) + text.slice(at + 1);
  },
  (text, _other, random) => {
    const [from, to] = span(text, random);
    return text.slice(0, from) + text.slice(to);
  },
  (text, _other, random) => {
    const [from, to] = span(text, random);
    return insert(text, random.below(text.length + 1), text.slice(from, to));
  },
  (text, other, random) => text.slice(0, random.below(text.length + 1)) + other.slice(random.below(other.length + 1)),
  (text, other, random) => text + (random.oneIn(2) ? other : text),
  onLines((lines, random) => void lines.splice(random.below(lines.length), 1)),
  onLines((lines, random) => {
    const line = lines[random.below(lines.length)] ?? '';
    lines.splice(random.below(lines.length), 0, line);
  }),
  (text, other, random) => {
    const lines = other.split('\n');
    const taken = `${lines[random.below(lines.length)] ?? ''}\n`;
    const end = text.indexOf('\n');
    return insert(text, end < 0 ? 0 : end + 1, taken);
  },
  onLines((lines, random) => {
    const at = random.below(lines.length);
    const line = lines[at] ?? '';
    lines[at] = random.oneIn(2) ? line.toUpperCase() : line.replace(/\r$/, random.pick(['', '\r\r', ' \r', '\t\r']));
  }),
  (text, _other, random) => {
    const numbers = [...text.matchAll(/[0-9A-Fa-f]+/g)];
    const match = numbers[random.below(numbers.length)];
    if (match === undefined) return text;
    const near = Number.parseInt(match[0], 16) + (random.oneIn(2) ? 1 : -1);
    const number = random.oneIn(2) ? random.pick(NUMBERS) : near.toString(16);
    return text.slice(0, match.index) + number + text.slice(match.index + match[0].length);
  },
];
