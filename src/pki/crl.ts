// Writes certificate revocation lists (RFC 5280 §5): version 2, authority key identifier, CRL number, a reason for each
// entry that has one. Entries are encoded once, when they are added, and kept as octets in blocks that are never written to
// again once a list names them: a list is those very blocks between a head and a foot, so that one of a million is written
// anew without a copy, and its hash is taken slice by slice. An entry leaves only after a list that was issued past its
// certificate's notAfter has named it (§3.3). No clock, no file: dates and numbers are the caller's, who must never use a
// number twice, and who says how the event loop gets its turn between two slices.
//
// An issuing distribution point stands on a list only where leaves name that very URL: it is critical (§5.2.5), OpenSSL
// refuses a list whose point the certificate does not name ("Different CRL scope"), webpki (rustls) refuses a point
// without a URL, Mbed TLS refuses any. Without one a list is about all that its issuer issued, and nobody refuses it.
import type { Issuer } from './certificates.ts';
import {
  contextConstructed,
  encodeBits,
  encodeHeader,
  encodeTime,
  encodeTlv,
  encodeUnsigned,
  encodingOf,
  TAG,
} from './der.ts';
import { authorityKeyIdentifier, crlNumber, issuingDistributionPoint, reasonCode } from './extensions.ts';
import { frameOf } from './facts.ts';
import { reasonNames } from './oids.ts';
import { type Content, signatureOver, signingAlgorithmOf } from './signing.ts';

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

/** Entries in a row. What stands in `octets` before `used` never changes: lists hold it. */
interface Block {
  octets: Buffer;
  used: number;
  count: number;
  /** Of entry n, its octets. */
  readonly sizes: Uint8Array;
  /** Of the certificate of entry n, ms since the epoch. */
  readonly notAfters: Float64Array;
  /** Of all of them, the smallest: a block where nothing has expired is passed by. */
  earliest: number;
}

interface Entries extends CrlEntries {
  count: number;
  blocks: Block[];
  /** The second that was encoded last: many are revoked in one. */
  lastSecond: number;
  lastTime: Uint8Array;
}

/** Lets the event loop go round once. */
export type Turn = () => Promise<unknown>;

export interface CrlRequest {
  readonly issuer: Issuer;
  readonly entries: CrlEntries;
  /** Larger than that of every list of this issuer before; a positive safe integer. */
  readonly number: number;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** The URL that the issuer's leaves name as their distribution point; null for a list about all of them. */
  readonly distributionPoint: string | null;
  /** Between two slices of a long list. */
  readonly turn: Turn;
}

export interface Crl {
  /** Its DER, in parts that follow one another. They are not the caller's to change. */
  readonly parts: readonly Uint8Array[];
  /** How many of the entries it names: the first ones. */
  readonly listed: number;
}

/** Version 2. */
const VERSION = encodeUnsigned(Uint8Array.of(1));
/** The longest entry: 2 + serial 23 + GeneralizedTime 17 + reason 14. */
const LONGEST_ENTRY = 64;
/** Entries of a block: some 150 KiB, hashed in a fraction of a millisecond. */
const BLOCK_ENTRIES = 4096;
const FIRST_OCTETS = 4096;

const reasons: ReadonlyMap<string, Uint8Array> = new Map(
  [...reasonNames].map(([code, name]) => [
    name,
    code === 0 ? new Uint8Array() : encodeTlv(TAG.sequence, reasonCode(code)),
  ]),
);
const NO_REASON = new Uint8Array();

export function openCrlEntries(): CrlEntries {
  const entries: Entries = { count: 0, blocks: [], lastSecond: Number.NaN, lastTime: new Uint8Array() };
  return entries;
}

/** Adds `revoked` at the end. Whoever calls sees to it that no serial comes twice. Some 0.5 µs. */
export function addRevoked(target: CrlEntries, revoked: RevokedCertificate): void {
  const entries = target as Entries;
  const second = Math.floor(revoked.revokedAt / 1000);
  if (second !== entries.lastSecond) {
    entries.lastTime = encodeTime(new Date(second * 1000));
    entries.lastSecond = second;
  }
  const serialOctets = revoked.serial.length / 2;
  const sign = Number.parseInt(revoked.serial.slice(0, 2), 16) >= 0x80 ? 1 : 0;
  const reason = reasons.get(revoked.reason) ?? NO_REASON;
  const block = openBlock(entries.blocks);
  const { octets, used } = block;
  let at = used;
  octets[at++] = TAG.sequence;
  octets[at++] = 2 + sign + serialOctets + entries.lastTime.length + reason.length;
  octets[at++] = TAG.integer;
  octets[at++] = sign + serialOctets;
  if (sign === 1) octets[at++] = 0;
  at += octets.write(revoked.serial, at, 'hex');
  octets.set(entries.lastTime, at);
  at += entries.lastTime.length;
  octets.set(reason, at);
  count(block, at + reason.length - used, revoked.notAfter);
  entries.count++;
}

/**
 * Drops what need not be named again: of the first `listed` entries, those whose certificate expired before `thisUpdate`,
 * ms since the epoch, of the list that named them. Answers how many went. Nothing is to be added until it has ended.
 */
export function dropExpired(target: CrlEntries, listed: number, thisUpdate: number, turn: Turn): Promise<number> {
  const entries = target as Entries;
  let from = 0;
  return drop(entries, turn, (block) => {
    const most = Math.min(block.count, listed - from);
    from += block.count;
    if (block.earliest >= thisUpdate || most <= 0) return null;
    return (i) => i < most && (block.notAfters[i] ?? 0) < thisUpdate;
  });
}

/** Drops the entries of `serials`, where there are any, so that they can be added anew with another reason. As `dropExpired`. */
export function dropSerials(target: CrlEntries, serials: readonly string[], turn: Turn): Promise<number> {
  const sought = new Set(serials.map((serial) => Buffer.from(serial, 'hex').toString('latin1')));
  return drop(target as Entries, turn, ({ octets }) => (_, at) => {
    // SEQUENCE, its length, INTEGER, its length, and a sign octet or not (`addRevoked`).
    const start = octets[at + 4] === 0 && (octets[at + 3] ?? 0) > 1 ? at + 5 : at + 4;
    return sought.has(octets.toString('latin1', start, at + 4 + (octets[at + 3] ?? 0)));
  });
}

/** Drops entry i, that begins at `at` of a block, where what `choose` answers for the block says so; null for none of it. */
async function drop(
  entries: Entries,
  turn: Turn,
  choose: (block: Block) => ((i: number, at: number) => boolean) | null,
): Promise<number> {
  const kept: Block[] = [];
  let dropped = 0;
  for (const block of entries.blocks) {
    const goes = choose(block);
    if (goes === null) {
      kept.push(block);
      continue;
    }
    await turn();
    const ends = new Set<number>();
    for (let i = 0, at = 0; i < block.count; at += block.sizes[i++] ?? 0) if (goes(i, at)) ends.add(i);
    kept.push(...(ends.size === 0 ? [block] : without(block, ends)));
    dropped += ends.size;
  }
  entries.blocks = kept;
  entries.count -= dropped;
  return dropped;
}

/** What is left of `block`, in a new one: lists may hold the octets of the old. None where nothing is. */
function without(block: Block, ends: ReadonlySet<number>): readonly Block[] {
  const fresh: Block[] = [];
  for (let i = 0, at = 0; i < block.count; at += block.sizes[i++] ?? 0) {
    if (ends.has(i)) continue;
    const to = openBlock(fresh);
    const size = block.sizes[i] ?? 0;
    block.octets.copy(to.octets, to.used, at, at + size);
    count(to, size, block.notAfters[i] ?? 0);
  }
  return fresh;
}

/** The list of all `entries`, DER, signed by the issuer. What the signer throws. */
export async function createCrl(request: CrlRequest): Promise<Crl> {
  const { issuer, number, thisUpdate, nextUpdate, distributionPoint, turn } = request;
  const { blocks, count: listed } = request.entries as Entries;
  if (!Number.isSafeInteger(number) || number < 1) throw new RangeError(`${number} is no CRL number`);
  const frame = frameOf(issuer.certificate);
  const { identifier } = signingAlgorithmOf(issuer.signer.publicKey);
  const named = blocks.map(({ octets, used }) => octets.subarray(0, used));
  const extensions = [
    authorityKeyIdentifier(issuer.keyId),
    crlNumber(number),
    ...(distributionPoint === null ? [] : [issuingDistributionPoint(distributionPoint)]),
  ];
  const tbs = wrapped([
    VERSION,
    identifier,
    encodingOf(frame.der, frame.subject),
    encodeTime(thisUpdate),
    encodeTime(nextUpdate),
    // With nothing revoked the list must be absent, not empty (§5.1.2.6).
    ...(listed === 0 ? [] : wrapped(named)),
    encodeTlv(contextConstructed(0), encodeTlv(TAG.sequence, ...extensions)),
  ]);
  const signature = await signatureOver(contentOf(tbs, turn), issuer.signer);
  return { parts: wrapped([...tbs, identifier, encodeBits(signature)]), listed };
}

/** SEQUENCE of `parts`. */
function wrapped(parts: readonly Uint8Array[]): readonly Uint8Array[] {
  return [encodeHeader(TAG.sequence, lengthOf(parts)), ...parts];
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

function contentOf(parts: readonly Uint8Array[], turn: Turn): Content {
  return {
    length: lengthOf(parts),
    async *[Symbol.asyncIterator]() {
      for (const part of parts) {
        if (part.length > FIRST_OCTETS) await turn();
        yield part;
      }
    },
  };
}

/** The last of `blocks`, with room for one more entry; a new one where it has none. */
function openBlock(blocks: Block[]): Block {
  const last = blocks.at(-1);
  if (last === undefined || last.count === BLOCK_ENTRIES) {
    const block: Block = {
      ...{ octets: Buffer.alloc(FIRST_OCTETS), used: 0, count: 0, earliest: Number.POSITIVE_INFINITY },
      ...{ sizes: new Uint8Array(BLOCK_ENTRIES), notAfters: new Float64Array(BLOCK_ENTRIES) },
    };
    blocks.push(block);
    return block;
  }
  if (last.used + LONGEST_ENTRY > last.octets.length) last.octets = resized(last, last.octets.length * 2);
  return last;
}

/** Counts the entry of `size` octets that was written at the end of `block`. */
function count(block: Block, size: number, notAfter: number): void {
  block.sizes[block.count] = size;
  block.notAfters[block.count] = notAfter;
  block.earliest = Math.min(block.earliest, notAfter);
  block.count++;
  block.used += size;
  // No more comes: what it was given too much of is given back.
  if (block.count === BLOCK_ENTRIES) block.octets = resized(block, block.used);
}

function resized({ octets, used }: Block, length: number): Buffer {
  const other = Buffer.allocUnsafeSlow(length);
  octets.copy(other, 0, 0, used);
  return other;
}
