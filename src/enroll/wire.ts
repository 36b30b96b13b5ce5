// What a machine and the gate say to each other when it enrols or renews: one POST with JSON, one answer with JSON. Small,
// bounded and read strictly, because a stranger may send it. Pure. Other clients say the same in the words of RFC 7030, which
// has more ceremony than certgate's own need (est.ts).

/** Behind the gate's own prefix (RFC 8615), never sent on to Prefect. */
export const ENROLL_PATH = '/.well-known/certgate/enroll';
export const RENEW_PATH = '/.well-known/certgate/renew';
export const LOGIN_PATH = '/.well-known/certgate/login';
export const BUNDLE_PATH = '/.well-known/certgate/bundle';

/** Of a request, bytes. */
export const MOST_REQUEST_BYTES = 16 * 1024;
/** Of an answer, bytes: a chain and a bundle of many certificates. */
export const MOST_ANSWER_BYTES = 512 * 1024;

export type EnrollRequest = RequestedCertificate & EnrollCredential;

/** Which of the two it is. */
export type EnrollCredential =
  /** As `credentialOf` writes it. */
  | { readonly token: string }
  /** A JWT. */
  | { readonly identityToken: string };

interface RequestedCertificate {
  /** PKCS #10, PEM: proves possession of the key. */
  readonly csr: string;
  /** Which name it is to be, where a token is for several; null to leave it to the token. */
  readonly identity: string | null;
}

export interface IssuedAnswer {
  readonly identity: string;
  /** Leaf, its issuer, and so on, PEM. */
  readonly certificate: string;
  /** The trust bundle, PEM. */
  readonly bundle: string;
}

export function writeEnrollRequest({ identity, ...request }: EnrollRequest): string {
  return JSON.stringify({ ...request, ...(identity === null ? {} : { identity }) });
}

const FIELDS: readonly string[] = ['token', 'identityToken', 'csr', 'identity'];

/** Null for what is none. */
export function readEnrollRequest(body: string): EnrollRequest | null {
  const read = objectIn(body);
  const { token, identityToken, csr, identity = null } = read;
  if (typeof csr !== 'string' || !Object.keys(read).every((key) => FIELDS.includes(key))) return null;
  if (identity !== null && typeof identity !== 'string') return null;
  if (typeof token === 'string' && identityToken === undefined) return { token, csr, identity };
  return typeof identityToken === 'string' && token === undefined ? { identityToken, csr, identity } : null;
}

export function writeRenewRequest(csr: string): string {
  return JSON.stringify({ csr });
}

/** The CSR, PEM; null for what is no request. */
export function readRenewRequest(body: string): string | null {
  const { csr, ...others } = objectIn(body);
  return typeof csr === 'string' && Object.keys(others).length === 0 ? csr : null;
}

export function writeIssued({ identity, certificate, bundle }: IssuedAnswer): string {
  return JSON.stringify({ identity, certificate, bundle });
}

/** Null for what is none. */
export function readIssued(body: string): IssuedAnswer | null {
  const { identity, certificate, bundle } = objectIn(body);
  if (typeof identity !== 'string' || typeof certificate !== 'string' || typeof bundle !== 'string') return null;
  return { identity, certificate, bundle };
}

/** Where people log in, for who wants to. */
export interface LoginAnswer {
  /** `https://…` */
  readonly issuer: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
  /** Whether a device code may stand for the browser. */
  readonly device: boolean;
}

export function writeLogin({ issuer, clientId, scopes, device }: LoginAnswer): string {
  return JSON.stringify({ issuer, clientId, scopes, device });
}

/** Null for what is none. A gate that does not say whether it takes device codes may. */
export function readLogin(body: string): LoginAnswer | null {
  const { issuer, clientId, scopes, device } = objectIn(body);
  if (typeof issuer !== 'string' || typeof clientId !== 'string' || !Array.isArray(scopes)) return null;
  const texts = scopes.filter((scope) => typeof scope === 'string');
  return texts.length === scopes.length ? { issuer, clientId, scopes: texts, device: device !== false } : null;
}

/** What an answer that is no success says, for people; the empty text when it says nothing. */
export function readDetail(body: string): string {
  const { detail } = objectIn(body);
  return typeof detail === 'string' ? detail : '';
}

function objectIn(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
