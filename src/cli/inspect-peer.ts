// Looks at a TLS server as a client meets it: its chain, what it negotiates, whether it asks for a client certificate
// and what it answers to one request. It looks before it judges, so it connects without insisting on verification; whether the chain
// holds against a given trust bundle is reported beside. It sends one harmless GET and nothing secret.
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import type { HostAndPort } from '../config/address.ts';
import { CertgateError, reasonOf } from '../errors.ts';

export interface PeerOptions extends HostAndPort {
  /** Trust bundle, PEM; null: nothing is verified. */
  readonly ca: string | null;
  /** What to present, PEM; null: nothing. */
  readonly identity: { readonly cert: string; readonly key: string } | null;
  /** The name to ask for and to verify; null: the host. */
  readonly serverName: string | null;
  /** For the connection and its handshake, ms. */
  readonly timeout: number;
}

export interface PeerReport {
  readonly protocol: string;
  readonly cipher: string;
  /** Leaf first, as the peer sent them. */
  readonly chain: readonly X509Certificate[];
  /** `ok`, what fails with OpenSSL's or Node's name for it, or null when there was nothing to verify against. */
  readonly verification: string | null;
  /** Whether the peer sent a CertificateRequest (RFC 8446 §4.3.2). */
  readonly asksForCertificate: boolean;
  /** What came back on `GET /`: an HTTP status and the `detail` of a JSON answer, or how the peer ended it. */
  readonly answer: { readonly status: number | null; readonly detail: string };
}

/** How long to wait for an answer to the GET, ms. */
const ANSWER_TIMEOUT = 3000;
const LONGEST_ANSWER = 16_384;

/** What went wrong on a connection; TLS alerts after the handshake are in no property of the socket. */
const failures = new WeakMap<TLSSocket, Error>();

/** Connects, looks, closes. @throws CG_PEER when there is no connection or no TLS */
export async function lookAtPeer(options: PeerOptions): Promise<PeerReport> {
  const socket = await handshake(options);
  try {
    return {
      protocol: socket.getProtocol() ?? 'unknown',
      cipher: socket.getCipher().standardName ?? socket.getCipher().name,
      chain: chainOf(socket),
      verification: options.ca === null ? null : verificationOf(socket, options.serverName ?? options.host),
      // A client knows the signature algorithms it shares with the server only from the server's CertificateRequest.
      asksForCertificate: socket.getSharedSigalgs().length > 0,
      answer: await ask(socket, options.host),
    };
  } finally {
    socket.destroy();
  }
}

function verificationOf(socket: TLSSocket, name: string): string {
  if (socket.authorized) return 'ok';
  // Node's types say Error; it is the name of an OpenSSL or Node result.
  const result: unknown = socket.authorizationError;
  const code = result instanceof Error ? result.message : String(result);
  return code === 'ERR_TLS_CERT_ALTNAME_INVALID' ? `the certificate is not for ${name} (${code})` : code;
}

async function handshake({ host, port, ca, identity, serverName, timeout }: PeerOptions): Promise<TLSSocket> {
  const name = serverName ?? host;
  return await new Promise<TLSSocket>((resolve, reject) => {
    const fail = (error: unknown) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new CertgateError('CG_PEER', { peer: `${host}:${port}`, problem: plainReason(error) }, { cause: error }));
    };
    const socket = connect({
      host,
      port,
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ...(ca === null ? {} : { ca }),
      ...identity,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: false,
      ALPNProtocols: ['http/1.1'],
    });
    const timer = setTimeout(() => fail(new Error(`no TLS handshake within ${timeout} ms`)), timeout);
    // Stays on: an alert may arrive between the handshake and our question, and must not go unheard as an exception.
    socket.on('error', (error) => {
      failures.set(socket, error);
      fail(error);
    });
    socket.once('close', () => fail(new Error('the connection was closed before the handshake was done')));
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
  });
}

/** OpenSSL's errors are lines of numbers around the one phrase that says something. */
function plainReason(error: unknown): string {
  const text = reasonOf(error);
  return /:SSL routines:[^:]*:([^:]+):/.exec(text)?.[1] ?? text.trim();
}

function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = socket.getPeerX509Certificate();
  while (next !== undefined && chain.length < 10 && next.fingerprint256 !== chain.at(-1)?.fingerprint256) {
    chain.push(next);
    next = next.issuerCertificate;
  }
  return chain;
}

async function ask(socket: TLSSocket, host: string): Promise<PeerReport['answer']> {
  return await new Promise((resolve) => {
    let text = '';
    const done = (ending: string) => {
      clearTimeout(timer);
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1];
      resolve(
        status === undefined ? { status: null, detail: ending } : { status: Number(status), detail: detailIn(text) },
      );
    };
    const timer = setTimeout(() => done('no answer to a GET'), ANSWER_TIMEOUT);
    if (socket.destroyed) return done(endingOf(socket));
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > LONGEST_ANSWER) done('a long answer that is not HTTP/1.1');
    });
    socket.on('close', () => done(endingOf(socket)));
    socket.write(`GET / HTTP/1.1\r\nhost: ${isIP(host) === 6 ? `[${host}]` : host}\r\nconnection: close\r\n\r\n`);
    return undefined;
  });
}

function endingOf(socket: TLSSocket): string {
  const failure = failures.get(socket);
  return failure === undefined ? 'the connection was closed' : plainReason(failure);
}

/** The `detail` of a JSON answer, as Prefect and certgate give it; empty without one. */
function detailIn(answer: string): string {
  const literal = /"detail":\s*("(?:[^"\\\n]|\\.){0,1000}")/.exec(answer)?.[1];
  if (literal === undefined) return '';
  try {
    return String(JSON.parse(literal));
  } catch {
    return '';
  }
}
