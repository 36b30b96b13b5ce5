// A small CA for the tests of src/pki, and a way to write certificates that createLeaf would never write: any subject,
// any extensions, raw. Dates are fixed: verifiers are told the time, so that no verdict depends on the day.
import { createHash } from 'node:crypto';
import { isCertgateError } from '../../src/errors.ts';
import {
  type CertificateFacts,
  createIssuer,
  createLeaf,
  createRoot,
  factsOf,
  type Issuer,
  issuerOf,
  newSerial,
  readCertificate,
  signerOf,
} from '../../src/pki/certificates.ts';
import { context, contextConstructed, encodeTime, encodeTlv, TAG } from '../../src/pki/der.ts';
import { generateKey, type KeyPair } from '../../src/pki/keys.ts';

export const TRUST_DOMAIN = 'prefect.example';
/** Seconds since the epoch, for `openssl verify -attime`. */
export const NOW = Date.UTC(2026, 10, 24, 12) / 1000;
export const at = (days: number): Date => new Date(NOW * 1000 + days * 86_400_000);

export interface TestAuthority {
  readonly root: Issuer;
  readonly issuer: Issuer;
  readonly issuerKey: KeyPair;
  readonly leafKey: KeyPair;
}

let made: Promise<TestAuthority> | null = null;

/** One root, one issuer and one leaf key for all tests of a file. */
export function testAuthority(): Promise<TestAuthority> {
  made ??= make();
  return made;
}

async function make(): Promise<TestAuthority> {
  const [rootKey, issuerKey, leafKey] = await Promise.all([generateKey(), generateKey(), generateKey()]);
  const validity = { notBefore: at(-1), notAfter: at(365) };
  const rootDer = await createRoot({ commonName: 'test root', ...validity, key: rootKey });
  const root = issuerOf(rootDer, signerOf(rootKey.privateKey));
  const names = { commonName: 'test issuer', trustDomain: TRUST_DOMAIN };
  const issuerDer = await createIssuer({ ...names, ...validity, key: issuerKey, root });
  return { root, issuer: issuerOf(issuerDer, signerOf(issuerKey.privateKey)), issuerKey, leafKey };
}

/** A client leaf of `name` with whatever is to be different about it. */
export async function leafOf(
  name: string,
  different: Partial<Parameters<typeof createLeaf>[0]> = {},
): Promise<Uint8Array> {
  const { issuer, leafKey } = await testAuthority();
  return createLeaf({
    profile: 'client',
    subjectCommonName: name,
    spiffeUri: `spiffe://${TRUST_DOMAIN}/${name}`,
    publicKey: leafKey.publicKey,
    notBefore: at(-1),
    notAfter: at(1),
    serial: newSerial(),
    issuer,
    ...different,
  });
}

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');
/** The DER of a dotted OID whose arcs are below 2^14. */
export function oid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const arcs = [first * 40 + second, ...rest];
  return encodeTlv(
    TAG.oid,
    Uint8Array.from(
      arcs.flatMap((arc) =>
        arc < 128
          ? [arc]
          : arc < 16_384
            ? [128 | (arc >> 7), arc & 127]
            : [128 | (arc >> 14), 128 | ((arc >> 7) & 127), arc & 127],
      ),
    ),
  );
}

export const CN = '2.5.4.3';
export const OU = '2.5.4.11';

/** One attribute in an RDN of its own. */
export function rdn(type: string, tag: number, value: Uint8Array | string): Uint8Array {
  return encodeTlv(TAG.set, attribute(type, tag, value));
}

export function attribute(type: string, tag: number, value: Uint8Array | string): Uint8Array {
  return encodeTlv(TAG.sequence, oid(type), encodeTlv(tag, typeof value === 'string' ? Buffer.from(value) : value));
}

/** GeneralNames of [n] values; `[4, …]` takes the DER of a Name. */
export function generalNames(...names: ReadonlyArray<readonly [number, Uint8Array | string]>): Uint8Array {
  const members = names.map(([n, value]) =>
    encodeTlv(n === 4 ? contextConstructed(4) : context(n), typeof value === 'string' ? ascii(value) : value),
  );
  return encodeTlv(TAG.sequence, ...members);
}

/** One extension. */
export function extension(type: string, value: Uint8Array, critical = false): Uint8Array {
  const flag = critical ? [Uint8Array.of(TAG.boolean, 1, 0xff)] : [];
  return encodeTlv(TAG.sequence, oid(type), ...flag, encodeTlv(TAG.octetString, value));
}

export const SAN = '2.5.29.17';
/** Tags of GeneralName (RFC 5280 §4.2.1.6). */
export const URI = 6;
export const DNS = 2;
export const EMAIL = 1;

/** The SPIFFE ID of that path in the test's trust domain. */
export const spiffe = (path: string): string => `spiffe://${TRUST_DOMAIN}/${path}`;
/** A Name of these RDNs. */
export const nameOf = (...rdns: readonly Uint8Array[]): Uint8Array => encodeTlv(TAG.sequence, ...rdns);
/** As a BMPString has it. */
export const utf16 = (text: string): Uint8Array => Buffer.from(text, 'utf16le').swap16();
/** As a UniversalString has it. */
export const utf32 = (text: string): Uint8Array => {
  const points = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  const bytes = Buffer.alloc(points.length * 4);
  for (const [i, point] of points.entries()) bytes.writeUInt32BE(point, i * 4);
  return bytes;
};

export interface Crafted {
  readonly subject?: Uint8Array;
  readonly san?: Uint8Array;
  readonly extensions?: readonly Uint8Array[];
  /** The content octets of the serial number. */
  readonly serial?: Uint8Array;
  /** Its name must be `CN=test issuer`. */
  readonly issuer?: Issuer;
  /** The fixed days around NOW when left out. */
  readonly validity?: readonly [from: Date, to: Date];
  /** As it is encoded: 2, which is version 3, when left out. */
  readonly version?: number;
  /** What follows the public key, instead of the list of extensions. */
  readonly tail?: readonly Uint8Array[];
}

/** A client certificate signed by the test issuer with exactly these parts, each as DER. */
export async function craft({
  subject,
  san,
  extensions,
  serial,
  issuer: other,
  validity = [at(-1), at(1)],
  version = 2,
  tail,
}: Crafted): Promise<Uint8Array> {
  const { issuer: own, leafKey } = await testAuthority();
  const issuer = other ?? own;
  const algorithm = encodeTlv(TAG.sequence, oid('1.2.840.10045.4.3.2'));
  const spki = leafKey.publicKey.export({ type: 'spki', format: 'der' });
  const keyIdentifier = createHash('sha1').update(spki.subarray(26)).digest();
  const list = extensions ?? [
    extension('2.5.29.15', Uint8Array.of(TAG.bitString, 2, 7, 0x80), true),
    extension('2.5.29.37', encodeTlv(TAG.sequence, oid('1.3.6.1.5.5.7.3.2'))),
    extension('2.5.29.14', encodeTlv(TAG.octetString, keyIdentifier)),
    extension('2.5.29.35', encodeTlv(TAG.sequence, encodeTlv(context(0), Buffer.from(issuer.keyId, 'hex')))),
    ...(san === undefined ? [] : [extension(SAN, san)]),
  ];
  const tbs = encodeTlv(
    TAG.sequence,
    encodeTlv(contextConstructed(0), Uint8Array.of(TAG.integer, 1, version)),
    encodeTlv(TAG.integer, serial ?? Buffer.from(`4f${newSerial()}`, 'hex')),
    algorithm,
    encodeTlv(TAG.sequence, rdn(CN, TAG.utf8String, 'test issuer')),
    encodeTlv(TAG.sequence, ...validity.map(encodeTime)),
    subject ?? encodeTlv(TAG.sequence, rdn(CN, TAG.utf8String, 'worker/etl-1')),
    spki,
    ...(tail ?? [encodeTlv(contextConstructed(3), encodeTlv(TAG.sequence, ...list))]),
  );
  return certificateOf(tbs, await issuer.signer.sign(tbs));
}

/** What certgate reads in a certificate of these parts. */
export async function readCrafted(parts: Crafted): Promise<CertificateFacts> {
  return factsOf(readCertificate(await craft(parts)));
}

/** A certificate of these signed octets and this signature. */
export function certificateOf(tbs: Uint8Array, signature: Uint8Array): Uint8Array {
  const algorithm = encodeTlv(TAG.sequence, oid('1.2.840.10045.4.3.2'));
  return encodeTlv(TAG.sequence, tbs, algorithm, encodeTlv(TAG.bitString, Uint8Array.of(0), signature));
}

/** The code of the catalogue that `action` fails with, or null when it does not; any other error is thrown on. */
export async function codeOf(action: () => unknown): Promise<string | null> {
  try {
    await action();
    return null;
  } catch (error) {
    if (isCertgateError(error)) return error.code;
    throw error;
  }
}

/** The same for what must be synchronous, many times over. */
export function codeOfSync(action: () => unknown): string | null {
  try {
    action();
    return null;
  } catch (error) {
    if (isCertgateError(error)) return error.code;
    throw error;
  }
}
