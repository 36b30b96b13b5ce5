// Keeps the sidecar's own certificate renewed: at two thirds of its life, by the wall clock, with a new key each time, over
// a connection that the present certificate opens. What fails is tried again for ever, with the same key, so that an answer
// that was lost costs nothing. Several sidecars may share one folder: one of them renews, the others take what it wrote.
// Never asks for a certificate that it could not write.

import { type KeyObject, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { askOnce, type GateAnswer, type GateRequest } from '../enroll/ask-gate.ts';
import { type PreparedRenewal, prepareRenewal, takeTurn } from '../enroll/identity-folder.ts';
import { renewalTime, retryDelay } from '../enroll/renewal-time.ts';
import { BUNDLE_PATH, RENEW_PATH, readDetail, readIssued, writeRenewRequest } from '../enroll/wire.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { generateKey, publicKeyFits } from '../pki/keys.ts';
import { derToPem, pemBlocks } from '../pki/pem.ts';
import { createRequest } from '../pki/requests.ts';
import { signerOf } from '../pki/signing.ts';
import type { Credentials } from './credentials.ts';

/** How often the clock is looked at, ms: what slept looks again at once. */
const LOOK_INTERVAL = 1_000;
/** While another process renews the same folder, ms. */
const TURN_INTERVAL = 2_000;

export interface RenewalFollowing {
  /** The folder of the identity, absolute. */
  readonly dir: string;
  /** The gate's Host, for the request. */
  readonly host: string;
  readonly current: () => Credentials;
  /** Reads the files again now, if they have changed; false when what they hold can't be taken. */
  readonly look: () => Promise<boolean>;
  /** What the file of a new key holds: encrypted where the present one is. */
  readonly keyText: (key: KeyObject) => Promise<string>;
  /** A new connection to the gate by the present certificate. */
  readonly connect: () => TLSSocket;
  /** Gets a certificate into the folder without the present one, which has ended; null where there is no token for it. */
  readonly enrollAgain: (() => Promise<void>) | null;
  readonly log: Log;
}

interface Pending {
  readonly serial: string;
  readonly csr: string;
  readonly privateKey: Parameters<typeof signerOf>[0];
  readonly prepared: PreparedRenewal;
}

/** Begins; answers how to stop. */
export function followRenewal(options: RenewalFollowing): () => Promise<void> {
  const { dir, host, current, look, connect, log } = options;
  let serial = current().certificate.serialNumber;
  let dueAt = dueOf(current());
  let failures = 0;
  let lastReason = '';
  let pending: Pending | null = null;
  let running: Promise<void> | null = null;
  let stopped = false;
  let open: TLSSocket | null = null;

  const ask = (request: GateRequest): Promise<GateAnswer> => {
    open = connect();
    return askOnce(open, request);
  };

  const drop = async (): Promise<void> => {
    await pending?.prepared.discard();
    pending = null;
  };

  const prepare = async (): Promise<Pending> => {
    const { privateKey } = await generateKey('P-256');
    const prepared = await prepareRenewal(dir, await options.keyText(privateKey));
    const csr = await createRequest(signerOf(privateKey), { commonName: null });
    return { serial, csr, privateKey, prepared };
  };

  const renew = async (): Promise<void> => {
    const giveBack = await takeTurn(dir);
    if (giveBack === null) {
      dueAt = Date.now() + TURN_INTERVAL;
      return;
    }
    try {
      // A certificate that could not be taken would be asked for again and again, until the gate saw a thief in it.
      if (!(await look())) throw new Error('the files of the present certificate can not be taken');
      if (current().certificate.serialNumber !== serial) return; // another process was faster
      pending ??= await prepare();
      const body = writeRenewRequest(pending.csr);
      const { status, text } = await ask({ method: 'POST', host, path: RENEW_PATH, body });
      if (status !== 200) throw new Error(`${status} ${readDetail(text)}`);
      const answer = readIssued(text);
      const [leaf] = answer === null ? [] : pemBlocks(answer.certificate, 'CERTIFICATE');
      if (answer === null || leaf === undefined || !publicKeyFits(derToPem(leaf, 'CERTIFICATE'), pending.privateKey)) {
        throw new Error('the answer is not a certificate for the new key');
      }
      requireValidNow(leaf);
      await pending.prepared.install(answer.certificate);
      pending = null;
      if (!(await look())) throw new Error('the new certificate is in its files, and they can not be taken');
    } finally {
      await giveBack();
    }
    // So that the gate knows from now on that the old one has been replaced; any request would do.
    const bundle = { method: 'GET', host, path: BUNDLE_PATH } as const;
    if (!stopped) await ask(bundle).catch(() => {});
  };

  const attempt = async (): Promise<void> => {
    try {
      await renew();
      failures = 0;
      lastReason = '';
    } catch (error) {
      failures++;
      const delayMs = Math.round(Math.max(100, retryDelay(failures)));
      dueAt = Date.now() + delayMs;
      const notAfter = new Date(current().notAfter).toISOString();
      const reason = reasonOf(error);
      // A gate that is away for hours, or a folder that is never to be written, is told of once.
      log[reason === lastReason ? 'debug' : 'warn'](
        { reason, notAfter, delayMs },
        'certificate not renewed, trying again',
      );
      lastReason = reason;
      if (Date.now() >= current().notAfter && !stopped) await startOver();
    }
  };

  const startOver = async (): Promise<void> => {
    if (options.enrollAgain === null) return;
    try {
      await options.enrollAgain();
      await drop();
      await look();
      log.info('the certificate had ended: enrolled again');
    } catch (error) {
      log.warn({ reason: reasonOf(error) }, 'not enrolled again, trying again');
    }
  };

  const timer = setInterval(() => {
    if (running !== null || stopped) return;
    const now = current();
    if (now.certificate.serialNumber !== serial) {
      serial = now.certificate.serialNumber;
      dueAt = dueOf(now);
      failures = 0;
      if (pending !== null && pending.serial !== serial) void drop();
    }
    if (Date.now() < dueAt) return;
    running = attempt().finally(() => {
      running = null;
    });
  }, LOOK_INTERVAL);
  timer.unref();
  return async () => {
    stopped = true;
    clearInterval(timer);
    // What is under way is of no use any more; the same key would get the same certificate.
    open?.destroy();
    await running;
    await drop();
  };
}

/** By this machine's clock: what it would take for expired it could not use, and the same key gets it again later. */
function requireValidNow(der: Uint8Array): void {
  const { validFromDate, validToDate } = new X509Certificate(der);
  const now = Date.now();
  if (now >= validFromDate.getTime() && now < validToDate.getTime()) return;
  const [from, to] = [validFromDate.toISOString(), validToDate.toISOString()];
  throw new Error(`by the clock of this machine the new certificate, from ${from} to ${to}, is not valid now`);
}

function dueOf({ certificate, notAfter }: Credentials): number {
  return renewalTime(certificate.validFromDate.getTime(), notAfter);
}
