// Writes a certificate, its chain and its private key as one PKCS#12 file (RFC 7292), the form that browsers, operating
// systems and Java import. `modern`: AES-256-CBC under PBES2 and a SHA-256 MAC, with OWASP's count for PBKDF2-HMAC-SHA-256
// in all three derivations, because whoever guesses the password tries the cheapest. `legacy`: Triple-DES and SHA-1, for
// macOS Keychain, old Windows and old Java; never RC2 of 40 bits, which none of them needs. The key goes in as PKCS#8
// octets, so any kind of key may. It reads nothing: certgate opens no such file. Ten kilobytes of ours with
// password-based.ts, where pkijs and node-forge would bring 720 and 480, and node-forge takes RSA keys only.
import { createHash, type KeyObject, type X509Certificate } from 'node:crypto';
import { contextConstructed, encodeOid, encodeTlv, TAG } from './der.ts';
import { bmpOf, type Encrypted, encodeInteger, encryptPbes2, encryptTripleDes, macData } from './password-based.ts';

export type Pkcs12Form = 'modern' | 'legacy';

export interface Pkcs12Contents {
  readonly privateKey: KeyObject;
  /** The leaf, whose key that is, then its issuers. */
  readonly chain: readonly [X509Certificate, ...X509Certificate[]];
  /** What importing programs show for it. */
  readonly friendlyName: string;
  /** Not empty: to some programs an empty password and none are two things, to others one. */
  readonly password: string;
}

interface Protection {
  readonly iterations: number;
  readonly mac: 'sha1' | 'sha256';
  readonly encrypt: (plain: Uint8Array, password: string, iterations: number) => Encrypted | Promise<Encrypted>;
}

const protections: Readonly<Record<Pkcs12Form, Protection>> = {
  modern: { iterations: 600_000, mac: 'sha256', encrypt: encryptPbes2 },
  // As many rounds as Java's keytool has long given its MACs, so everything old has met them; and within .NET's limits,
  // which are 300,000 for each derivation and 1,000,000 for all.
  legacy: { iterations: 100_000, mac: 'sha1', encrypt: encryptTripleDes },
};

const OID = {
  data: '1.2.840.113549.1.7.1',
  encryptedData: '1.2.840.113549.1.7.6',
  shroudedKeyBag: '1.2.840.113549.1.12.10.1.2',
  certificateBag: '1.2.840.113549.1.12.10.1.3',
  x509Certificate: '1.2.840.113549.1.9.22.1',
  friendlyName: '1.2.840.113549.1.9.20',
  localKeyId: '1.2.840.113549.1.9.21',
} as const;

const sequence = (...parts: readonly Uint8Array[]): Uint8Array => encodeTlv(TAG.sequence, ...parts);
const octets = (content: Uint8Array): Uint8Array => encodeTlv(TAG.octetString, content);
const explicit = (content: Uint8Array): Uint8Array => encodeTlv(contextConstructed(0), content);

/** The PFX, DER. About a second of one core; who guesses the password pays for the MAC alone. */
export async function writePkcs12(
  { privateKey, chain, friendlyName, password }: Pkcs12Contents,
  form: Pkcs12Form,
): Promise<Uint8Array> {
  const { iterations, mac, encrypt } = protections[form];
  const protect = async (plain: Uint8Array): Promise<Encrypted> => await encrypt(plain, password, iterations);
  const [leaf, ...issuers] = chain;
  const attributes = attributesOf(friendlyName, createHash('sha1').update(leaf.raw).digest());
  const certificates = sequence(certificateBag(leaf, attributes), ...issuers.map((one) => certificateBag(one)));
  const [key, bags] = await Promise.all([
    protect(privateKey.export({ type: 'pkcs8', format: 'der' })),
    protect(certificates),
  ]);
  const safes = sequence(
    encryptedContent(bags),
    dataContent(sequence(bag(OID.shroudedKeyBag, sequence(key.algorithm, octets(key.octets)), attributes))),
  );
  return sequence(encodeInteger(3), dataContent(safes), macData(safes, password, mac, iterations));
}

function bag(oid: string, value: Uint8Array, attributes?: Uint8Array): Uint8Array {
  return sequence(encodeOid(oid), explicit(value), ...(attributes === undefined ? [] : [attributes]));
}

function certificateBag({ raw }: X509Certificate, attributes?: Uint8Array): Uint8Array {
  return bag(OID.certificateBag, sequence(encodeOid(OID.x509Certificate), explicit(octets(raw))), attributes);
}

/** The pair on the key and on its certificate by which programs bring the two together; in DER's order of a SET. */
function attributesOf(friendlyName: string, localKeyId: Uint8Array): Uint8Array {
  const attribute = (oid: string, value: Uint8Array): Uint8Array => sequence(encodeOid(oid), encodeTlv(TAG.set, value));
  return encodeTlv(
    TAG.set,
    ...[
      attribute(OID.friendlyName, encodeTlv(TAG.bmpString, bmpOf(friendlyName))),
      attribute(OID.localKeyId, octets(localKeyId)),
    ].toSorted((a, b) => Buffer.compare(a, b)),
  );
}

function dataContent(content: Uint8Array): Uint8Array {
  return sequence(encodeOid(OID.data), explicit(octets(content)));
}

function encryptedContent({ algorithm, octets: content }: Encrypted): Uint8Array {
  const info = sequence(encodeOid(OID.data), algorithm, encodeTlv(0x80, content));
  return sequence(encodeOid(OID.encryptedData), explicit(sequence(encodeInteger(0), info)));
}
