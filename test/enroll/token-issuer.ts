// An issuer of identity tokens for tests: keys of several kinds, their JWK Set in a file, and tokens written octet by octet, so
// that a test can write what no library would.
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type IdentityIssuer, issuersSchema } from '../../src/config/issuers.ts';

export const AUDIENCE = 'https://gate.example:8443';

export interface TestIssuer {
  readonly rsa: KeyObject;
  readonly ec: KeyObject;
  readonly ed: KeyObject;
  readonly jwksFile: string;
  /** Writes the JWK Set anew. */
  publish(keys: readonly object[]): void;
}

const pair = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  ed: generateKeyPairSync('ed25519').privateKey,
};

export function publicJwk(key: KeyObject, more: object): object {
  const { kty, n, e, crv, x, y } = key.export({ format: 'jwk' });
  return { kty, ...(n === undefined ? { crv, x, ...(y === undefined ? {} : { y }) } : { n, e }), ...more };
}

/** With keys called by `kid` (RSA), ec and ed. */
export function testIssuer(kid = 'rsa'): TestIssuer {
  const jwksFile = join(mkdtempSync(join(tmpdir(), 'certgate-jwks-')), 'jwks.json');
  const publish = (keys: readonly object[]): void => writeFileSync(jwksFile, JSON.stringify({ keys }));
  publish([
    publicJwk(pair.rsa, { kid, alg: 'RS256', use: 'sig' }),
    publicJwk(pair.ec, { kid: 'ec', alg: 'ES256', use: 'sig' }),
    publicJwk(pair.ed, { kid: 'ed', use: 'sig' }),
  ]);
  return { ...pair, jwksFile, publish };
}

const base64url = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A JWS of these parts, JSON text where they are text already. */
export function written(header: object | string, claims: object | string, key: KeyObject | string): string {
  const signed = `${base64url(header)}.${base64url(claims)}`;
  const octets = Buffer.from(signed);
  if (typeof key === 'string') return `${signed}.${createHmac('sha256', key).update(octets).digest('base64url')}`;
  const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const signature = sign(digest, octets, { key, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

/** The settings of an issuer as certgate.yaml would have them. */
export function issuerSettings(settings: object): IdentityIssuer {
  const [issuer] = issuersSchema.parse([settings]);
  if (issuer === undefined) throw new Error('unreachable');
  return issuer;
}
