// JSON in printable ASCII on one line: everything else is escaped, so that text from a peer can neither end a line nor
// colour, move or turn what a terminal shows. It reads back as exactly the same text.

/** Printable ASCII that stands for itself in JSON. */
const PLAIN = /^[ !#-[\]-~]*$/;
const NOT_PLAIN = /[^\x20-\x7e]/;
const NOT_PLAIN_EACH = /[^\x20-\x7e]/g;

/** `value` as JSON without any character outside U+0020…U+007E. */
export function asciiJson(value: unknown): string {
  return asciiOnly(JSON.stringify(value));
}

/** `asciiJson` of a text or null; most are plain and need no look at each character twice. */
export function asciiText(text: string | null): string {
  if (text === null) return 'null';
  return PLAIN.test(text) ? `"${text}"` : asciiJson(text);
}

/** The same text, of ASCII, in one piece: V8 keeps one that was put together as its parts, and goes through them each time. */
export function inOnePiece(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

/** Escapes what is outside U+0020…U+007E in a JSON text, where it can only stand inside of strings. */
export function asciiOnly(json: string): string {
  return NOT_PLAIN.test(json) ? json.replace(NOT_PLAIN_EACH, escaped) : json;
}

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
