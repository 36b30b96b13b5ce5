// Keeps a running gate in step with its CA, whoever changes it: it looks at the store's revision a few times a second,
// reads the CA anew when that has moved, and has what follows installed. It also does what nobody should have to
// remember: it rotates the issuer at two thirds of its life when the key above it is at hand, and retires issuers whose
// leaves have ended. What fails is logged and tried again; the CA that was there stays in use.

import type { Authority } from '../authority/authority.ts';
import { agesOf } from '../authority/ca-ages.ts';
import { type CaPlace, writeBundle } from '../authority/change.ts';
import { retireIssuers, rotateIssuer, rotationTime } from '../authority/rotate.ts';
import { EXIT, isCertgateError, reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';

/** How often the store's revision is looked at, ms. */
const LOOK_INTERVAL = 250;
/** How often the issuer's age is looked at, and what failed is tried again, ms. */
const UPKEEP_INTERVAL = 60_000;
/** How often it is said that the issuer can't be rotated for want of a key, or that a certificate is near its end, ms. */
const REMIND_INTERVAL = 86_400_000;

export interface CaWatchOptions {
  readonly authority: Authority;
  readonly place: CaPlace;
  readonly log: Log;
  /** Installs what follows from the authority as it is now; `issuerChanged` when something else issues. */
  readonly changed: (issuerChanged: boolean) => Promise<void>;
}

export interface CaWatch {
  stop(): void;
}

/** Starts watching. */
export function watchCa({ authority, place, log, changed }: CaWatchOptions): CaWatch {
  let revision: number | null = null;
  let opened: number | null = null;
  let busy = false;
  /** By performance.now(), as what follows: a wall clock that was ahead and is set back would keep all of it waiting. */
  let upkeepAt = 0;
  let remindAt = 0;
  let warnAt = 0;
  /** Of issuers that are to be retired. */
  const waits = new Map<string, number>();
  let failing = false;
  /** The CA was read anew, and what follows is still to be installed. */
  let pending = false;
  let issuing = authority.issuer.keyId;

  const look = async (): Promise<void> => {
    const now = await place.store.revision();
    const { openings } = place.store;
    if (now !== revision || openings !== opened) {
      if (await authority.reload()) {
        pending = true;
        const { trust } = authority.ca;
        log.info({ bundle: trust.bundleId, issuers: [...trust.issuers] }, 'the CA has changed');
      }
      // At the start, too: the file may be from before a change that was killed, or have been written over.
      const isToWrite = pending || revision === null;
      if (pending) {
        const { keyId } = authority.issuer;
        await changed(keyId !== issuing);
        [pending, issuing] = [false, keyId];
      }
      if (isToWrite) {
        await writeBundle(place.certsDir, authority.ca.trust).catch((error: unknown) => {
          log.warn({ reason: reasonOf(error) }, 'ca.crt is not up to date');
        });
      }
      [revision, opened] = [now, openings];
    }
    if (performance.now() < upkeepAt) return;
    upkeepAt = performance.now() + UPKEEP_INTERVAL;
    await keepUp();
  };

  const warnOfAges = (): void => {
    if (performance.now() < warnAt) return;
    warnAt = performance.now() + REMIND_INTERVAL;
    for (const { name, notAfter, standing } of agesOf(authority.ca.trust.records, Date.now())) {
      if (standing === 'good' || standing === 'due') continue;
      const facts = { certificate: name, notAfter: new Date(notAfter).toISOString(), standing };
      log[standing === 'near' ? 'warn' : 'error'](
        facts,
        'a certificate of the CA needs another in its place: certgate ca check',
      );
    }
  };

  const keepUp = async (): Promise<void> => {
    warnOfAges();
    await retireIssuers(place, waits);
    const { activeIssuer } = authority.ca.trust;
    if (activeIssuer === null || Date.now() < rotationTime(activeIssuer)) return;
    try {
      await rotateIssuer(place);
      log.info('the issuer has reached two thirds of its life: another issues now');
    } catch (error) {
      // The key above is kept elsewhere, or the issuer's own is a signer's: it is for a person to do, who is told once a day.
      if (!isCertgateError(error, 'CG_CA_KEY') && !isCertgateError(error, 'CG_SIGNER_KEY')) throw error;
      if (performance.now() < remindAt) return;
      remindAt = performance.now() + REMIND_INTERVAL;
      const notAfter = authority.issuer.certificate.validToDate.toISOString();
      const flag = error.code === 'CG_CA_KEY' ? '--root-key FILE' : '--key-here';
      log.warn({ notAfter, reason: error.message }, `the issuer is to be rotated: certgate ca rotate issuer ${flag}`);
    }
  };

  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    look()
      .then(() => {
        failing = false;
      })
      .catch((error: unknown) => {
        // The store's own failures are the revocation watch's to tell.
        if (!failing && !(isCertgateError(error) && error.exitCode === EXIT.storage)) {
          log.error({ reason: reasonOf(error) }, 'the CA could not be brought up to date, trying again');
        }
        failing = true;
      })
      .finally(() => {
        busy = false;
      });
  }, LOOK_INTERVAL);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
