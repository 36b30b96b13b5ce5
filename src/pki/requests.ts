// Certificate signing requests (PKCS #10, RFC 2986): making one, and reading one from a stranger. A request is taken
// only when its signature proves that whoever made it holds the key (RFC 2986 §3), with SHA-256 or better, and when the
// key is of a kind that certgate certifies (public-keys.ts). What it asks to be called is told, never believed: the
// identity is decided by whoever authorizes the request, and requested-names.ts tells whether it asks for more.
import { type KeyObject, verify } from 'node:crypto';
import { CertgateError, isCertgateError, reasonOf } from '../errors.ts';
import { checkCommonName } from './content.ts';
import {
  childrenOf,
  contextConstructed,
  DerFault,
  encodeTlv,
  encodeUnsigned,
  encodingOf,
  ofTag,
  readOctets,
  readOid,
  readUnsigned,
  TAG,
  type Tlv,
} from './der.ts';
import { readSubjectAltNames, type SubjectAltName, type SubjectAttribute } from './facts.ts';
import { commonNameOf, readName, requireTextTypes } from './names.ts';
import { derOf, derToPem } from './pem.ts';
import { acceptKey, readPublicKey, spkiOf } from './public-keys.ts';
import { type Signer, withSignature } from './signing.ts';
import { type ReadExtension, readAlgorithm, readExtensions, readSigned } from './structure.ts';

export interface CertificateRequest {
  /** Proved to be the requester's. */
  readonly publicKey: KeyObject;
  /** What it asks to be called; nobody has vouched for it. */
  readonly subject: readonly SubjectAttribute[];
  readonly subjectAltNames: readonly SubjectAltName[];
  /** All that it asks for, the SANs among them. */
  readonly extensions: readonly ReadExtension[];
  /** The types of its attributes. */
  readonly attributes: readonly string[];
  readonly signatureAlgorithm: string;
  readonly der: Uint8Array;
}

/** RFC 2985 §5.4.2, and what Windows wrote before it: the same under another number, and OpenSSL too reads both. */
const EXTENSION_REQUESTS = ['1.2.840.113549.1.9.14', '1.3.6.1.4.1.311.2.1.14'];
/** No honest request is larger: RSA of 8192 bits and a hundred names are below it. */
const MOST_OCTETS = 32 * 1024;

/** Signature algorithms a request may be signed with, and what node:crypto calls their hash. */
const algorithms = new Map<string, { hash: string | null; key: string }>([
  ['1.2.840.10045.4.3.2', { hash: 'sha256', key: 'ec' }],
  ['1.2.840.10045.4.3.3', { hash: 'sha384', key: 'ec' }],
  ['1.2.840.10045.4.3.4', { hash: 'sha512', key: 'ec' }],
  ['1.2.840.113549.1.1.11', { hash: 'sha256', key: 'rsa' }],
  ['1.2.840.113549.1.1.12', { hash: 'sha384', key: 'rsa' }],
  ['1.2.840.113549.1.1.13', { hash: 'sha512', key: 'rsa' }],
  ['1.3.101.112', { hash: null, key: 'ed25519' }],
]);

/** A request for `commonName`, or for no name when that is null, signed by its own key, PEM. CG_CERT_CONTENT, CG_CSR_KEY. */
export async function createRequest(signer: Signer, names: { readonly commonName: string | null }): Promise<string> {
  const content = encodeTlv(
    TAG.sequence,
    encodeUnsigned(Uint8Array.of(0)),
    names.commonName === null ? encodeTlv(TAG.sequence) : commonNameOf(checkCommonName(names.commonName)),
    spkiOf(acceptKey(signer.publicKey)),
    // No attributes; the empty list has to be there (RFC 2986 §4.1).
    encodeTlv(contextConstructed(0)),
  );
  return derToPem(await withSignature(content, signer), 'CERTIFICATE REQUEST');
}

/**
 * One request, PEM or DER, with its proof of possession checked.
 * @throws CG_CSR_UNREADABLE, CG_CSR_KEY for a key kind or size not certified, CG_CSR_SIGNATURE when not proved
 */
export function readRequest(pemOrDer: string | Uint8Array): CertificateRequest {
  try {
    const der = requestDer(pemOrDer);
    if (der.length > MOST_OCTETS) throw new DerFault(`larger than ${MOST_OCTETS} octets`);
    return readDer(der);
  } catch (error) {
    if (error instanceof DerFault || isCertgateError(error, 'CG_PEM')) {
      throw new CertgateError('CG_CSR_UNREADABLE', { problem: error.message }, { cause: error });
    }
    throw error;
  }
}

/** `NEW CERTIFICATE REQUEST` is what older tools, Java's keytool among them, still write (RFC 7468 §7). */
function requestDer(pemOrDer: string | Uint8Array): Uint8Array {
  if (typeof pemOrDer !== 'string') {
    if (pemOrDer[0] === 0x30) return pemOrDer;
    return requestDer(Buffer.from(pemOrDer).toString('latin1'));
  }
  const text = pemOrDer.includes('-----BEGIN NEW ')
    ? pemOrDer.replace(/^(-----(?:BEGIN|END) )NEW (CERTIFICATE REQUEST-----)/gm, '$1$2')
    : pemOrDer;
  return derOf(text, 'CERTIFICATE REQUEST');
}

function readDer(der: Uint8Array): CertificateRequest {
  const { tbs, algorithm, signature } = readSigned(der, 'request');
  const [version, subject, spki, attributes, ...rest] = childrenOf(der, tbs);
  if (readUnsigned(der, version, 1, 'version') !== '00') throw new DerFault('its version is not 1');
  if (rest.length > 0) throw new DerFault('it has parts after its attributes');
  requireTextTypes(der, subject, 'subject');
  const { extensions, types } = readAttributes(der, attributes);
  const asked = {
    subject: readName(der, subject, 'subject'),
    subjectAltNames: readSubjectAltNames(extensions),
    extensions,
    attributes: types,
  };
  const publicKey = readPublicKey(encodingOf(der, ofTag(spki, TAG.sequence, 'public key')));
  const signatureAlgorithm = readAlgorithm(der, algorithm, 'signature algorithm');
  prove(publicKey, signatureAlgorithm, encodingOf(der, tbs), readOctets(der, signature, 'signature'));
  return { publicKey, ...asked, signatureAlgorithm, der };
}

function prove(publicKey: KeyObject, oid: string, signed: Uint8Array, signature: Uint8Array): void {
  const algorithm = algorithms.get(oid);
  if (algorithm === undefined || algorithm.key !== publicKey.asymmetricKeyType) {
    throw new CertgateError('CG_CSR_SIGNATURE', {
      problem: `signature algorithm ${oid} is not one for this key with SHA-256, SHA-384, SHA-512 or Ed25519`,
    });
  }
  let proved: boolean;
  try {
    proved = verify(algorithm.hash, signed, publicKey, signature);
  } catch (cause) {
    throw new CertgateError('CG_CSR_SIGNATURE', { problem: reasonOf(cause) }, { cause });
  }
  if (!proved) throw new CertgateError('CG_CSR_SIGNATURE', { problem: 'the signature is not by the key it asks for' });
}

/** The types of the attributes, and what is asked for in the extensionRequest, which may occur once. */
function readAttributes(der: Uint8Array, attributes: Tlv | undefined) {
  let extensions: readonly ReadExtension[] | null = null;
  const types: string[] = [];
  if (attributes === undefined) return { extensions: [], types }; // some tools leave out the empty list
  for (const attribute of childrenOf(der, ofTag(attributes, contextConstructed(0), 'attributes'))) {
    const [type, values, ...rest] = childrenOf(der, ofTag(attribute, TAG.sequence, 'attribute'));
    const oid = readOid(der, type, 'attribute type');
    const members = childrenOf(der, ofTag(values, TAG.set, `attribute ${oid}`));
    if (rest.length > 0) throw new DerFault(`attribute ${oid} has more than two parts`);
    types.push(oid);
    if (!EXTENSION_REQUESTS.includes(oid)) continue;
    if (members.length !== 1 || extensions !== null) throw new DerFault('it asks for extensions twice');
    extensions = readExtensions(der, members[0], 'requested extensions');
  }
  return { extensions: extensions ?? [], types };
}
