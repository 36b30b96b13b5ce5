// Reads the names in a certificate: distinguished names (RFC 5280 §4.1.2.4, §4.1.2.6) and GeneralNames (§4.2.1.6).
// Every string comes out exactly as it was written, whatever is in it (NUL, newlines, commas, bidi characters are for
// the reader to judge), or not at all: octets that are no text of their declared type are refused, never replaced,
// because a replaced character could make one name look like another. Nothing here is printed or escaped.
import { shown } from '../errors.ts';
import {
  childrenOf,
  contentOf,
  context,
  contextConstructed,
  DerFault,
  encodeTlv,
  encodingOf,
  ofTag,
  readOid,
  TAG,
  type Tlv,
  toHex,
} from './der.ts';

/** `CN`, `OU`, … or the dotted OID of an attribute that has no short name here; its value as text. */
export type SubjectAttribute = readonly [attribute: string, value: string];

/** `other` is any GeneralName without a text form: its DER as hex. IPv6 addresses in the form of RFC 5952. */
export interface SubjectAltName {
  readonly type: 'URI' | 'DNS' | 'email' | 'IP' | 'other';
  readonly value: string;
}

const attributeNames = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.4', 'SN'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'street'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['2.5.4.12', 'title'],
  ['2.5.4.42', 'GN'],
  ['2.5.4.97', 'organizationIdentifier'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
]);

const COMMON_NAME = Uint8Array.of(0x55, 0x04, 0x03);
const ORGANIZATIONAL_UNIT = Uint8Array.of(0x55, 0x04, 0x0b);
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const latin1Of = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');

/** Octets that are no text, for a message: each one that is not ASCII escaped. */
const shownOctets = (bytes: Uint8Array): string => shown(latin1Of(bytes));

function asciiOf(bytes: Uint8Array, what: string): string {
  for (const octet of bytes) {
    if (octet > 0x7f) throw new DerFault(`${what} has an octet that is not ASCII: ${shownOctets(bytes)}`);
  }
  return latin1Of(bytes);
}

function codePointsOf(bytes: Uint8Array, width: 2 | 4, what: string): string {
  if (bytes.length % width !== 0)
    throw new DerFault(`${what} is cut in the middle of a character: ${shownOctets(bytes)}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let text = '';
  for (let at = 0; at < bytes.length; at += width) {
    const code = width === 2 ? view.getUint16(at) : view.getUint32(at);
    // BMPString is UCS-2: a surrogate is no character in it, even one of a pair
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
      throw new DerFault(`${what} has a value that is no character: ${shownOctets(bytes)}`);
    text += String.fromCodePoint(code);
  }
  return text;
}

function textOf(bytes: Uint8Array, tlv: Tlv, what: string): string {
  const content = contentOf(bytes, tlv);
  switch (tlv.tag) {
    case TAG.utf8String:
      try {
        return utf8.decode(content);
      } catch (cause) {
        throw new DerFault(`${what} is not UTF-8: ${shownOctets(content)}`, { cause });
      }
    case TAG.printableString:
    case TAG.ia5String:
    case TAG.numericString:
    case TAG.visibleString:
    // T.61 beyond ASCII has as many readings as readers
    case TAG.teletexString:
      return asciiOf(content, what);
    case TAG.bmpString:
      return codePointsOf(content, 2, what);
    case TAG.universalString:
      return codePointsOf(content, 4, what);
    default:
      throw new DerFault(`${what} is not a string (tag 0x${tlv.tag.toString(16)})`);
  }
}

/** The attributes of a Name in the certificate's order, those of a multi-valued RDN one after the other. DerFault. */
export function readName(bytes: Uint8Array, name: Tlv | undefined, what: string): SubjectAttribute[] {
  return readAttributes(bytes, name, what).map(([label, value]) => [label, textOf(bytes, value, `${what} ${label}`)]);
}

/** A Name for people, as `printName`; a value that is no text as `#` and its DER in hex (RFC 4514 §2.4). DerFault. */
export function showName(bytes: Uint8Array, name: Tlv, what: string): string {
  const shownValue = (value: Tlv): string => {
    try {
      return printValue(textOf(bytes, value, what));
    } catch (error) {
      if (error instanceof DerFault) return `#${toHex(encodingOf(bytes, value))}`;
      throw error;
    }
  };
  return readAttributes(bytes, name, what)
    .map(([label, value]) => `${label}=${shownValue(value)}`)
    .join(', ');
}

const textTypes = new Map<number, string>([
  [TAG.numericString, 'NumericString'],
  [TAG.teletexString, 'TeletexString'],
  [TAG.ia5String, 'IA5String'],
  [TAG.visibleString, 'VisibleString'],
  [TAG.universalString, 'UniversalString'],
  [TAG.bmpString, 'BMPString'],
]);
/** Attributes that are IA5String by their definition (RFC 4519 §2.4, RFC 2985 §5.2.1). */
const IA5_ATTRIBUTES = ['DC', 'emailAddress'];

/**
 * Returns when each value of a Name has a type that RFC 5280 §4.1.2.4 lets a CA write today, UTF8String or a true
 * PrintableString: for names that strangers ask for, where another type has only ever been a way to make one name out
 * of two. DerFault with the value.
 */
export function requireTextTypes(bytes: Uint8Array, name: Tlv | undefined, what: string): void {
  for (const [label, value] of readAttributes(bytes, name, what)) {
    const octets = contentOf(bytes, value);
    const type = textTypes.get(value.tag);
    if (type !== undefined && !(value.tag === TAG.ia5String && IA5_ATTRIBUTES.includes(label)))
      throw new DerFault(`${what} ${label} is of type ${type} and not UTF8String: ${shownOctets(octets)}`);
    if (value.tag === TAG.printableString && !/^[A-Za-z0-9 '()+,./:=?-]*$/.test(latin1Of(octets)))
      throw new DerFault(`${what} ${label} has what no PrintableString may have: ${shownOctets(octets)}`);
  }
}

function readAttributes(bytes: Uint8Array, name: Tlv | undefined, what: string): Array<readonly [string, Tlv]> {
  const attributes: Array<readonly [string, Tlv]> = [];
  for (const rdn of childrenOf(bytes, ofTag(name, TAG.sequence, what))) {
    const members = childrenOf(bytes, ofTag(rdn, TAG.set, `${what} RDN`));
    if (members.length === 0) throw new DerFault(`${what} has an empty RDN`);
    for (const member of members) {
      const [type, value, ...rest] = childrenOf(bytes, ofTag(member, TAG.sequence, `${what} attribute`));
      const oid = readOid(bytes, type, `${what} attribute type`);
      const label = attributeNames.get(oid) ?? oid;
      if (value === undefined || rest.length > 0) throw new DerFault(`${what} attribute ${label} is not one value`);
      attributes.push([label, value]);
    }
  }
  return attributes;
}

/** An address of 4 or 16 octets as text; IPv6 as RFC 5952 writes it (so does the URL standard), never dotted inside. */
function addressOf(octets: Uint8Array, what: string): string {
  if (octets.length === 4) return octets.join('.');
  if (octets.length !== 16) throw new DerFault(`${what} is an address of ${octets.length} octets`);
  const groups = toHex(octets).match(/.{4}/g) ?? [];
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

const generalNameTypes = new Map<number, SubjectAltName['type']>([
  [context(1), 'email'],
  [context(2), 'DNS'],
  [context(6), 'URI'],
  [context(7), 'IP'],
  [contextConstructed(0), 'other'],
  [contextConstructed(3), 'other'],
  [contextConstructed(4), 'other'],
  [contextConstructed(5), 'other'],
  [context(8), 'other'],
]);

/** One GeneralName. */
export function readGeneralName(bytes: Uint8Array, tlv: Tlv, what: string): SubjectAltName {
  const type = generalNameTypes.get(tlv.tag);
  if (type === undefined) throw new DerFault(`${what} has no name of tag 0x${tlv.tag.toString(16)}`);
  if (type === 'other') return { type, value: toHex(encodingOf(bytes, tlv)) };
  const content = contentOf(bytes, tlv);
  return { type, value: type === 'IP' ? addressOf(content, what) : asciiOf(content, what) };
}

/** GeneralNames: at least one. */
export function readGeneralNames(bytes: Uint8Array, names: Tlv, what: string): SubjectAltName[] {
  const members = childrenOf(bytes, ofTag(names, TAG.sequence, what));
  if (members.length === 0) throw new DerFault(`${what} is empty`);
  return members.map((member) => readGeneralName(bytes, member, what));
}

/** A name as node:crypto's X509Certificate has it, a line for each attribute (undefined when it has none), on one line. */
export function onOneLine(distinguishedName: string | undefined): string {
  const name = distinguishedName ?? '';
  return name === '' ? 'a certificate without a name' : name.replaceAll('\n', ', ');
}

/** A Name of one CN, or of none where that is empty, and one OU for each unit, in that order, DER. */
export function commonNameOf(commonName: string, units: readonly string[] = []): Uint8Array {
  const names = commonName === '' ? [] : [relativeName(COMMON_NAME, commonName)];
  return encodeTlv(TAG.sequence, ...names, ...units.map((unit) => relativeName(ORGANIZATIONAL_UNIT, unit)));
}

/** Of one attribute, always a UTF8String (RFC 5280 §4.1.2.4). */
function relativeName(type: Uint8Array, value: string): Uint8Array {
  const attribute = encodeTlv(TAG.sequence, encodeTlv(TAG.oid, type), encodeTlv(TAG.utf8String, Buffer.from(value)));
  return encodeTlv(TAG.set, attribute);
}

/**
 * A name on one line in the certificate's order: `O=Example, CN=worker/etl-1`. Escaped as RFC 4514 §2.4 does, and beyond
 * it every control, formatting and odd space character, so that no value can pass for two, or for another line.
 */
export function printName(attributes: readonly SubjectAttribute[]): string {
  return attributes.map(([attribute, value]) => `${attribute}=${printValue(value)}`).join(', ');
}

function printValue(value: string): string {
  return value
    .replace(/[,+"\\<>;=]|^[# ]| $/g, (character) => `\\${character}`)
    .replace(/(?! )[\p{C}\p{Z}]/gu, (character) =>
      Buffer.from(character).reduce((text, octet) => `${text}\\${octet.toString(16).padStart(2, '0')}`, ''),
    );
}
