// Follows the CA's trust bundle: asks the gate for it now and then, over a connection that the present bundle verifies,
// and takes a new one when it is signed by an issuer that the present one vouches for and the gate can be reached with
// it. So a root can be rotated under a running worker, and nobody carries files. What is refused changes nothing. One that
// is older than one that was seen is refused, whoever tells it: it may hold a root that is trusted no more.

import { setTimeout as pause } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { askOnce } from '../enroll/ask-gate.ts';
import type { BundleNumber } from '../enroll/bundle-number.ts';
import { BUNDLE_PATH, readDetail } from '../enroll/wire.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { bundleIdOf, bundleIsSigned, type NumberedBundle } from '../pki/bundle-signature.ts';
import { certificatesIn } from '../pki/chain.ts';
import { onOneLine } from '../pki/names.ts';
import { derToPem } from '../pki/pem.ts';
import type { SidecarState } from './sidecar-state.ts';

const MOST_BUNDLE_BYTES = 256 * 1024;
const MOST_CERTIFICATES = 30;
/** For a connection and its answer, ms. */
const PATIENCE = 10_000;
/** At the end, for an answer that says why nothing works any more, ms. */
const LAST_PATIENCE = 1_000;
/** What helps who is refused, whatever it is for. */
const WHOM_TO_ASK =
  'ask whoever runs the gate: certgate locks and certgate list NAME say why; certgate unlock ends a lock, certgate token create NAME makes a token for a new certificate';
/** The least time between being asked and being asked again out of turn, ms: at first, then twice as long each time. */
const FIRST_GAP = 1_000;

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
  /** The largest number of a bundle that was seen. */
  readonly number: BundleNumber;
  /** Gets the Date of each answer, whatever else it says; null where it has none. */
  readonly hear: (date: string | null) => void;
  /** How the gate answers is noted there, and what became of the bundles that it told. */
  readonly state: Omit<SidecarState, 'counts'> & {
    readonly counts: Pick<SidecarState['counts'], 'bundlesTaken' | 'bundlesRefused'>;
  };
  readonly log: Log;
}

export interface FollowedTrust {
  /** The gate may have something to say: it is asked now, unless it was a moment ago; more and more seldom while that goes on. */
  readonly askSoon: () => void;
  /** Waits for a question that is under way, a second at most: its answer may say why a command has just failed. */
  readonly stop: () => Promise<void>;
}

/** Asks soon, then every `interval`. */
export function followTrust(options: TrustFollowing): FollowedTrust {
  const { interval, state, log } = options;
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  let asking: Promise<void> | null = null;
  /** Why the gate does not take the certificate; empty while it does. */
  let refused = '';
  let askedAt = Number.NEGATIVE_INFINITY;
  let wantedAt = Number.NEGATIVE_INFINITY;
  let gap = FIRST_GAP;
  let answered = true;
  const askGate = (ca: string, held: string): Promise<Offered | null> =>
    askForBundle(options.connect(ca), options.host, held, options.hear);
  const ask = async (): Promise<void> => {
    const held = options.current();
    const offered = await askGate(held, held);
    if (offered === null) return;
    const seen = Math.max(options.number.seen(), leastNumberOf(held));
    if (offered.pem === held) {
      state.bundleConfirmed = Date.now();
      // That it is the one held is its say; which number that has is not.
      if (offered.number > seen && problemOf(held, offered, seen) === null) options.number.note(offered.number);
      return;
    }
    const problem = problemOf(held, offered, seen);
    if (problem !== null) {
      state.counts.bundlesRefused++;
      log.error({ reason: problem }, 'new trust bundle refused, the old one stays');
      return;
    }
    // The last test is to use it: who takes a bundle must be able to reach the gate by it.
    await askGate(offered.pem, held);
    // First: a kill in between leaves a bundle that its successor, of this number, may replace.
    options.number.note(offered.number);
    options.take(offered.pem);
    state.counts.bundlesTaken++;
    state.bundleConfirmed = Date.now();
    // So that the gate knows at once who has it.
    await askGate(offered.pem, offered.pem);
  };
  const schedule = (ms: number): void => {
    if (stopped) return;
    timer = setTimeout(askNow, ms);
    timer.unref();
  };
  const askNow = (): void => {
    askedAt = performance.now();
    asking = ask()
      .then(() => {
        // Who was told to ask again and again meanwhile begins anew with the next reason to.
        if (!answered) gap = FIRST_GAP;
        answered = true;
        state.gate = true;
        if (refused !== '') log.info('the gate takes the certificate again');
        refused = '';
      })
      .catch(told)
      .finally(() => {
        asking = null;
        schedule(interval * (0.8 + Math.random() * 0.4));
      });
  };
  const told = (error: unknown): void => {
    answered = false;
    state.gate = false;
    const reason = reasonOf(error);
    // Whoever uses the sidecar meets anything else, and that is logged louder.
    if (!(error instanceof Refused)) log.debug({ reason }, 'the gate could not be asked for its trust bundle');
    else if (reason !== refused) {
      log.warn({ reason, look: WHOM_TO_ASK }, 'the gate does not take the certificate');
      refused = reason;
    }
  };
  schedule(Math.random() * Math.min(interval, 1_000));
  return {
    askSoon() {
      const now = performance.now();
      if (now - wantedAt > interval) gap = FIRST_GAP;
      wantedAt = now;
      if (stopped || asking !== null || now - askedAt < gap) return;
      gap = Math.min(interval, gap * 2);
      if (timer !== null) clearTimeout(timer);
      askNow();
    },
    async stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      if (asking !== null) await Promise.race([asking, pause(LAST_PATIENCE, undefined, { ref: false })]);
    },
  };
}

/** The gate answers, and not to this certificate; the message is why, in the gate's words. */
class Refused extends Error {}

interface Offered extends NumberedBundle {
  /** Base64; empty when there was none. */
  readonly signature: string;
}

/**
 * The bundle's number is no less than this: it was made when its newest certificate was, or later. So one that lacks that
 * certificate is known for an old one, even where no number was ever noted.
 */
function leastNumberOf(bundlePem: string): number {
  const made = certificatesIn(bundlePem).map(({ validFromDate }) => validFromDate.getTime());
  return Math.max(0, ...made);
}

/** Why the bundle is none to take in place of `held`, where one numbered `seen` was seen; null when it is. */
function problemOf(held: string, offered: Offered, seen: number): string | null {
  const { pem, number, signature } = offered;
  try {
    const certificates = certificatesIn(pem);
    if (certificates.length > MOST_CERTIFICATES) return `it holds ${certificates.length} certificates`;
    const stranger = certificates.find((certificate) => !certificate.ca);
    if (stranger !== undefined) return `it holds ${onOneLine(stranger.subject)}, which is no CA`;
    // Nothing but these certificates may be in what is written to a file.
    if (certificates.map(({ raw }) => derToPem(raw, 'CERTIFICATE')).join('') !== pem) return 'it is not plain PEM';
    if (number === 0) return 'it has no number: the gate is of an older certgate';
    if (!bundleIsSigned(offered, signature, certificatesIn(held), certificates))
      return 'it is not signed by an issuer known here';
    if (number < seen) return `it is an old one: its number is ${number}, and ${seen} was seen here`;
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}

/** Asks for the bundle, which is `held` itself when the gate says that this is the present one; null when it knows none. */
async function askForBundle(
  socket: TLSSocket,
  host: string,
  held: string,
  hear: TrustFollowing['hear'],
): Promise<Offered | null> {
  const request = {
    method: 'GET',
    host,
    path: BUNDLE_PATH,
    ifNoneMatch: bundleIdOf(held),
    patience: PATIENCE,
  } as const;
  const { status, text, header } = await askOnce(socket, request);
  hear(header('date'));
  // A gate from before there were bundles asks Prefect, which knows no such path.
  if (status === 404) return null;
  if (status === 403) throw new Refused(readDetail(text).replace(/^certgate: /, '') || 'it does not say why');
  const signature = header('x-certgate-signature') ?? '';
  const number = Number(/^[1-9]\d{0,15}$/.exec(header('x-certgate-bundle-number') ?? '')?.[0] ?? 0);
  if (status === 304) return { pem: held, number, signature };
  if (status !== 200 || text === '' || text.length > MOST_BUNDLE_BYTES) {
    throw new Error(`the gate answered ${status} with ${text.length} characters`);
  }
  return { pem: text, number, signature };
}
