// An identity that is kept: its certificate renewed, its trust bundle followed, its files read again when somebody else
// changes them. The sidecar serves by one; `certgate renew --daemon` keeps one for programs that read the files.

import { openBundleNumber } from '../enroll/bundle-number.ts';
import type { GateName } from '../enroll/to-gate.ts';
import type { Log } from '../observe/log.ts';
import { connectToGate } from './connect-gate.ts';
import { type CredentialFiles, type Credentials, watchCredentials } from './credentials.ts';
import { type Clocks, openGateClock } from './gate-clock.ts';
import { followRenewal } from './renewal.ts';
import { createSidecarState, type SidecarState } from './sidecar-state.ts';
import { followTrust } from './trust-bundle.ts';

export interface IdentityOptions extends GateName {
  readonly files: CredentialFiles;
  readonly trust: {
    /** How often the gate is asked for its trust bundle, ms. */
    readonly interval: number;
    /** Whether a new one may be written to `files.ca`. */
    readonly write: boolean;
  };
  /** The folder of `files` when its certificate is to be renewed from here, absolute; null when that is somebody else's. */
  readonly renewIn: string | null;
  /** The command with which a person gets the next certificate, where one has to; null for what renews itself. */
  readonly again: string | null;
  /** See RenewalFollowing. */
  readonly enrollAgain: (() => Promise<void>) | null;
  readonly log: Log;
  /** The clocks of this machine, where a test has others. */
  readonly clocks?: Clocks;
}

export interface KeptIdentity {
  readonly current: Credentials;
  /** The files hold what can't be taken: what they held before serves on. */
  readonly filesRefused: boolean;
  /** What time it is for the gate, ms since the epoch. */
  readonly now: () => number;
  /** The gate has refused a request: it may have said that the certificate has ended, so it is asked what time it is. */
  readonly doubt: () => void;
  /** Renews now, due or not. */
  readonly renewNow: () => void;
  stop(): Promise<void>;
}

/**
 * Reads the identity and keeps it; `changed` is called after each change, `state` is kept. CG_CREDENTIALS, CG_PASSPHRASE,
 * CG_KEY_MODE.
 */
export async function keepIdentity(
  options: IdentityOptions,
  changed: () => void,
  state: SidecarState = createSidecarState(),
): Promise<KeptIdentity> {
  const { files, log, trust, renewIn } = options;
  const { host } = options.gate;
  const clock = openGateClock(log, options.clocks);
  // What is renewed from here may have ended by a clock that is ahead: whether it has, the gate is asked at once.
  const first = renewIn === null ? clock.now : null;
  const credentials = await watchCredentials(files, log, changed, clock.now, options.again, first);
  const trusting = followTrust({
    host,
    interval: trust.interval,
    current: () => credentials.current.ca,
    connect: (bundle) =>
      connectToGate(options, state.counts, { secureContext: credentials.current.contextWith(bundle) }),
    take: (bundle) => credentials.trust(bundle, trust.write),
    number: openBundleNumber(trust.write ? files.ca : null, log),
    hear: clock.hear,
    state,
    log,
  });
  const renewal =
    renewIn === null
      ? null
      : followRenewal({
          dir: renewIn,
          host,
          current: () => credentials.current,
          look: () => credentials.look(),
          keyText: (key) => credentials.keyText(key),
          connect: () => connectToGate(options, state.counts, { secureContext: credentials.current.context }),
          clock,
          enrollAgain: options.enrollAgain,
          counts: state.counts,
          log,
        });
  return {
    get current() {
      return credentials.current;
    },
    get filesRefused() {
      return credentials.refused;
    },
    now: clock.now,
    doubt: trusting.askSoon,
    renewNow: () => renewal?.now(),
    async stop() {
      await trusting.stop();
      await renewal?.stop();
      credentials.stop();
    },
  };
}
