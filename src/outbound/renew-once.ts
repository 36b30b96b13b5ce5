// Renews the certificate of a folder once, also one that has ended: the gate says whether its grace lets that be.

import { connect as connectTls } from 'node:tls';
import { type GateName, toGate } from '../enroll/to-gate.ts';
import { CertgateError, isCertgateError, reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { type CredentialFiles, type Credentials, watchCredentials } from './credentials.ts';
import { openGateClock } from './gate-clock.ts';
import { openRenewer, type RenewalOutcome } from './renew.ts';
import { renewalDue } from './renewal.ts';

export interface RenewingOnce extends GateName {
  /** The folder of `files`, absolute. */
  readonly dir: string;
  readonly files: CredentialFiles;
  /** Leaves alone what is younger than about two thirds of its life. */
  readonly ifDue: boolean;
  readonly log: Log;
}

export interface RenewedOnce {
  readonly outcome: RenewalOutcome | 'not due';
  /** What the folder holds now. */
  readonly credentials: Credentials;
}

/** CG_RENEWAL_REFUSED; CG_RENEWAL when the gate can't be reached, or the folder not be written; CG_CREDENTIALS, CG_PASSPHRASE, CG_KEY_MODE. */
export async function renewOnce(options: RenewingOnce): Promise<RenewedOnce> {
  const { dir } = options;
  const clock = openGateClock(options.log);
  const credentials = await watchCredentials(options.files, options.log, () => {}, null);
  const renewer = openRenewer({
    dir,
    host: options.gate.host,
    current: () => credentials.current,
    look: () => credentials.look(),
    keyText: (key) => credentials.keyText(key),
    connect: () => connectTls({ ...toGate(options), secureContext: credentials.current.context }),
    clock,
  });
  try {
    const { current } = credentials;
    const isDue = (): boolean => clock.now() >= renewalDue(current);
    if (options.ifDue && !isDue()) {
      // By a clock that is behind it would never be. A gate that is away says nothing of it, and takes nothing from it.
      await renewer.hearTime().catch(() => {});
      if (!isDue()) return { outcome: 'not due', credentials: current };
    }
    const outcome = await renewer.renew(current.certificate.serialNumber);
    return { outcome, credentials: credentials.current };
  } catch (error) {
    if (isCertgateError(error)) throw error;
    const facts = { dir, reason: reasonOf(error), gate: options.gate.origin };
    throw new CertgateError('CG_RENEWAL', facts, { cause: error });
  } finally {
    await renewer.drop();
    credentials.stop();
  }
}
