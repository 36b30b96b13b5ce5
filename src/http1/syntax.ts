// The grammar of HTTP/1.1 that both readers share (RFC 9110 §5.1, §5.5, §5.6.2; RFC 9112 §5). It is stricter than the
// RFC where the RFC leaves a choice: whatever one parser could read in two ways is refused, never repaired. Pure: bytes
// as text in, names and values out. It must never let a control character or a lone CR or LF through.

/** What is wrong with a message and the status that answers it; the connection is of no use afterwards. */
export interface Malformed {
  readonly ok: false;
  readonly status: 400 | 413 | 414 | 417 | 426 | 431 | 501 | 505;
  /** A short sentence for the log and the peer, without any of the peer's own bytes. */
  readonly reason: string;
}

export interface HeadLimits {
  /** The most bytes a head may have, its last empty line included. */
  readonly headBytes: number;
  /** The most header lines a head may have. */
  readonly headerLines: number;
}

/** Body length of a message that is framed by chunks (RFC 9112 §7.1). */
export const CHUNKED = -1;
/** Body length of an answer that ends with its connection (RFC 9112 §6.3 rule 8). */
export const UNTIL_CLOSE = -2;

const HEAD_END = Buffer.from('\r\n\r\n', 'latin1');
const CR = 0x0d;
const LF = 0x0a;

// RFC 9110 §5.5: field values are HTAB, SP, VCHAR and obs-text. CR and LF stand only together, as a line's end.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const FORBIDDEN = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n/;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const DIGITS = /^(?:0|[1-9][0-9]{0,15})$/;

export function malformed(status: Malformed['status'], reason: string): Malformed {
  return { ok: false, status, reason };
}

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** Whether a character is an ASCII digit, by its code. */
export function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/**
 * Where the head that starts at `from` ends: the index one past its empty line; 0 while it is incomplete; or what is
 * wrong with it, said as early as it can be known, so that a peer can't keep a connection waiting with bare line feeds.
 */
export function findHeadEnd(bytes: Buffer, from: number, limits: HeadLimits): number | Malformed {
  const at = bytes.indexOf(HEAD_END, from);
  if (at >= 0) {
    return at + 4 - from > limits.headBytes
      ? malformed(431, `the head has more than ${limits.headBytes} bytes`)
      : at + 4;
  }
  if (bytes.length - from >= limits.headBytes) {
    return malformed(431, `the head has more than ${limits.headBytes} bytes`);
  }
  let lines = 0;
  for (let i = bytes.indexOf(LF, from); i >= 0; i = bytes.indexOf(LF, i + 1)) {
    if (i === from || bytes[i - 1] !== CR) return malformed(400, 'a line ends with a bare line feed');
    // The first line is no header line. It is said now, because all of them are looked at again with every octet that comes.
    if (++lines > limits.headerLines + 1) {
      return malformed(431, `the head has more than ${limits.headerLines} header lines`);
    }
  }
  return 0;
}

/** The text of a head without its empty line, or why it can't be one. latin1: one character for each byte. */
export function headText(bytes: Buffer, from: number, end: number): string | Malformed {
  const text = bytes.toString('latin1', from, end - 4);
  return FORBIDDEN.test(text) ? malformed(400, 'the head has a control character or a bare CR or LF') : text;
}

/**
 * Reads the header lines of `text` from `position` on into `names` (lower case) and `values` (without outer blanks).
 * Refuses folded lines, blanks before the colon, empty or odd names and too many lines. Null when all is well.
 */
export function readFields(
  text: string,
  position: number,
  names: string[],
  values: string[],
  headerLines: number,
): Malformed | null {
  const end = text.length;
  let at = position;
  while (at < end) {
    let lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) lineEnd = end;
    const colon = text.indexOf(':', at);
    if (colon < 0 || colon >= lineEnd) return malformed(400, 'a header line has no colon');
    const name = text.slice(at, colon);
    // A name that is no token also covers a folded line (RFC 9112 §5.2) and a blank before the colon (§5.1).
    if (!TOKEN.test(name)) return malformed(400, 'a header name is not a token');
    if (names.length >= headerLines) return malformed(431, `the head has more than ${headerLines} header lines`);
    names.push(name.toLowerCase());
    values.push(withoutBlanks(text, colon + 1, lineEnd));
    at = lineEnd + 2;
  }
  return null;
}

/** The members of a comma-separated list without their blanks (RFC 9110 §5.6.1), lower case, empty ones left out. */
export function listMembers(value: string): string[] {
  const members: string[] = [];
  for (const part of value.split(',')) {
    // Not trim(): it also takes what only Unicode calls a blank.
    const member = withoutBlanks(part, 0, part.length).toLowerCase();
    if (member !== '') members.push(member);
  }
  return members;
}

/** `text[from…to]` without the blanks at its ends; in one pass, because a peer may send nothing but blanks. */
function withoutBlanks(text: string, from: number, to: number): string {
  let start = from;
  let stop = to;
  while (start < stop && isBlank(text.charCodeAt(start))) start++;
  while (stop > start && isBlank(text.charCodeAt(stop - 1))) stop--;
  return text.slice(start, stop);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** A Content-Length as RFC 9110 §8.6 writes it, without sign, blank, list or leading zero; -1 for anything else. */
export function readContentLength(value: string): number {
  if (!DIGITS.test(value)) return -1;
  const length = Number(value);
  return Number.isSafeInteger(length) ? length : -1;
}

/** The value of a header of `head` that stands there, the first where there are several; null for none. */
export function headerValue(
  { names, values }: { readonly names: readonly string[]; readonly values: readonly string[] },
  name: string,
): string | null {
  const at = names.indexOf(name);
  return at < 0 ? null : (values[at] ?? null);
}
