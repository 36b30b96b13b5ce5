// The gate's own server certificate: issued by the authority at start, with a new key each time, and renewed by itself
// at two thirds of its life less up to a twentieth (DESIGN.md), by the wall clock, so that a suspended machine catches
// up; and where a clock that was ahead is set back, for nobody believes a certificate before its time. Its record is
// committed like any other. A failed renewal is tried again and never takes the old one away.

import type { Authority } from '../authority/authority.ts';
import { isAddress } from '../config/address.ts';
import { renewalTime } from '../enroll/renewal-time.ts';
import { reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { signBundle } from '../pki/bundle-signature.ts';
import { generateKey, privateKeyToPem } from '../pki/keys.ts';

/** How often the clock is looked at, ms. */
const LOOK_INTERVAL = 5_000;

export interface ServerCredentials {
  /** Leaf, then issuer, PEM. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly serial: string;
  /** ms since the epoch */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Whose certificates the gate lets in, and what it tells its clients to trust. */
export interface ClientTrust {
  /** PEM of the issuers that clients' certificates may be from. */
  readonly issuersPem: string;
  /** Their key identifiers. */
  readonly issuers: readonly string[];
  /** The trust bundle that everybody should have, PEM, and its SHA-256, hex. */
  readonly bundlePem: string;
  readonly bundleId: string;
  /** See NumberedBundle. */
  readonly bundleNumber: number;
  /** By the issuer, base64: see pki/bundle-signature.ts. */
  readonly bundleSignature: string;
}

/** The trust of the authority as it is now; plain, to be sent to workers. What the issuer's signer throws. */
export async function clientTrustOf({ ca: { trust, issuer } }: Authority): Promise<ClientTrust> {
  const { issuersPem, issuers, bundlePem, bundleId, bundleNumber } = trust;
  const bundleSignature = await signBundle({ pem: bundlePem, number: bundleNumber }, issuer.signer);
  return { issuersPem, issuers: [...issuers], bundlePem, bundleId, bundleNumber, bundleSignature };
}

/** Issues a server certificate for `names` (DNS names and IP addresses). CG_* of the authority. */
export async function issueServerCertificate(
  authority: Authority,
  names: readonly string[],
  ttlMs: number,
): Promise<ServerCredentials> {
  const pair = await generateKey('P-256');
  const issued = await authority.issue({
    identity: 'gate/inbound',
    profile: 'server',
    ttlMs,
    untilIssuerEnds: true,
    publicKey: pair.publicKey,
    dns: names.filter((name) => !isAddress(name)),
    ip: names.filter(isAddress),
    actor: 'gate',
  });
  return {
    chainPem: issued.chainPem,
    keyPem: privateKeyToPem(pair.privateKey),
    serial: issued.record.serial,
    notBefore: issued.record.notBefore,
    notAfter: issued.record.notAfter,
  };
}

/** What keeps the gate's certificate renewed. */
export interface Renewal {
  /** Renews now; as with any other renewal, a failure is logged and tried again. */
  renew(): Promise<void>;
  stop(): void;
}

/** Keeps `current` renewed; `install` gets each new one. */
export function keepRenewed(
  current: ServerCredentials,
  issue: () => Promise<ServerCredentials>,
  install: (fresh: ServerCredentials) => void,
  log: Log,
): Renewal {
  let renewAt = renewalTime(current.notBefore, current.notAfter);
  let { notBefore } = current;
  let busy: Promise<void> | null = null;
  const renew = (): Promise<void> => {
    renewAt = Math.min(renewAt, Date.now());
    busy ??= issue()
      .then((fresh) => {
        install(fresh);
        renewAt = renewalTime(fresh.notBefore, fresh.notAfter);
        ({ notBefore } = fresh);
        log.info(
          { serial: fresh.serial, notAfter: new Date(fresh.notAfter).toISOString() },
          'server certificate renewed',
        );
      })
      .catch((error: unknown) => log.error({ reason: reasonOf(error) }, 'server certificate not renewed, trying again'))
      .finally(() => {
        busy = null;
      });
    return busy;
  };
  const timer = setInterval(() => {
    const now = Date.now();
    if (now >= renewAt || now < notBefore) void renew();
  }, LOOK_INTERVAL);
  timer.unref();
  return {
    async renew() {
      // One that is under way may have begun before the reason for this one.
      await busy;
      await renew();
    },
    stop: () => clearInterval(timer),
  };
}
