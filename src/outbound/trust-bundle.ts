// Follows the CA's trust bundle: asks the gate for it now and then, over a connection that the present bundle verifies,
// and takes a new one when it is signed by an issuer that the present one vouches for and the gate can be reached with
// it. So a root can be rotated under a running worker, and nobody carries files. What is refused changes nothing.

import { createHash, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { reasonOf } from '../errors.ts';
import { readResponseHead } from '../http1/response.ts';
import type { Log } from '../observe/log.ts';
import { bundleIsSigned } from '../pki/bundle-signature.ts';
import { derToPem, pemBlocks } from '../pki/pem.ts';

const PATH = '/.well-known/certgate/bundle';
const LIMITS = { headBytes: 8_192, headerLines: 50 };
const MOST_BUNDLE_BYTES = 256 * 1024;
const MOST_CERTIFICATES = 30;
/** For a connection and its answer, ms. */
const PATIENCE = 10_000;

export interface TrustFollowing {
  /** The gate's Host, for the request. */
  readonly host: string;
  /** How often the gate is asked, ms; up to a fifth more or less. */
  readonly interval: number;
  /** The bundle that is trusted now, PEM. */
  readonly current: () => string;
  /** A new connection to the gate that is verified against this bundle. */
  readonly connect: (bundlePem: string) => TLSSocket;
  /** Takes a new bundle. */
  readonly take: (bundlePem: string) => void;
  readonly log: Log;
}

/** Asks soon, then every `interval`. Answers how to stop. */
export function followTrust(options: TrustFollowing): () => void {
  const { interval, log } = options;
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  const ask = async (): Promise<void> => {
    const held = options.current();
    const offered = await askGate(options.connect(held), options.host, idOf(held));
    if (offered === null) return;
    const problem = problemOf(held, offered);
    if (problem !== null) {
      log.error({ reason: problem }, 'new trust bundle refused, the old one stays');
      return;
    }
    // The last test is to use it: who takes a bundle must be able to reach the gate by it.
    await askGate(options.connect(offered.pem), options.host, idOf(held));
    options.take(offered.pem);
    // So that the gate knows at once who has it.
    await askGate(options.connect(offered.pem), options.host, idOf(offered.pem));
  };
  const schedule = (ms: number): void => {
    if (stopped) return;
    timer = setTimeout(() => {
      ask()
        .catch((error: unknown) => {
          // Whoever uses the sidecar meets the same, and that is logged louder.
          log.debug({ reason: reasonOf(error) }, 'the gate could not be asked for its trust bundle');
        })
        .finally(() => schedule(interval * (0.8 + Math.random() * 0.4)));
    }, ms);
    timer.unref();
  };
  schedule(Math.random() * Math.min(interval, 1_000));
  return () => {
    stopped = true;
    if (timer !== null) clearTimeout(timer);
  };
}

interface Offered {
  readonly pem: string;
  /** Base64; empty when there was none. */
  readonly signature: string;
}

/** Null when it would be no bundle to take in place of `held`; else why. */
function problemOf(held: string, { pem, signature }: Offered): string | null {
  try {
    const read = (text: string): X509Certificate[] =>
      pemBlocks(text, 'CERTIFICATE').map((der) => new X509Certificate(der));
    const certificates = read(pem);
    if (certificates.length === 0 || certificates.length > MOST_CERTIFICATES) {
      return `it holds ${certificates.length} certificates`;
    }
    const stranger = certificates.find((certificate) => !certificate.ca);
    if (stranger !== undefined) return `it holds ${stranger.subject.replaceAll('\n', ', ')}, which is no CA`;
    // Nothing but these certificates may be in what is written to a file.
    if (certificates.map(({ raw }) => derToPem(raw, 'CERTIFICATE')).join('') !== pem) return 'it is not plain PEM';
    if (!bundleIsSigned(pem, signature, read(held), certificates)) return 'it is not signed by an issuer known here';
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}

/** Asks for the bundle; null when the gate says that `held` is the present one, or knows no bundle. */
function askGate(socket: TLSSocket, host: string, held: string): Promise<Offered | null> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const fail = (reason: string): void => {
      socket.destroy();
      reject(new Error(reason));
    };
    const read = (): void => {
      const head = readResponseHead(bytes, 0, 'GET', LIMITS);
      if (head === null) return;
      if (!head.ok) {
        fail(head.reason);
      } else if (head.status === 304 || head.status === 404) {
        // A gate from before there were bundles asks Prefect, which knows no such path.
        socket.destroy();
        resolve(null);
      } else if (head.status !== 200 || head.bodyLength < 1 || head.bodyLength > MOST_BUNDLE_BYTES) {
        fail(`the gate answered ${head.status} with ${head.bodyLength} bytes`);
      } else if (bytes.length >= head.size + head.bodyLength) {
        socket.destroy();
        const signature = head.values[head.names.indexOf('x-certgate-signature')] ?? '';
        resolve({ pem: bytes.toString('latin1', head.size, head.size + head.bodyLength), signature });
      }
    };
    socket.setTimeout(PATIENCE, () => fail('no answer in time'));
    socket.on('error', (error) => fail(error.message));
    socket.on('close', () => fail('the gate closed the connection'));
    socket.on('data', (part: Buffer) => {
      bytes = Buffer.concat([bytes, part]);
      if (bytes.length > MOST_BUNDLE_BYTES + LIMITS.headBytes) fail('too long an answer');
      else read();
    });
    socket.once('secureConnect', () => {
      socket.write(`GET ${PATH} HTTP/1.1\r\nhost: ${host}\r\nif-none-match: "${held}"\r\nconnection: close\r\n\r\n`);
    });
  });
}

function idOf(bundlePem: string): string {
  return createHash('sha256').update(bundlePem).digest('hex');
}
