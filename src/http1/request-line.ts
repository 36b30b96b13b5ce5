// Reads the request line (RFC 9112 §3): a method that Prefect and its parsers know, a target in origin form, HTTP/1.1.

import { type Malformed, malformed } from './syntax.ts';

const METHOD = /^[A-Z][A-Z-]{0,31}$/;
// What Prefect and its parsers know. Any other has a meaning for somebody that was never decided on here.
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const TARGET = /^\/[\x21\x22\x24-\x7e]*$/;

export interface RequestLine {
  readonly ok: true;
  /** As it came. */
  readonly line: string;
  readonly method: string;
  readonly target: string;
}

/** Reads `line`, which has no CRLF. Every character of it is checked here, so that nothing else has to. */
export function readRequestLine(line: string): RequestLine | Malformed {
  const space = line.indexOf(' ');
  if (space < 0) return malformed(400, 'the request line is not "METHOD TARGET HTTP/1.1"');
  const method = line.slice(0, space);
  const second = line.indexOf(' ', space + 1);
  if (second < 0) return malformed(400, 'the request line is not "METHOD TARGET HTTP/1.1"');
  const target = line.slice(space + 1, second);
  const version = line.slice(second + 1);
  if (version !== 'HTTP/1.1') {
    return /^HTTP\/[0-9]\.[0-9]$/.test(version)
      ? malformed(505, 'only HTTP/1.1 is spoken here')
      : malformed(400, 'the request line is not "METHOD TARGET HTTP/1.1"');
  }
  if (!METHOD.test(method)) return malformed(400, 'the method is not an upper-case word');
  if (!METHODS.has(method)) return malformed(501, 'the method is not offered');
  if (!TARGET.test(target)) return malformed(400, 'the target is not a path in printable ASCII');
  return { ok: true, line, method, target };
}
