// Reads and writes DER (X.690 §10, §11), nothing looser: definite and shortest lengths, one-octet tags, nothing after the end.
// A certificate that two readers could take for two different things is refused here, before anybody asks who it is:
// that is why names are read by this file and not from Node's printed strings. It copies nothing, recurses nowhere and
// knows no X.509. What it refuses it throws as DerFault; the callers turn that into an error of the catalogue.

/** The bytes are not DER, or not of the shape asked for. Never leaves src/pki. */
export class DerFault extends Error {}

/** One value in its place: `at` its first octet, `start` to `end` its content, as offsets into the bytes read. */
export interface Tlv {
  readonly tag: number;
  readonly at: number;
  readonly start: number;
  readonly end: number;
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Context-specific tag [n]: primitive, or constructed (EXPLICIT, or an IMPLICIT SEQUENCE). */
export const context = (n: number): number => 0x80 | n;
export const contextConstructed = (n: number): number => 0xa0 | n;

function octet(bytes: Uint8Array, at: number, end: number): number {
  const value = at < end ? bytes[at] : undefined;
  if (value === undefined) throw new DerFault(`ends in the middle of a value at offset ${at}`);
  return value;
}

/** The value that begins at `at` and must end by `end`. */
export function readTlv(bytes: Uint8Array, at: number, end: number): Tlv {
  const tag = octet(bytes, at, end);
  if ((tag & 0x1f) === 0x1f) throw new DerFault(`tag of more than one octet at offset ${at}`);
  let length = octet(bytes, at + 1, end);
  let start = at + 2;
  if (length >= 0x80) {
    const octets = length & 0x7f;
    if (octets === 0) throw new DerFault(`indefinite length at offset ${at}`);
    // A list of half a million revocations takes four.
    if (octets > 4) throw new DerFault(`length of more than 4 octets at offset ${at}`);
    length = 0;
    for (let i = 0; i < octets; i++) length = length * 256 + octet(bytes, start + i, end);
    if (length < 0x80 || length < 2 ** (8 * (octets - 1)))
      throw new DerFault(`length not the shortest at offset ${at}`);
    start += octets;
  }
  if (start + length > end) throw new DerFault(`value at offset ${at} runs past its end`);
  return { tag, at, start, end: start + length };
}

/** The only value in `bytes`, of that tag. */
export function readOnly(bytes: Uint8Array, tag: number, what: string): Tlv {
  const tlv = readTlv(bytes, 0, bytes.length);
  if (tlv.end !== bytes.length) throw new DerFault(`${bytes.length - tlv.end} octets after the ${what}`);
  return ofTag(tlv, tag, what);
}

/** `tlv` itself when it is there and has that tag. */
export function ofTag(tlv: Tlv | undefined, tag: number, what: string): Tlv {
  if (tlv === undefined) throw new DerFault(`${what} is missing`);
  if (tlv.tag !== tag) throw new DerFault(`${what} has tag 0x${tlv.tag.toString(16)} at offset ${tlv.at}`);
  return tlv;
}

/** The values inside a constructed value, one level down, with nothing between or after them. */
export function childrenOf(bytes: Uint8Array, parent: Tlv): Tlv[] {
  const children: Tlv[] = [];
  for (let at = parent.start; at < parent.end; ) {
    const child = readTlv(bytes, at, parent.end);
    children.push(child);
    at = child.end;
  }
  return children;
}

/** The content octets; a view, not a copy. */
export function contentOf(bytes: Uint8Array, tlv: Tlv): Uint8Array {
  return bytes.subarray(tlv.start, tlv.end);
}

/** The whole value, tag and length included; a view, not a copy. */
export function encodingOf(bytes: Uint8Array, tlv: Tlv): Uint8Array {
  return bytes.subarray(tlv.at, tlv.end);
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

/** OBJECT IDENTIFIER in dotted form (X.690 §8.19); an arc past 2^53 or padded is refused. */
export function readOid(bytes: Uint8Array, tlv: Tlv | undefined, what: string): string {
  const { start, end } = ofTag(tlv, TAG.oid, what);
  let text = '';
  let arc = 0;
  let fresh = true;
  for (let at = start; at < end; at++) {
    const value = octet(bytes, at, end);
    if (fresh && value === 0x80) throw new DerFault(`padded arc in ${what}`);
    arc = arc * 128 + (value & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER) throw new DerFault(`arc too large in ${what}`);
    fresh = value < 0x80;
    if (!fresh) continue;
    const first = Math.min(Math.floor(arc / 40), 2);
    text += text === '' ? `${first}.${arc - 40 * first}` : `.${arc}`;
    arc = 0;
  }
  if (text === '' || !fresh) throw new DerFault(`${what} is cut short`);
  return text;
}

/**
 * A non-negative INTEGER of at most `maxOctets` as lower-case hex of whole octets, without the sign octet: 00ff… is
 * `ff…`. Negative ones are refused, since `ff` would then stand for two numbers.
 */
export function readUnsigned(bytes: Uint8Array, tlv: Tlv | undefined, maxOctets: number, what: string): string {
  const { start, end } = ofTag(tlv, TAG.integer, what);
  const first = octet(bytes, start, end);
  if (end - start > maxOctets) throw new DerFault(`${what} is longer than ${maxOctets} octets`);
  if (first >= 0x80) throw new DerFault(`${what} is negative`);
  if (first !== 0 || end - start === 1) return toHex(bytes.subarray(start, end));
  if (octet(bytes, start + 1, end) < 0x80) throw new DerFault(`${what} is padded`);
  return toHex(bytes.subarray(start + 1, end));
}

/** BOOLEAN. FALSE written out where it is the default is let pass: harmless, and common in the field. */
export function readBoolean(bytes: Uint8Array, tlv: Tlv, what: string): boolean {
  const { start, end } = ofTag(tlv, TAG.boolean, what);
  const value = octet(bytes, start, end);
  if (end - start !== 1 || (value !== 0 && value !== 0xff)) throw new DerFault(`${what} is neither true nor false`);
  return value === 0xff;
}

/** BIT STRING: its octets and how many bits of the last one do not count. */
export function readBits(bytes: Uint8Array, tlv: Tlv | undefined, what: string): { bits: Uint8Array; unused: number } {
  const { start, end } = ofTag(tlv, TAG.bitString, what);
  const unused = octet(bytes, start, end);
  const bits = bytes.subarray(start + 1, end);
  if (unused > 7 || (unused > 0 && bits.length === 0)) throw new DerFault(`${what} counts its bits wrongly`);
  return { bits, unused };
}

/** BIT STRING of whole octets, as signatures and keys are: with bits to ignore, one would have several spellings. */
export function readOctets(bytes: Uint8Array, tlv: Tlv | undefined, what: string): Uint8Array {
  const { bits, unused } = readBits(bytes, tlv, what);
  if (unused > 0) throw new DerFault(`${what} does not end with an octet`);
  return bits;
}

/** UTCTime or GeneralizedTime in the one form that RFC 5280 §4.1.2.5 allows: seconds, no fraction, Z. */
export function readTime(bytes: Uint8Array, tlv: Tlv | undefined, what: string): Date {
  if (tlv === undefined) throw new DerFault(`${what} is missing`);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + tlv.start, tlv.end - tlv.start).toString('latin1');
  const short = tlv.tag === TAG.utcTime;
  if (!short) ofTag(tlv, TAG.generalizedTime, what);
  if (!(short ? /^\d{12}Z$/ : /^\d{14}Z$/).test(text)) throw new DerFault(`${what} is not in the form of RFC 5280`);
  const digits = short ? `${Number(text.slice(0, 2)) >= 50 ? '19' : '20'}${text}` : text;
  const iso = digits.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6.000Z');
  const date = new Date(iso);
  // new Date() takes 2026-02-30 for 2 March: the way back shows it
  if (Number.isNaN(date.getTime()) || date.toISOString() !== iso) throw new DerFault(`${what} is no moment in time`);
  return date;
}

/** One DER value: tag, shortest length, the parts joined. */
export function encodeTlv(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const part of parts) size += part.length;
  let at = headerLength(size);
  const value = Buffer.allocUnsafe(at + size);
  putHeader(value, tag, size, at);
  for (const part of parts) {
    value.set(part, at);
    at += part.length;
  }
  return value;
}

/** What stands before a content of `size` octets: the tag and the length, in the shortest form. */
export function encodeHeader(tag: number, size: number): Uint8Array {
  const header = new Uint8Array(headerLength(size));
  putHeader(header, tag, size, header.length);
  return header;
}

function headerLength(size: number): number {
  let length = 2;
  if (size >= 0x80) for (let left = size; left > 0; left = Math.floor(left / 256)) length++;
  return length;
}

function putHeader(into: Uint8Array, tag: number, size: number, length: number): void {
  into[0] = tag;
  into[1] = length === 2 ? size : 0x80 | (length - 2);
  for (let at = length - 1, left = size; at > 1; at--, left = Math.floor(left / 256)) into[at] = left % 256;
}

/** OBJECT IDENTIFIER from its dotted form: two arcs or more, each below 2^53. */
export function encodeOid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const octets: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const groups = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) groups.unshift(0x80 | (left % 128));
    octets.push(...groups);
  }
  return encodeTlv(TAG.oid, Uint8Array.from(octets));
}

/** INTEGER of a non-negative number in whole octets, the first not 0 unless it is the only one. */
export function encodeUnsigned(octets: Uint8Array): Uint8Array {
  return encodeTlv(TAG.integer, ...((octets[0] ?? 0) >= 0x80 ? [Uint8Array.of(0)] : []), octets);
}

/** BIT STRING whose last octet has `unused` bits that do not count. */
export function encodeBits(octets: Uint8Array, unused = 0): Uint8Array {
  return encodeTlv(TAG.bitString, Uint8Array.of(unused), octets);
}

/** A moment, cut to seconds, as RFC 5280 §4.1.2.5 wants it: UTCTime to 2049, GeneralizedTime from 2050. */
export function encodeTime(moment: Date): Uint8Array {
  const digits = digitsOf(moment);
  const year = moment.getUTCFullYear();
  const isShort = year >= 1950 && year < 2050;
  return encodeTlv(isShort ? TAG.utcTime : TAG.generalizedTime, Buffer.from(isShort ? digits.slice(2) : digits));
}

/** A moment, cut to seconds, always as GeneralizedTime: as OCSP has it (RFC 6960 §4.2.2.1). */
export function encodeGeneralizedTime(moment: Date): Uint8Array {
  return encodeTlv(TAG.generalizedTime, Buffer.from(digitsOf(moment)));
}

function digitsOf(moment: Date): string {
  const iso = moment.toISOString(); // 2026-11-30T10:00:00.000Z; whoever calls has no other years
  const [date, time] = [iso.slice(0, 4) + iso.slice(5, 7) + iso.slice(8, 10), iso.slice(11, 13) + iso.slice(14, 16)];
  return `${date}${time}${iso.slice(17, 19)}Z`;
}
