// Enrolment over Secure Transport: its paths, media types and encodings (RFC 7030, with the encodings of RFC 8951 and the
// CSR attributes of RFC 9908), for clients that know nothing of certgate. It is another way of saying what wire.ts says, and
// comes to the same desk; nothing is decided here. Bodies are base64 of DER, whatever a Content-Transfer-Encoding says, and
// nothing else: no PEM, no bare DER. Pure.
import { CertgateError } from '../errors.ts';
import { encodeOid, encodeTlv, TAG } from '../pki/der.ts';
import { readCertificate, readCertificates } from '../pki/facts.ts';
import { derToPem, pemBlocks } from '../pki/pem.ts';
import { writePkcs7 } from '../pki/pkcs7.ts';
import { credentialOf, readToken } from './token.ts';

/** Behind it are the operations, and never anything of Prefect's. */
export const EST_PATH = '/.well-known/est';

export const PKCS10_TYPE = 'application/pkcs10';
export const CERTS_TYPE = 'application/pkcs7-mime; smime-type=certs-only';
export const CSRATTRS_TYPE = 'application/csrattrs';

export type EstOperation = 'cacerts' | 'csrattrs' | 'simpleenroll' | 'simplereenroll';

export type EstAsked =
  | { readonly ok: true; readonly operation: EstOperation }
  /** `allow`: the one method that is answered there. */
  | { readonly ok: false; readonly status: 404 | 405; readonly detail: string; readonly allow: string | null };

const METHODS: Readonly<Record<EstOperation, 'GET' | 'POST'>> = {
  cacerts: 'GET',
  csrattrs: 'GET',
  simpleenroll: 'POST',
  simplereenroll: 'POST',
};

/** What RFC 7030 has, and a gate has not, with the reason. */
const NOT_HERE: ReadonlyMap<string, string> = new Map([
  ['serverkeygen', 'keys are made where they are used, never here: make one and send its request to simpleenroll'],
  ['fullcmc', 'there is no full CMC here: simpleenroll and simplereenroll are what there is'],
]);

/** Whether a path, decoded once, is for EST and nobody else. */
export function isEstPath(path: string): boolean {
  return path === EST_PATH || path.startsWith(`${EST_PATH}/`);
}

/** What a request asks for, by its method and its path, decoded once. */
export function estAsked(method: string, path: string): EstAsked {
  const none = (detail: string): EstAsked => ({ ok: false, status: 404, detail, allow: null });
  const [name = '', ...rest] = path.slice(EST_PATH.length + 1).split('/');
  const why = NOT_HERE.get(name);
  if (rest.length === 0 && why !== undefined) return none(why);
  if (rest.length === 0 && isOperation(name)) {
    const allow = METHODS[name];
    if (method === allow) return { ok: true, operation: name };
    return { ok: false, status: 405, detail: `${EST_PATH}/${name} takes ${allow}`, allow };
  }
  const [last = ''] = rest;
  if (rest.length === 1 && (isOperation(last) || NOT_HERE.has(last))) {
    return none(`there is one CA here, which has no label: ask ${EST_PATH}/${last}`);
  }
  return none(`${EST_PATH}/ has ${Object.keys(METHODS).join(', ')}, and nothing else`);
}

function isOperation(name: string): name is EstOperation {
  return Object.hasOwn(METHODS, name);
}

export interface BasicCredentials {
  /** Which name the certificate is to be for; null to leave it to the token. */
  readonly identity: string | null;
  /** As the desk reads it; of a password that is no token it is one that nobody has. */
  readonly token: string;
}

/**
 * What an Authorization header says, when it is Basic (RFC 7617): the token, whole as `certgate token create` printed it, is
 * the password, and the user is the name to enrol under, or empty. Null when it is nothing of the kind, or base64 that is
 * not in its one spelling (RFC 4648 §3.5): padding left out, bits left over, the letters of URLs, characters between.
 */
export function readBasic(authorization: string | null): BasicCredentials | null {
  const [, encoded = ''] = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization ?? '') ?? [];
  const octets = Buffer.from(encoded, 'base64');
  if (octets.toString('base64') !== encoded) return null;
  const text = octets.toString('latin1');
  const colon = text.indexOf(':');
  if (colon < 0) return null;
  const user = text.slice(0, colon);
  return { identity: user === '' ? null : user, token: credentialIn(text.slice(colon + 1)) };
}

function credentialIn(password: string): string {
  try {
    return credentialOf(readToken(password));
  } catch (error) {
    if (error instanceof CertgateError) return '';
    throw error;
  }
}

/** A request's body as PEM, where the desk says what else is wrong with it; null when it is not base64 of DER. */
export function readPkcs10(body: Buffer): string | null {
  const text = body.toString('latin1').replace(/[ \t\r\n]+/g, '');
  const der = Buffer.from(text, 'base64');
  if (der.length === 0 || der.toString('base64') !== text) return null;
  return derToPem(der, 'CERTIFICATE REQUEST');
}

/** All certificates in `pem` as a certs-only message (RFC 5272 §4.1), base64. CG_PEM, CG_CERT_UNREADABLE. */
export function writeCerts(pem: string): string {
  return inLines(writePkcs7(readCertificates(pem)));
}

/** The same of the first alone: the one that was issued (RFC 7030 §4.2.3). */
export function writeIssuedCert(chainPem: string): string {
  const leaf = pemBlocks(chainPem, 'CERTIFICATE').slice(0, 1);
  return inLines(writePkcs7(leaf.map((der) => readCertificate(der))));
}

/**
 * What is liked best in a request, base64: a key on P-256 that signs with SHA-256 (RFC 9908 §3.2). Names are the token's to
 * give, or the present certificate's, so none are asked for.
 */
export const CSR_ATTRIBUTES = inLines(
  encodeTlv(
    TAG.sequence,
    encodeTlv(TAG.sequence, encodeOid('1.2.840.10045.2.1'), encodeTlv(TAG.set, encodeOid('1.2.840.10045.3.1.7'))),
    encodeOid('1.2.840.10045.4.3.2'),
  ),
);

// Lines, because `openssl base64 -d` wants them; Go, Python and Java take them.
function inLines(der: Uint8Array): string {
  return Buffer.from(der)
    .toString('base64')
    .replace(/.{1,64}/g, '$&\r\n');
}
