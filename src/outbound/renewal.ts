// Keeps a certificate renewed: at two thirds of its life by the gate's clock, or when it is told to. What fails is tried again
// for ever. What the gate says has ended is replaced by a token, where there is one, whatever the clock of this machine
// says. Several processes may share one folder: one of them renews, the others take what it wrote.

import { renewalTime } from '../enroll/renewal-time.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import type { Credentials } from './credentials.ts';
import { openRenewer, type Renewing } from './renew.ts';
import { type Lifetime, openSchedule } from './renewal-schedule.ts';
import type { SidecarCounts } from './sidecar-state.ts';

/** How often the clock is looked at, ms: what slept looks again at once. */
const LOOK_INTERVAL = 1_000;
/** While another process renews the same folder, ms. */
const TURN_INTERVAL = 2_000;

export interface RenewalFollowing extends Renewing {
  /** Gets a certificate into the folder without the present one, which has ended; null where there is no token for it. */
  readonly enrollAgain: (() => Promise<void>) | null;
  readonly counts: Pick<SidecarCounts, 'renewals' | 'renewalFailures'>;
  readonly log: Log;
}

export interface FollowedRenewal {
  /** Renews at the next look, due or not. */
  readonly now: () => void;
  /** Ends what is under way, too. */
  readonly stop: () => Promise<void>;
}

export function followRenewal(options: RenewalFollowing): FollowedRenewal {
  const { current, look, clock, counts, log } = options;
  const renewer = openRenewer(options);
  let { serialNumber: serial } = current().certificate;
  const schedule = openSchedule(lifetimeOf(current()), clock);
  let lastReason = '';
  let running: Promise<void> | null = null;
  let stopped = false;

  const take = (): void => {
    serial = current().certificate.serialNumber;
    schedule.take(lifetimeOf(current()));
  };

  const attempt = async (): Promise<void> => {
    try {
      const outcome = await renewer.renew(serial);
      if (outcome === 'busy') schedule.wait(TURN_INTERVAL);
      // Also one whose serial number is that of the one before, which no honest gate makes: it would be due for ever.
      if (outcome === 'renewed') {
        counts.renewals++;
        take();
      }
      lastReason = '';
    } catch (error) {
      counts.renewalFailures++;
      const delayMs = schedule.failed();
      const notAfter = new Date(current().notAfter).toISOString();
      const reason = reasonOf(error);
      // A gate that is away for hours, or a folder that is never to be written, is told of once.
      log[reason === lastReason ? 'debug' : 'warn'](
        { reason, notAfter, delayMs },
        'certificate not renewed, trying again',
      );
      lastReason = reason;
      if (clock.now() >= current().notAfter && !stopped) await startOver();
    }
  };

  const startOver = async (): Promise<void> => {
    if (options.enrollAgain === null) return;
    try {
      await options.enrollAgain();
      await renewer.drop();
      await look();
      log.info('the certificate had ended: enrolled again');
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, 'not enrolled again, trying again');
    }
  };

  const timer = setInterval(() => {
    if (running !== null || stopped) return;
    if (current().certificate.serialNumber !== serial) {
      take();
      void renewer.drop(serial);
    }
    if (!schedule.isTime()) return;
    running = attempt().finally(() => {
      running = null;
    });
  }, LOOK_INTERVAL);
  timer.unref();
  return {
    now: () => schedule.atOnce(),
    async stop() {
      stopped = true;
      clearInterval(timer);
      // What is under way is of no use any more; the same key would get the same certificate.
      renewer.cut();
      await running;
      await renewer.drop();
    },
  };
}

function lifetimeOf({ certificate, notAfter }: Credentials): Lifetime {
  return { notBefore: certificate.validFromDate.getTime(), notAfter };
}

/** When to renew them, ms since the epoch. */
export function renewalDue(credentials: Credentials): number {
  const { notBefore, notAfter } = lifetimeOf(credentials);
  return renewalTime(notBefore, notAfter);
}
