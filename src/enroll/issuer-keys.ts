// The public keys of one issuer of identity tokens (JWK Set, RFC 7517 §5): fetched from the addresses that the configuration
// names or read from a file, kept, and read anew from time to time and when a token names a key that is not among them. Both
// are bounded, whoever asks and however often: an issuer is asked once at a time and not again within the cool-down, so that
// strangers with invented key names cannot have the gate flood it. While the issuer is down the last good keys are used, for
// a day at most: a key that was withdrawn must end some time. Only public keys that signatures may rest on are taken.
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createLocalJWKSet, type JWK, type JWTVerifyGetKey } from 'jose';
import { fileReason, reasonOf } from '../errors.ts';
import { fetchJson } from './fetch-json.ts';

/** Where the keys are; exactly one of the three is not null. */
export interface KeyPlace {
  /** Its OpenID configuration says where (OpenID Connect Discovery §4), on the same host. */
  readonly discoverAt: string | null;
  readonly jwksUrl: string | null;
  readonly jwksFile: string | null;
  /** File with the authorities that its server is verified against (PEM), read each time; null for the system's. */
  readonly caFile: string | null;
  /** File with a bearer token to show there, read each time; null for none. */
  readonly tokenFile: string | null;
}

export interface IssuerKeys {
  /** The key of that name, or, for null, the only one that fits; `unknown`: there is none; `later`: it cannot be said now. */
  has(kid: string | null): Promise<'known' | 'unknown' | 'later'>;
  /** For jose: chooses by name, algorithm and use. */
  readonly key: JWTVerifyGetKey;
  /** Begins to read them, where that has not begun. */
  warm(): void;
}

export interface KeyTimes {
  /** After which the keys are read anew, while the present ones are used, ms. */
  readonly fresh: number;
  /** For which the last good ones are used without being read anew, ms. */
  readonly good: number;
  /** Between two attempts, whatever they come to, ms. */
  readonly coolDown: number;
}

const KEY_TIMES: KeyTimes = { fresh: 600_000, good: 86_400_000, coolDown: 15_000 };
/** A file costs nobody anything. */
const FILE_TIMES: KeyTimes = { fresh: 5_000, good: 86_400_000, coolDown: 1_000 };
const MOST_KEYS = 100;

interface KeySet {
  readonly kids: ReadonlySet<string>;
  readonly key: JWTVerifyGetKey;
  readonly readAt: number;
}

/** `said` is told what reading them came to: null when it went well. `clock` never falls, ms. */
export function openIssuerKeys(
  place: KeyPlace,
  said: (problem: string | null, odd: readonly string[]) => void,
  times: KeyTimes = place.jwksFile === null ? KEY_TIMES : FILE_TIMES,
  clock: () => number = () => performance.now(),
): IssuerKeys {
  let current: KeySet | null = null;
  let triedAt = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | null = null;

  const read = async (): Promise<void> => {
    try {
      const { document, from } = await documentOf(place);
      const { keys, odd } = usableKeys(document, from);
      const kids = new Set(keys.map(({ kid }) => kid).filter((kid) => kid !== undefined));
      current = { kids, key: createLocalJWKSet({ keys }), readAt: clock() };
      said(null, odd);
    } catch (error) {
      said(reasonOf(error), []);
    }
  };
  /** Reads them anew unless that was tried just now; resolves when it has been done. False: it was tried just now. */
  const refresh = async (): Promise<boolean> => {
    if (running === null) {
      if (clock() - triedAt < times.coolDown) return false;
      triedAt = clock();
      running = read().finally(() => {
        running = null;
      });
    }
    await running;
    return true;
  };
  const good = (): KeySet | null => (current !== null && clock() - current.readAt < times.good ? current : null);
  const includes = (set: KeySet, kid: string | null): boolean => kid === null || set.kids.has(kid);

  return {
    async has(kid) {
      const before = good();
      const age = before === null ? 0 : clock() - before.readAt;
      // What nobody has asked for in a while may have been withdrawn since: then it is read anew first. Where that is not to be
      // had, or was tried just now, the last good ones hold.
      if (before !== null && includes(before, kid) && age < 2 * times.fresh) {
        if (age >= times.fresh) void refresh();
        return 'known';
      }
      const asked = await refresh();
      const after = good();
      if (after === null) return 'later';
      if (includes(after, kid)) return 'known';
      // What was read before this token came may be older than its key.
      return asked && after !== before ? 'unknown' : 'later';
    },
    key: (header, token) => {
      const set = good();
      if (set === null) throw new Error('the keys of the issuer cannot be read');
      return set.key(header, token);
    },
    warm: () => void refresh(),
  };
}

/** What should be the keys, and from where. */
interface FoundDocument {
  readonly document: unknown;
  readonly from: string;
}

async function documentOf(place: KeyPlace): Promise<FoundDocument> {
  const { discoverAt, jwksUrl, jwksFile, caFile, tokenFile } = place;
  if (jwksFile !== null) return { document: jsonIn(await textIn(jwksFile), jwksFile), from: jwksFile };
  const ca = caFile === null ? null : await authoritiesIn(caFile);
  const token = tokenFile === null ? null : (await textIn(tokenFile)).trim();
  if (jwksUrl !== null) return { document: await fetchJson({ url: jwksUrl, ca, token }), from: jwksUrl };
  const issuer = discoverAt ?? '';
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const found = (await fetchJson({ url, ca, token })) as { issuer?: unknown; jwks_uri?: unknown } | null;
  if (found?.issuer !== issuer) throw new Error(`${url} is about another issuer`);
  const keys = typeof found.jwks_uri === 'string' ? URL.parse(found.jwks_uri) : null;
  // Who can change that document could otherwise have the gate ask whatever it can reach.
  if (keys === null || keys.origin !== new URL(issuer).origin) {
    throw new Error(`${url} has its keys on another host: if that is right, name it as jwksUrl`);
  }
  return { document: await fetchJson({ url: keys.href, ca, token }), from: keys.href };
}

/** To Node an empty text is as none: the system's authorities would do in the place of those that are named. */
async function authoritiesIn(file: string): Promise<string> {
  const pem = await textIn(file);
  if (!/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/.test(pem)) throw new Error(`${file} has no certificate in PEM`);
  return pem;
}

async function textIn(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new Error(`${file}: ${fileReason(cause)}`, { cause });
  });
}

function jsonIn(text: string, file: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new Error(`${file} is no JSON`, { cause });
  }
}

/** The keys that may verify, and words for each that may not. Throws for what is no JWK Set. */
function usableKeys(document: unknown, from: string): { readonly keys: JWK[]; readonly odd: readonly string[] } {
  const keys: unknown = (document as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) throw new Error(`${from} is no JWK Set: it has no keys`);
  if (keys.length > MOST_KEYS) throw new Error(`${from} has more than ${MOST_KEYS} keys`);
  const odd: string[] = [];
  const usable = keys.flatMap((jwk: unknown, index) => {
    const problem = keyProblem(jwk);
    if (problem !== null) odd.push(`key ${index + 1} ${problem}`);
    return problem === null ? [jwk as JWK] : [];
  });
  const kids = usable.map(({ kid }) => kid);
  const twice = kids.find((kid, index) => kid !== undefined && kids.indexOf(kid) !== index);
  if (twice !== undefined) throw new Error(`${from} has two keys with one kid`);
  if (usable.length === 0) throw new Error(`${from} has no key that can be used: ${odd.join(', ') || 'it is empty'}`);
  return { keys: usable, odd };
}

function keyProblem(jwk: unknown): string | null {
  if (typeof jwk !== 'object' || jwk === null) return 'is none';
  const { kty, use, d, k, kid } = jwk as Readonly<Record<string, unknown>>;
  if (d !== undefined || k !== undefined || kty === 'oct') return 'is secret, and should never be published';
  if (use !== undefined && use !== 'sig') return 'is not for signatures';
  if (kid !== undefined && typeof kid !== 'string') return 'has an odd kid';
  let key: KeyObject;
  try {
    key = createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    return 'cannot be read';
  }
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'rsa' && modulusLength < 2048) return `is RSA of ${modulusLength} bits only`;
  if (key.asymmetricKeyType === 'rsa' && publicExponent < 3n) return 'has an odd exponent';
  return ['rsa', 'ec', 'ed25519'].includes(key.asymmetricKeyType ?? '') ? null : 'is of a kind that is not used';
}
