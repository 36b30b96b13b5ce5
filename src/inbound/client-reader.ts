// What a client's certificate says: by which of our issuers it is, whom it speaks for, and the header lines that say so
// upstream. It says the same each time it is shown, so it is read once and remembered by its octets. Whether it is in its
// time, chains to our CA and stands unrevoked is never remembered: OpenSSL and the records are asked with every handshake.

import type { KeyObject, X509Certificate } from 'node:crypto';
import { type CompiledRules, type Identified, identify, type Unidentified } from '../identity/identify.ts';
import { clientProblemOf } from '../pki/client-profile.ts';
import { factsOf, fingerprintOf, readCertificates } from '../pki/facts.ts';
import { keyIdOf } from '../pki/keys.ts';
import { certificateLines } from './request-head.ts';
import type { ClientTrust } from './server-certificate.ts';

export interface ReadClient {
  readonly serial: string;
  readonly issuer: string;
  /** SHA-256 of its DER, hex. */
  readonly fingerprint: string;
  readonly who: Identified | Unidentified;
  /** Why it is no client's certificate, in words that follow "the certificate"; null when it is one. */
  readonly unfit: string | null;
  /** ms since the epoch */
  readonly notAfter: number;
  /** Header lines for upstream; empty where `who` is nobody. */
  readonly lines: string;
}

/** Some 2 KiB each. Only certificates that OpenSSL has verified come here, so that no stranger can fill it. */
const MOST_REMEMBERED = 10_000;

export interface ClientReader {
  /** CG_CERT_UNREADABLE; null for one that none of our issuers signed. */
  certificate(certificate: X509Certificate): ReadClient | null;
  /** Whose certificates are ours from now on. */
  trust(trust: ClientTrust): void;
}

/** Reads verified certificates by `rules`. */
export function createClientReader(rules: CompiledRules, trustDomain: string, first: ClientTrust): ClientReader {
  const remembered = new Map<string, ReadClient>();
  let issuers = issuersIn(first);
  return {
    certificate(certificate) {
      const octets = certificate.raw.toString('latin1');
      const known = remembered.get(octets);
      if (known !== undefined) return issuers.has(known.issuer) ? known : null;
      const { serial, issuer, ...facts } = factsOf(certificate);
      const signer = issuers.get(issuer);
      if (signer === undefined || !certificate.verify(signer)) return null;
      const who = identify({ ...facts, serial, issuer }, rules, trustDomain);
      const notAfter = certificate.validToDate.getTime();
      const unfit = clientProblemOf(certificate.raw);
      const lines = who.ok ? certificateLines(who.identity, certificate) : '';
      const read = { serial, issuer, fingerprint: fingerprintOf(certificate), who, unfit, notAfter, lines };
      if (remembered.size >= MOST_REMEMBERED) remembered.clear();
      remembered.set(octets, read);
      return read;
    },
    trust(trust) {
      issuers = issuersIn(trust);
      remembered.clear();
    },
  };
}

/** Public keys of the issuers by their key identifiers. */
function issuersIn({ issuersPem }: ClientTrust): ReadonlyMap<string, KeyObject> {
  return new Map(readCertificates(issuersPem).map((one) => [keyIdOf(one), one.publicKey]));
}
