// Follows the CA's trust bundle: asks the gate for it now and then, over a connection that the present bundle verifies,
// and takes a new one when it is signed by an issuer that the present one vouches for and the gate can be reached with
// it. So a root can be rotated under a running worker, and nobody carries files. What is refused changes nothing.

import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { askOnce } from '../enroll/ask-gate.ts';
import { BUNDLE_PATH } from '../enroll/wire.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { bundleIdOf, bundleIsSigned } from '../pki/bundle-signature.ts';
import { onOneLine } from '../pki/names.ts';
import { derToPem, pemBlocks } from '../pki/pem.ts';

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
    const offered = await askGate(options.connect(held), options.host, bundleIdOf(held));
    if (offered === null) return;
    const problem = problemOf(held, offered);
    if (problem !== null) {
      log.error({ reason: problem }, 'new trust bundle refused, the old one stays');
      return;
    }
    // The last test is to use it: who takes a bundle must be able to reach the gate by it.
    await askGate(options.connect(offered.pem), options.host, bundleIdOf(held));
    options.take(offered.pem);
    // So that the gate knows at once who has it.
    await askGate(options.connect(offered.pem), options.host, bundleIdOf(offered.pem));
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
    if (stranger !== undefined) return `it holds ${onOneLine(stranger.subject)}, which is no CA`;
    // Nothing but these certificates may be in what is written to a file.
    if (certificates.map(({ raw }) => derToPem(raw, 'CERTIFICATE')).join('') !== pem) return 'it is not plain PEM';
    if (!bundleIsSigned(pem, signature, read(held), certificates)) return 'it is not signed by an issuer known here';
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}

/** Asks for the bundle; null when the gate says that `held` is the present one, or knows no bundle. */
async function askGate(socket: TLSSocket, host: string, held: string): Promise<Offered | null> {
  const request = { method: 'GET', host, path: BUNDLE_PATH, ifNoneMatch: held, patience: PATIENCE } as const;
  const { status, text, header } = await askOnce(socket, request);
  // A gate from before there were bundles asks Prefect, which knows no such path.
  if (status === 304 || status === 404) return null;
  if (status !== 200 || text === '' || text.length > MOST_BUNDLE_BYTES) {
    throw new Error(`the gate answered ${status} with ${text.length} characters`);
  }
  return { pem: text, signature: header('x-certgate-signature') ?? '' };
}
