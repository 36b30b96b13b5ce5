// What policy sees is what Prefect routes. Uvicorn cuts the target at the first `?`, percent-decodes the path once, as
// UTF-8 with replacement characters, and Starlette matches that text: it folds no `//`, no `..`, and its `$` matches
// before a final newline. So a target is accepted only when one decoding is the only reading it can have (RFC 3986),
// and what is sent on is that reading, encoded anew. test/policy/paths-uvicorn.test.ts proves it against uvicorn.
// It must never repair a path: what is not plain is refused.

export type CanonicalPath =
  | {
      readonly ok: true;
      /** Decoded once, without the query: exactly the `scope["path"]` that Prefect's router sees. */
      readonly path: string;
      /** What to send upstream: the path in its one canonical encoding, and the query as it came. */
      readonly target: string;
    }
  | {
      readonly ok: false;
      /** Ends the sentence "the request target …"; printable ASCII, quotes nothing of the target. */
      readonly reason: string;
    };

const REFUSED = 0;
/** RFC 3986 §3.3 pchar without the percent sign: stands for itself in a path. */
const PLAIN = 1;
/** Visible, but no pchar: browsers and httpx send some of these raw; they go on encoded. */
const UNUSUAL = 2;
const PERCENT = 3;
const SLASH = 4;
const QUESTION = 5;

const SLASH_CODE = 0x2f;
const DOT_CODE = 0x2e;

const KIND = new Uint8Array(256);
for (let code = 0x21; code < 0x7f; code++) KIND[code] = PLAIN;
for (const character of '"<>[]^`{|}') KIND[character.charCodeAt(0)] = UNUSUAL;
for (const character of '#\\') KIND[character.charCodeAt(0)] = REFUSED;
KIND['%'.charCodeAt(0)] = PERCENT;
KIND['/'.charCodeAt(0)] = SLASH;
KIND['?'.charCodeAt(0)] = QUESTION;

const HEX = /^[0-9A-Fa-f]{2}$/;
// C1 controls: one character each after decoding, and some terminals obey them.
const C1_CONTROL = /[\u0080-\u009f]/;
const TRIPLET = /%[0-9A-Fa-f]{2}/;

/**
 * Reads a request target in origin-form (RFC 9112 §3.2.1). `rawTarget` is as it stood in the request line, one character
 * per byte (latin1). Refuses: what does not start with `/`, any byte outside visible ASCII, `#`, `\`, empty and dot
 * segments, a percent sign without two hex digits, encoded slashes, backslashes and controls, what is not UTF-8 once
 * decoded (overlong forms and surrogates included), and what would decode a second time. Never throws.
 */
export function canonicalPath(rawTarget: string): CanonicalPath {
  const length = rawTarget.length;
  if (length === 0 || rawTarget.charCodeAt(0) !== SLASH_CODE) return refuse('does not start with "/"');
  let plain = true;
  let segment = 1;
  let end = 1;
  for (; end < length; end++) {
    const kind = KIND[rawTarget.charCodeAt(end)] ?? REFUSED;
    if (kind === PLAIN) continue;
    if (kind === SLASH) {
      if (end === segment) return refuse(`has an empty segment ("//") at byte ${end - 1}`);
      if (isDots(rawTarget, segment, end)) return refuse(dotSegment(segment));
      segment = end + 1;
    } else if (kind === QUESTION) {
      break;
    } else if (kind === REFUSED) {
      return refuse(oddByte(rawTarget, end));
    } else {
      plain = false;
    }
  }
  if (isDots(rawTarget, segment, end)) return refuse(dotSegment(segment));
  for (let i = end + 1; i < length; i++) {
    const code = rawTarget.charCodeAt(i);
    if (code <= 0x20 || code >= 0x7f || code === 0x23) return refuse(oddByte(rawTarget, i));
  }
  if (!plain) return decoded(rawTarget, end);
  return { ok: true, path: end === length ? rawTarget : rawTarget.slice(0, end), target: rawTarget };
}

/** The way of a path with percent signs or unusual characters; `end` is where the query or the target's end begins. */
function decoded(rawTarget: string, end: number): CanonicalPath {
  const raw = rawTarget.slice(0, end);
  for (let at = raw.indexOf('%'); at !== -1; at = raw.indexOf('%', at + 3)) {
    const digits = raw.slice(at + 1, at + 3);
    if (!HEX.test(digits)) return refuse(`has a "%" without two hex digits at byte ${at}`);
    const byte = Number.parseInt(digits, 16);
    if (byte === SLASH_CODE) return refuse(`has an encoded slash at byte ${at}`);
    if (byte === 0x5c) return refuse(`has an encoded backslash at byte ${at}`);
    if (byte < 0x20 || byte === 0x7f) return refuse(`has an encoded control character at byte ${at}`);
  }
  const path = decodeUtf8(raw);
  if (path === null) return refuse('does not decode to UTF-8');
  if (C1_CONTROL.test(path)) return refuse('has an encoded control character');
  if (TRIPLET.test(path)) return refuse('is percent-encoded twice');
  for (let start = 1; start <= path.length; ) {
    const slash = path.indexOf('/', start);
    const stop = slash === -1 ? path.length : slash;
    if (isDots(path, start, stop)) return refuse('has an encoded dot segment');
    start = stop + 1;
  }
  return { ok: true, path, target: encodePath(path) + rawTarget.slice(end) };
}

/**
 * The one canonical encoding of a decoded path: pchar and `/` stand for themselves, everything else as UTF-8 in
 * upper-case percent triplets (RFC 3986 §2.1, §6.2.2). `path` must be well-formed Unicode, else URIError.
 */
export function encodePath(path: string): string {
  return encodeURI(path).replaceAll('?', '%3F').replaceAll('#', '%23');
}

function decodeUtf8(raw: string): string | null {
  try {
    return decodeURIComponent(raw);
  } catch {
    return null;
  }
}

/** Whether text[start, end) is `.` or `..`. */
function isDots(text: string, start: number, end: number): boolean {
  const length = end - start;
  if (length !== 1 && length !== 2) return false;
  return text.charCodeAt(start) === DOT_CODE && text.charCodeAt(end - 1) === DOT_CODE;
}

function dotSegment(at: number): string {
  return `has a dot segment at byte ${at}`;
}

function oddByte(target: string, at: number): string {
  const hex = target.charCodeAt(at).toString(16).padStart(2, '0');
  return `has the byte 0x${hex} at byte ${at}, which a target may not hold`;
}

function refuse(reason: string): CanonicalPath {
  return { ok: false, reason };
}
