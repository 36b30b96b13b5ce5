// Writes certificate revocation lists (RFC 5280 §5): version 2, authority key identifier, CRL number, a reason for each
// entry that has one. Entries are encoded once, when they are added, and kept as octets, so that a list of 100,000 is
// written anew in milliseconds. An entry leaves only after a list that was issued past its certificate's notAfter has
// named it (§3.3). No clock, no file: dates and numbers are the caller's, who must never use a number twice.
//
// An issuing distribution point stands on a list only where leaves name that very URL: it is critical (§5.2.5), OpenSSL
// refuses a list whose point the certificate does not name ("Different CRL scope"), webpki (rustls) refuses a point
// without a URL, Mbed TLS refuses any. Without one a list is about all that its issuer issued, and nobody refuses it.
import type { Issuer } from './certificates.ts';
import { contextConstructed, encodeTime, encodeTlv, encodeUnsigned, encodingOf, TAG } from './der.ts';
import { authorityKeyIdentifier, crlNumber, issuingDistributionPoint, reasonCode } from './extensions.ts';
import { frameOf } from './facts.ts';
import { reasonNames } from './oids.ts';
import { signingAlgorithmOf, withSignature } from './signing.ts';

/** One revocation. Times are ms since the epoch, cut to seconds in the list. */
export interface RevokedCertificate {
  /** Lower-case hex of whole octets, at most 20 of them with the sign octet, as the store keeps it. */
  readonly serial: string;
  readonly revokedAt: number;
  /** As RFC 5280 §5.3.1 spells it; `unspecified` is left out, as it asks. */
  readonly reason: string;
  /** Of the certificate. */
  readonly notAfter: number;
}

/** The entries of an issuer's list, encoded. Made by `openCrlEntries`, changed by the functions of this file only. */
export interface CrlEntries {
  readonly count: number;
}

interface Entries extends CrlEntries {
  count: number;
  octets: Buffer;
  /** Where entry n ends in `octets`. */
  ends: number[];
  notAfters: number[];
  /** The second that was encoded last: many are revoked in one. */
  lastSecond: number;
  lastTime: Uint8Array;
}

export interface CrlRequest {
  readonly issuer: Issuer;
  readonly entries: CrlEntries;
  /** Larger than that of every list of this issuer before; a positive safe integer. */
  readonly number: number;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** The URL that the issuer's leaves name as their distribution point; null for a list about all of them. */
  readonly distributionPoint: string | null;
}

export interface Crl {
  readonly der: Uint8Array;
  /** How many of the entries it names: the first ones. */
  readonly listed: number;
}

/** Version 2. */
const VERSION = encodeUnsigned(Uint8Array.of(1));
/** The longest entry: 2 + serial 23 + GeneralizedTime 17 + reason 14. */
const LONGEST_ENTRY = 64;

const reasons: ReadonlyMap<string, Uint8Array> = new Map(
  [...reasonNames].map(([code, name]) => [
    name,
    code === 0 ? new Uint8Array() : encodeTlv(TAG.sequence, reasonCode(code)),
  ]),
);

export function openCrlEntries(): CrlEntries {
  const entries: Entries = {
    count: 0,
    octets: Buffer.alloc(4096),
    ends: [],
    notAfters: [],
    lastSecond: Number.NaN,
    lastTime: new Uint8Array(),
  };
  return entries;
}

/** Adds `revoked` at the end. Whoever calls sees to it that no serial comes twice. Some 0.5 µs. */
export function addRevoked(target: CrlEntries, revoked: RevokedCertificate): void {
  const entries = target as Entries;
  const from = entries.ends.at(-1) ?? 0;
  if (from + LONGEST_ENTRY > entries.octets.length) entries.octets = grown(entries.octets);
  const { octets } = entries;
  const second = Math.floor(revoked.revokedAt / 1000);
  if (second !== entries.lastSecond) {
    entries.lastTime = encodeTime(new Date(second * 1000));
    entries.lastSecond = second;
  }
  const serialOctets = revoked.serial.length / 2;
  const sign = Number.parseInt(revoked.serial.slice(0, 2), 16) >= 0x80 ? 1 : 0;
  const reason = reasons.get(revoked.reason) ?? new Uint8Array();
  let at = from;
  octets[at++] = TAG.sequence;
  octets[at++] = 2 + sign + serialOctets + entries.lastTime.length + reason.length;
  octets[at++] = TAG.integer;
  octets[at++] = sign + serialOctets;
  if (sign === 1) octets[at++] = 0;
  at += octets.write(revoked.serial, at, 'hex');
  octets.set(entries.lastTime, at);
  at += entries.lastTime.length;
  octets.set(reason, at);
  entries.ends.push(at + reason.length);
  entries.notAfters.push(revoked.notAfter);
  entries.count++;
}

/**
 * Drops what need not be named again: of the first `listed` entries, those whose certificate expired before `thisUpdate`,
 * ms since the epoch, of the list that named them. Answers how many went.
 */
export function dropExpired(target: CrlEntries, listed: number, thisUpdate: number): number {
  const entries = target as Entries;
  const { octets, ends, notAfters, count } = entries;
  let kept = 0;
  let to = 0;
  let from = 0;
  for (let i = 0; i < count; i++) {
    const end = ends[i] ?? 0;
    const notAfter = notAfters[i] ?? 0;
    if (i >= listed || notAfter >= thisUpdate) {
      if (to !== from) octets.copyWithin(to, from, end);
      to += end - from;
      ends[kept] = to;
      notAfters[kept] = notAfter;
      kept++;
    }
    from = end;
  }
  ends.length = kept;
  notAfters.length = kept;
  entries.count = kept;
  return count - kept;
}

/** The list of all `entries`, DER, signed by the issuer. What the signer throws. */
export async function createCrl(request: CrlRequest): Promise<Crl> {
  const { issuer, number, thisUpdate, nextUpdate, distributionPoint } = request;
  const { octets, ends, count } = request.entries as Entries;
  if (!Number.isSafeInteger(number) || number < 1) throw new RangeError(`${number} is no CRL number`);
  const frame = frameOf(issuer.certificate);
  // With nothing revoked the list must be absent, not empty (§5.1.2.6).
  const revoked = count === 0 ? [] : [encodeTlv(TAG.sequence, octets.subarray(0, ends[count - 1]))];
  const extensions = [
    authorityKeyIdentifier(issuer.keyId),
    crlNumber(number),
    ...(distributionPoint === null ? [] : [issuingDistributionPoint(distributionPoint)]),
  ];
  const tbs = encodeTlv(
    TAG.sequence,
    VERSION,
    signingAlgorithmOf(issuer.signer.publicKey).identifier,
    encodingOf(frame.der, frame.subject),
    encodeTime(thisUpdate),
    encodeTime(nextUpdate),
    ...revoked,
    encodeTlv(contextConstructed(0), encodeTlv(TAG.sequence, ...extensions)),
  );
  return { der: await withSignature(tbs, issuer.signer), listed: count };
}

function grown(octets: Buffer): Buffer {
  const larger = Buffer.alloc(octets.length * 2);
  octets.copy(larger);
  return larger;
}
