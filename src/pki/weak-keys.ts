// Public keys that somebody else can have the private half of, told from the public one alone and without any list that
// would have to be fetched: RSA moduli that a known fault made (ROCA, CVE-2017-15361; primes close together,
// CVE-2022-26320; a small factor), and keys whose private half was printed in an RFC. Debian's keys of 2008
// (CVE-2008-0166) take a list: listed-keys.ts. It decides in a time that no input can stretch: 2 to 3 ms for RSA of 2048
// to 8192 bits, measured, and some µs for anything else.
import type { KeyObject } from 'node:crypto';

/** SHA-256 of the SubjectPublicKeyInfo, and where the private key is printed. */
const printed = new Map([
  ['8fb6bad671cfe698393c453357da61b56d757ab8c0f3fb9c87f2849e63131878', 'RFC 9500 §2.1'],
  ['b2b04340cfaee616ec9c2c62d261b208e54bb197498df52e8cadede23ac0ba5e', 'RFC 9500 §2.3'],
  ['c4c10105a0be0ed4dd3354428dc38a9bfee64da141ce16e75c94eda272f9dd3a', 'RFC 9500 §2.3'],
  ['5a7a78cca4a0f420d9bc62bb669c3c2759e39f723d3ae10dcbe0f0815a07ecd4', 'RFC 6979 §A.2.5'],
  ['2f95601fa82060b909bfc6b979dbd303d34d34e0afb27ea496beac362f242a4b', 'RFC 6979 §A.2.6'],
  ['2bd1bb0c44a897c30a7aa0991cde38d8062fe441de50da0f46825344f602e827', 'RFC 7515 §A.3'],
  ['51b944cdfa544d4c3273aa6bf350625a7dd53bbb6a71723274f538b19a207760', 'RFC 7517 §A.2'],
  ['06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9', 'RFC 8032 §7.1'],
  ['deb2ded39dc26fce0e6085b6fc34bf6b5941913bbfe2ea614113cff9e004c170', 'RFC 8032 §7.1'],
  ['8d39ba50abe50f77b6bb8ae7b6927aff7ffbeba35ad2837c0e51e82bcbcc60d5', 'RFC 8032 §7.1'],
  ['a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f', 'RFC 8410 §10.3'],
  // The generator itself: the public key of the private key 1
  ['5cd252fb0ce8932436faf8ccd1040981b89ee4ad6b9fe9e2a2b7e71aacb27cd3', 'every description of the curve P-256'],
  ['29f8fe74f38c49d49810cec736a26732a30bff2e64827b709a1c63340d4f7181', 'every description of the curve P-384'],
]);

/** What makes `publicKey` weak, in words that follow its kind, e.g. `with two primes too close together`; null if nothing known. */
export function weaknessOf(publicKey: KeyObject, spkiHash: string): string | null {
  const where = printed.get(spkiHash);
  if (where !== undefined) return `whose private key is printed in ${where}`;
  if (publicKey.asymmetricKeyType !== 'rsa') return null;
  const { n = '' } = publicKey.export({ format: 'jwk' });
  return weaknessOfModulus(BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`));
}

/** The same of an RSA modulus. */
export function weaknessOfModulus(modulus: bigint): string | null {
  const factor = smallFactorOf(modulus);
  if (factor !== null) return `with the factor ${factor}`;
  if (isRoca(modulus)) return 'of the form that faulty Infineon chips made (ROCA, CVE-2017-15361)';
  if (hasClosePrimes(modulus)) return 'with two primes too close together (CVE-2022-26320)';
  return null;
}

const SMALL = 1 << 16;
let smallPrimes: readonly number[] | null = null;

/** Primes below 2^16, found once, when the first RSA key comes. */
function primesBelowSmall(): readonly number[] {
  if (smallPrimes !== null) return smallPrimes;
  const composite = new Uint8Array(SMALL);
  const primes: number[] = [];
  for (let n = 2; n < SMALL; n++) {
    if (composite[n] === 1) continue;
    primes.push(n);
    for (let multiple = n * n; multiple < SMALL; multiple += n) composite[multiple] = 1;
  }
  smallPrimes = primes;
  return primes;
}

/** One division of the large number for each 40 or so primes: their product first, then the small rest by each. */
function smallFactorOf(modulus: bigint): number | null {
  const primes = primesBelowSmall();
  for (let at = 0; at < primes.length; at += 40) {
    const group = primes.slice(at, at + 40);
    const rest = modulus % group.reduce((product, prime) => product * BigInt(prime), 1n);
    const factor = group.find((prime) => rest % BigInt(prime) === 0n);
    if (factor !== undefined) return factor;
  }
  return null;
}

/**
 * ROCA's primes are k·M + (65537^a mod M), so the modulus is a power of 65537 modulo M (Nemec et al., "The Return of
 * Coppersmith's Attack", CCS 2017, §2.1). ROCA_M is the part of M that all key sizes share, the primes to 167. The group of
 * 65537 has an order that factors into small numbers, so that the logarithm is looked for modulo each of them (Pohlig
 * and Hellman): exact, where the test prime by prime takes one honest key of 2^27 for a faulty one.
 */
const ROCA_M = 0x924cba6ae99dfa084537facc54948df0c23da044d8cabe0edd75bc6n;
const ROCA_ORDER = 2454106387091158800n;
const ROCA_ORDER_PARTS = [16n, 81n, 25n, 7n, 11n, 13n, 17n, 23n, 29n, 37n, 41n, 53n, 83n];

function isRoca(modulus: bigint): boolean {
  if (power(modulus, ROCA_ORDER) !== 1n) return false;
  return ROCA_ORDER_PARTS.every((part) => {
    const generator = power(65537n, ROCA_ORDER / part);
    const sought = power(modulus, ROCA_ORDER / part);
    let element = 1n;
    for (let exponent = 0n; exponent < part; exponent++) {
      if (element === sought) return true;
      element = (element * generator) % ROCA_M;
    }
    return false;
  });
}

/** Modulo ROCA_M. Not in constant time: everything here is public. */
function power(of: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = of % ROCA_M;
  for (let left = exponent; left > 0n; left >>= 1n) {
    if ((left & 1n) === 1n) result = (result * square) % ROCA_M;
    square = (square * square) % ROCA_M;
  }
  return result;
}

/** Rounds of Fermat's factorisation; every key found in the field fell within 1 (Böck, eprint 2023/026), CAs try 100. */
const FERMAT_ROUNDS = 100;

/** With n = p·q, ((p + q) / 2)² - n is a square, and (p + q) / 2 is just above √n when p and q are close. */
function hasClosePrimes(modulus: bigint): boolean {
  let middle = rootOf(modulus);
  if (middle * middle < modulus) middle++;
  let rest = middle * middle - modulus;
  for (let round = 0; round < FERMAT_ROUNDS; round++) {
    if (isSquare(rest)) return true;
    rest += 2n * middle + 1n;
    middle++;
  }
  return false;
}

/** Of 64 residues modulo 64 twelve are those of squares, of 63 sixteen, of 65 twenty-one, of 11 six: few get past. */
const residues = [64, 63, 65, 11].map((by) => {
  const square = new Set<number>();
  for (let n = 0; n < by; n++) square.add((n * n) % by);
  return { by, square };
});

function isSquare(n: bigint): boolean {
  const rest = Number(n % 2_882_880n); // 64 · 63 · 65 · 11
  if (!residues.every(({ by, square }) => square.has(rest % by))) return false;
  const root = rootOf(n);
  return root * root === n;
}

/** The whole part of the square root, by Newton's method from above. */
function rootOf(n: bigint): bigint {
  if (n < 2n) return n;
  let root = 1n << BigInt((n.toString(16).length * 4 + 1) >> 1);
  for (;;) {
    const next = (root + n / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
