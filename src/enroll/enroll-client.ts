// Enrolment from the new machine's side. First the CA is pinned: by a bundle that is here, or by a fingerprint, that of the
// token or one that was said. Then the gate's trust bundle is fetched over a connection that nobody has verified, and only
// the root in it with that fingerprint is taken, nothing else. Then everything is made anew: a connection that is verified up
// to that root, by the gate's name, and over it the token and a request that proves the key. So the secret is told to nobody but the gate of that CA. What comes back is checked before it is used.
import type { KeyObject, X509Certificate } from 'node:crypto';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { CertgateError, isCertgateError, reasonOf } from '../errors.ts';
import { certificatesIn, chainOf } from '../pki/chain.ts';
import { factsOf, fingerprintOf } from '../pki/facts.ts';
import { derToPem } from '../pki/pem.ts';
import { createRequest } from '../pki/requests.ts';
import { signerOf } from '../pki/signing.ts';
import { askOnce, type GateAnswer, type GateRequest } from './ask-gate.ts';
import type { Credential, Pin } from './credential.ts';
import { retryDelay } from './renewal-time.ts';
import { toGate } from './to-gate.ts';
import { BUNDLE_PATH, ENROLL_PATH, type IssuedAnswer, readDetail, readIssued, writeEnrollRequest } from './wire.ts';

const NOT_VERIFIED = /^(?:CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_TLS_CERT|HOSTNAME_MISMATCH|INVALID_PURPOSE)/;

export interface Enrolling {
  readonly credential: Credential;
  readonly privateKey: KeyObject;
  /** Which name it is to be; null to leave it to what it enrols with. */
  readonly identity: string | null;
  /** Where the gate is, in place of what the credential says; null for that. */
  readonly gate: URL | null;
  /** The name to verify in the gate's certificate; null for the host of its address. */
  readonly serverName: string | null;
  /** How long to try while the gate can't be reached or can't issue, ms. */
  readonly patienceMs: number;
  /** Told before each wait. */
  readonly waiting?: (reason: string, ms: number) => void;
}

/** @throws CG_ENROLL_CA, CG_IDENTITY_TOKEN, CG_ENROLL_GATE, CG_ENROLL_PIN, CG_ENROLL_REFUSED, CG_ENROLL_ANSWER */
export async function enroll(options: Enrolling): Promise<IssuedAnswer> {
  const started = performance.now();
  for (let failures = 1; ; failures++) {
    try {
      return await enrollOnce(options);
    } catch (error) {
      if (!isCertgateError(error, 'CG_ENROLL_GATE')) throw error;
      const left = options.patienceMs - (performance.now() - started);
      if (left <= 0) throw error;
      const ms = Math.min(left, Math.max(100, retryDelay(failures)));
      options.waiting?.(error.message, ms);
      await new Promise((resolve) => {
        setTimeout(resolve, ms);
      });
    }
  }
}

interface VerifiedGate {
  readonly roots: readonly X509Certificate[];
  /** A connection that is verified up to one of them, by the gate's name. */
  connect(): TLSSocket;
}

/** CG_ENROLL_CA, CG_ENROLL_GATE, CG_ENROLL_PIN. */
async function verifyGate(url: URL, pin: Pin, serverName: string | null): Promise<VerifiedGate> {
  const to: ConnectionOptions = { ...toGate({ gate: url, serverName }), minVersion: 'TLSv1.2' };
  const roots = 'ca' in pin ? rootsIn(pin.ca) : [await fetchRoot(url, to, pin.fingerprint)];
  const ca = roots.map(({ raw }) => derToPem(raw, 'CERTIFICATE'));
  return { roots, connect: () => connect({ ...to, ca }) };
}

/** What a gate that is known by `pin` answers to a GET. CG_ENROLL_CA, CG_ENROLL_GATE, CG_ENROLL_PIN. */
export async function getFromGate(url: URL, pin: Pin, serverName: string | null, path: string): Promise<GateAnswer> {
  const gate = await verifyGate(url, pin, serverName);
  return ask(url, gate.connect(), { method: 'GET', host: url.host, path });
}

async function enrollOnce({ credential, privateKey, identity, gate, serverName }: Enrolling): Promise<IssuedAnswer> {
  const url = gate ?? credential.gate;
  const verified = await verifyGate(url, credential.pin, serverName);
  const { roots } = verified;
  const csr = await createRequest(signerOf(privateKey), { commonName: null });
  const body = writeEnrollRequest({ ...(await credential.present(privateKey)), csr, identity });
  const { status, text } = await ask(url, verified.connect(), {
    method: 'POST',
    host: url.host,
    path: ENROLL_PATH,
    body,
  });
  if (status === 200) return checkAnswer(text, { credential, privateKey, identity, roots });
  const detail = readDetail(text);
  if (status === 429 || status === 503) throw unreachable(url, `${status}: ${detail}`);
  throw new CertgateError('CG_ENROLL_REFUSED', { gate: url.origin, reason: `${status}: ${detail}` });
}

/** The root whose fingerprint the token knows, from whoever is there: nothing else of the answer is believed. */
async function fetchRoot(url: URL, to: ConnectionOptions, fingerprint: string): Promise<X509Certificate> {
  // The one connection that nobody verifies: what comes over it is public, and held against the fingerprint.
  const socket = connect({ ...to, rejectUnauthorized: false });
  const { status, text } = await ask(url, socket, { method: 'GET', host: url.host, path: BUNDLE_PATH });
  let found: X509Certificate | undefined;
  try {
    if (status === 200) found = certificatesIn(text).find((one) => fingerprintOf(one) === fingerprint);
  } catch {
    // As if there were none.
  }
  if (found !== undefined) return found;
  if (status === 429 || status === 503) throw unreachable(url, `${status}: ${readDetail(text)}`);
  const problem = status === 200 ? 'it has another root' : `it shows no trust bundle (${status})`;
  throw new CertgateError('CG_ENROLL_PIN', { gate: url.origin, problem });
}

async function ask(url: URL, socket: TLSSocket, request: GateRequest): Promise<GateAnswer> {
  const failed = Promise.withResolvers<never>();
  socket.once('error', (error: NodeJS.ErrnoException) => {
    if (!NOT_VERIFIED.test(error.code ?? '')) return;
    failed.reject(new CertgateError('CG_ENROLL_PIN', { gate: url.origin, problem: reasonOf(error) }, { cause: error }));
  });
  failed.promise.catch(() => {});
  try {
    return await Promise.race([failed.promise, askOnce(socket, request)]);
  } catch (error) {
    throw isCertgateError(error) ? error : unreachable(url, reasonOf(error));
  }
}

/** The answer, when it is a certificate for this key and this name, by the CA that was pinned. CG_ENROLL_ANSWER. */
function checkAnswer(
  text: string,
  wanted: Pick<Enrolling, 'credential' | 'privateKey' | 'identity'> & { readonly roots: readonly X509Certificate[] },
): IssuedAnswer {
  const answer = readIssued(text);
  const problem = answer === null ? 'it is not what a gate answers' : problemOf(answer, wanted);
  if (answer === null || problem !== null) throw new CertgateError('CG_ENROLL_ANSWER', { problem: problem ?? '' });
  return answer;
}

function problemOf(
  { certificate, bundle, identity }: IssuedAnswer,
  { credential, privateKey, identity: asked, roots }: Parameters<typeof checkAnswer>[1],
): string | null {
  try {
    const [leaf, ...others] = certificatesIn(certificate);
    if (leaf === undefined || !leaf.checkPrivateKey(privateKey)) return 'its certificate is for another key';
    const chain = chainOf(leaf, [...others, ...roots]);
    const root = roots.find(({ raw }) => chain.certificates.at(-1)?.raw.equals(raw) === true);
    if (!chain.complete || root === undefined) return 'its certificate is by another CA';
    if (!certificatesIn(bundle).some(({ raw }) => raw.equals(root.raw))) return 'its trust bundle lacks the root';
    const uri = factsOf(leaf).subjectAltNames.find(({ type }) => type === 'URI')?.value ?? '';
    if (!uri.endsWith(`/${identity}`) || !credential.covers(identity) || (asked ?? identity) !== identity) {
      return `its certificate is for another name: ${uri}`;
    }
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}

/** What is trusted by name: no issuer in between makes a CA of anybody. CG_ENROLL_CA. */
function rootsIn(pem: string): readonly X509Certificate[] {
  let all: readonly X509Certificate[] = [];
  try {
    all = certificatesIn(pem);
  } catch {
    // As if there were none.
  }
  const roots = all.filter((one) => one.checkIssued(one));
  if (roots.length === 0) throw new CertgateError('CG_ENROLL_CA', {});
  return roots;
}

function unreachable(url: URL, reason: string): CertgateError<'CG_ENROLL_GATE'> {
  return new CertgateError('CG_ENROLL_GATE', { gate: url.origin, reason });
}
