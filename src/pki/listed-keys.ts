// A list of RSA keys that are known to somebody, looked into by the hash of the modulus: SHA-256 of it as an unsigned
// big-endian number without leading zero octets, as badkeys has it; the exponent does not count, for the private key
// follows from the modulus. The form (made by scripts/weak-keys): 65,536 octets, each how many hashes begin with those
// two octets, then of each hash the three octets after them, in order. A hash of 40 bits is not a proof: of N keys on
// the list another one looks to be on it once in 2^40 / N times.
import { createHash, type KeyObject } from 'node:crypto';

const BUCKETS = 65_536;
const REST = 3;

export interface KeyList {
  /** How many keys are on it. */
  readonly size: number;
  /** Whether the key is on it; never for one that is not RSA. */
  has(publicKey: KeyObject): boolean;
}

/** The list in `octets`, which must not change. RangeError when they are not of the form. */
export function openKeyList(octets: Uint8Array): KeyList {
  const starts = new Uint32Array(BUCKETS + 1);
  for (let at = 0; at < BUCKETS; at++) starts[at + 1] = (starts[at] ?? 0) + (octets[at] ?? 0);
  const size = starts[BUCKETS] ?? 0;
  if (octets.length !== BUCKETS + size * REST) throw new RangeError('not a list of keys, or not all of it');
  return {
    size,
    has(publicKey) {
      if (publicKey.asymmetricKeyType !== 'rsa') return false;
      const { n = '' } = publicKey.export({ format: 'jwk' }); // RFC 7518 §6.3.1.1: the fewest octets
      const hash = createHash('sha256').update(Buffer.from(n, 'base64url')).digest();
      const bucket = hash.readUInt16BE(0);
      const [from, to] = [starts[bucket] ?? 0, starts[bucket + 1] ?? 0];
      for (let at = BUCKETS + from * REST; at < BUCKETS + to * REST; at += REST) {
        if (octets[at] === hash[2] && octets[at + 1] === hash[3] && octets[at + 2] === hash[4]) return true;
      }
      return false;
    },
  };
}
