// What a client's certificate says: whom it speaks for, and the header lines that say so upstream. It says the same each
// time it is shown, so it is read once and remembered by its octets. Whether it is in its time, chains to our CA and
// stands unrevoked is never remembered: OpenSSL and the records are asked with every handshake.

import type { X509Certificate } from 'node:crypto';
import { type CompiledRules, type Identified, identify, type Unidentified } from '../identity/identify.ts';
import { factsOf } from '../pki/facts.ts';
import { certificateLines } from './request-head.ts';

export interface ReadClient {
  readonly serial: string;
  readonly issuer: string;
  readonly who: Identified | Unidentified;
  /** ms since the epoch */
  readonly notAfter: number;
  /** Header lines for upstream; empty where `who` is nobody. */
  readonly lines: string;
}

/** Some 2 KiB each. Only certificates that OpenSSL has verified come here, so that no stranger can fill it. */
const MOST_REMEMBERED = 10_000;

/** Reads verified certificates by `rules`. The reader throws CG_CERT_UNREADABLE. */
export function createClientReader(
  rules: CompiledRules,
  trustDomain: string,
): (certificate: X509Certificate) => ReadClient {
  const remembered = new Map<string, ReadClient>();
  return (certificate) => {
    const octets = certificate.raw.toString('latin1');
    const known = remembered.get(octets);
    if (known !== undefined) return known;
    const { serial, issuer, ...facts } = factsOf(certificate);
    const who = identify({ ...facts, serial, issuer }, rules, trustDomain);
    const notAfter = certificate.validToDate.getTime();
    const read = { serial, issuer, who, notAfter, lines: who.ok ? certificateLines(who.identity, certificate) : '' };
    if (remembered.size >= MOST_REMEMBERED) remembered.clear();
    remembered.set(octets, read);
    return read;
  };
}
