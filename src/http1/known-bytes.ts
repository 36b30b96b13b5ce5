// Bytes of an accepted head, compared with what stands in a buffer: as they are, or but for the digits of a Content-Length.

/** A text around the digits of its Content-Length. */
export interface AroundLength {
  readonly before: Buffer;
  readonly after: Buffer;
  /** Where the Content-Length stands among the names; -1 when there is none, and `after` is empty. */
  readonly lengthAt: number;
}

const LENGTH_LINE = /\r\ncontent-length:[ \t]*/i;
/** So few bytes are compared sooner here than by Node. */
const FEW = 32;

/** `text` is latin1, and holds the header lines that were read as `names` and `values`, each after a CRLF. */
export function aroundLength(
  text: string,
  { names, values }: { readonly names: readonly string[]; readonly values: readonly string[] },
): AroundLength {
  const lengthAt = names.indexOf('content-length');
  const found = lengthAt < 0 ? null : LENGTH_LINE.exec(text);
  const digitsAt = found === null ? text.length : found[0].length + found.index;
  const digits = found === null ? '' : (values[lengthAt] ?? '');
  return {
    before: Buffer.from(text.slice(0, digitsAt), 'latin1'),
    after: Buffer.from(text.slice(digitsAt + digits.length), 'latin1'),
    lengthAt,
  };
}

/** Whether `known` stands at `bytes[at…]`. */
export function standsAt(known: Buffer, bytes: Buffer, at: number): boolean {
  const end = at + known.length;
  if (end > bytes.length) return false;
  if (known.length > FEW) return known.compare(bytes, at, end) === 0;
  for (let i = 0; i < known.length; i++) if (known[i] !== bytes[at + i]) return false;
  return true;
}

/** Whether `bytes[from…to]` is `text`, of ASCII. */
export function reads(text: string, bytes: Buffer, from: number, to: number): boolean {
  if (text.length !== to - from) return false;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[from + i]) return false;
  return true;
}
