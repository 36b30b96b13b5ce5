// One renewal of a certificate: with a new key, over a connection that the present certificate opens. What failed is tried
// again with the same key, so that an answer that was lost costs nothing. Of several processes that share one folder one
// renews at a time, and what another was faster with is taken. Never asks for a certificate that it could not write.

import { type KeyObject, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { askOnce, type GateAnswer, type GateRequest } from '../enroll/ask-gate.ts';
import { type PreparedRenewal, prepareRenewal, takeTurn } from '../enroll/identity-folder.ts';
import { BUNDLE_PATH, RENEW_PATH, readDetail, readIssued, writeRenewRequest } from '../enroll/wire.ts';
import { CertgateError } from '../errors.ts';
import { generateKey, publicKeyFits } from '../pki/keys.ts';
import { derToPem, pemBlocks } from '../pki/pem.ts';
import { createRequest } from '../pki/requests.ts';
import { signerOf } from '../pki/signing.ts';
import type { Credentials } from './credentials.ts';
import type { GateClock } from './gate-clock.ts';

export interface Renewing {
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
  /** Hears of each answer. */
  readonly clock: GateClock;
}

/** `taken`: another process had renewed; `busy`: another process is renewing now. */
export type RenewalOutcome = 'renewed' | 'taken' | 'busy';

export interface Renewer {
  /** Renews the certificate with the serial number `serial`. CG_RENEWAL_REFUSED; Errors for the rest. */
  renew(serial: string): Promise<RenewalOutcome>;
  /** Hears what time it is for the gate. Errors when it can't be asked. */
  hearTime(): Promise<void>;
  /** Removes what a failed try has left, unless it is for the certificate `serial`. */
  drop(serial?: string): Promise<void>;
  /** Ends what is under way, which then fails. */
  cut(): void;
}

interface Pending {
  readonly serial: string;
  readonly csr: string;
  readonly privateKey: Parameters<typeof signerOf>[0];
  readonly prepared: PreparedRenewal;
}

export function openRenewer({ dir, host, current, look, keyText, connect, clock }: Renewing): Renewer {
  let pending: Pending | null = null;
  let open: TLSSocket | null = null;
  let stopped = false;
  const bundle = { method: 'GET', host, path: BUNDLE_PATH } as const;

  const ask = async (request: GateRequest): Promise<GateAnswer> => {
    open = connect();
    const answer = await askOnce(open, request);
    clock.hear(answer.header('date'));
    return answer;
  };

  const prepare = async (serial: string): Promise<Pending> => {
    const { privateKey } = await generateKey('P-256');
    const prepared = await prepareRenewal(dir, await keyText(privateKey));
    const csr = await createRequest(signerOf(privateKey), { commonName: null });
    return { serial, csr, privateKey, prepared };
  };

  const renew = async (serial: string): Promise<RenewalOutcome> => {
    const giveBack = takeTurn(dir);
    if (giveBack === null) return 'busy';
    try {
      // A certificate that could not be taken would be asked for again and again, until the gate saw a thief in it.
      if (!(await look())) throw new Error('the files of the present certificate can not be taken');
      if (current().certificate.serialNumber !== serial) return 'taken';
      pending ??= await prepare(serial);
      const body = writeRenewRequest(pending.csr);
      const { status, text } = await ask({ method: 'POST', host, path: RENEW_PATH, body });
      if (status !== 200) throw new CertgateError('CG_RENEWAL_REFUSED', { reason: `${status} ${readDetail(text)}` });
      const answer = readIssued(text);
      const [leaf] = answer === null ? [] : pemBlocks(answer.certificate, 'CERTIFICATE');
      if (answer === null || leaf === undefined || !publicKeyFits(derToPem(leaf, 'CERTIFICATE'), pending.privateKey)) {
        throw new Error('the answer is not a certificate for the new key');
      }
      requireValidAt(clock.now(), leaf);
      await pending.prepared.install(answer.certificate);
      pending = null;
      if (!(await look())) throw new Error('the new certificate is in its files, and they can not be taken');
    } finally {
      giveBack();
    }
    // So that the gate knows from now on that the old one has been replaced; any request would do.
    if (!stopped) await ask(bundle).catch(() => {});
    return 'renewed';
  };

  return {
    renew,
    async hearTime() {
      await ask(bundle);
    },
    async drop(serial) {
      if (pending === null || pending.serial === serial) return;
      const { prepared } = pending;
      pending = null;
      await prepared.discard();
    },
    cut() {
      stopped = true;
      open?.destroy();
    },
  };
}

/** What would be taken for expired could not be used, and the same key gets it again later. */
function requireValidAt(now: number, der: Uint8Array): void {
  const { validFromDate, validToDate } = new X509Certificate(der);
  if (now >= validFromDate.getTime() && now < validToDate.getTime()) return;
  const [from, to] = [validFromDate.toISOString(), validToDate.toISOString()];
  throw new Error(`the new certificate, from ${from} to ${to}, is not valid now, at ${new Date(now).toISOString()}`);
}
