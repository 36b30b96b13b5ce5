// Makes the CA's own certificates, one generation after another, as certificate, record and file contents that belong
// together. A root lives 10 years, an issuer 1 year or as long as who signs it, whichever ends first (DESIGN.md). It
// writes nothing: who calls decides where a key goes, and commits the record.
import type { KeyObject, X509Certificate } from 'node:crypto';
import { createIssuer, createRoot, type Issuer, issuerOf, readCertificate, signerOf } from '../pki/certificates.ts';
import { generateKey, keyId, keyIdOf } from '../pki/keys.ts';
import type { CaRecord, CaState } from '../store/store.ts';
import { BACKDATED } from './authority.ts';

const ROOT_YEARS = 10;
const ISSUER_YEARS = 1;

export interface Generation {
  readonly record: CaRecord;
  readonly privateKey: KeyObject;
  /** Certificate and key as what signs. */
  readonly issuer: Issuer;
}

export interface GenerationRequest {
  readonly trustDomain: string;
  /** Counts from 1 within the role. */
  readonly generation: number;
  readonly state: CaState;
  /** ms since the epoch */
  readonly now: number;
}

/** A new root with a new key. */
export async function newRoot({ trustDomain, generation, state, now }: GenerationRequest): Promise<Generation> {
  const key = await generateKey('P-256');
  const notBefore = startOf(now);
  const der = await createRoot({
    commonName: commonName('root', generation, trustDomain),
    notBefore,
    notAfter: yearsAfter(notBefore, ROOT_YEARS),
    key,
  });
  const id = keyId(key.publicKey);
  const record = { keyId: id, role: 'root', generation, parent: id, state, der, addedAt: now, changedAt: now } as const;
  return { record, privateKey: key.privateKey, issuer: issuerOf(der, signerOf(key.privateKey)) };
}

/** A new issuer with a new key, signed by `signer`. */
export async function newIssuer(request: GenerationRequest, signer: Issuer): Promise<Generation> {
  const { trustDomain, generation, state, now } = request;
  const key = await generateKey('P-256');
  const { validFromDate, validToDate } = signer.certificate;
  const notBefore = new Date(Math.max(startOf(now).getTime(), validFromDate.getTime()));
  const der = await createIssuer({
    commonName: commonName('issuer', generation, trustDomain),
    notBefore,
    notAfter: new Date(Math.min(yearsAfter(notBefore, ISSUER_YEARS).getTime(), validToDate.getTime())),
    key,
    root: signer,
    trustDomain,
  });
  const record = issuerRecord(der, { generation, state, now, parent: signer.keyId });
  return { record, privateKey: key.privateKey, issuer: issuerOf(der, signerOf(key.privateKey)) };
}

/** The record of an issuer's certificate. */
export function issuerRecord(
  der: Uint8Array,
  { generation, state, now, parent }: Omit<GenerationRequest, 'trustDomain'> & { readonly parent: string },
): CaRecord {
  // Leaves name it by this (RFC 5280 §4.2.1.1), which for a certificate from elsewhere need not be a hash of its key.
  const id = keyIdOf(readCertificate(der));
  return { keyId: id, role: 'issuer', generation, parent, state, der, addedAt: now, changedAt: now };
}

/**
 * The first generation without a number, so that a small CA stays plain. A name longer than RFC 5280 allows (64) is cut:
 * key identifiers tell two CAs apart, the name is for people.
 */
export function commonName(what: 'root' | 'issuer', generation: number, trustDomain: string): string {
  const name = generation === 1 ? `certgate ${what}` : `certgate ${what} ${generation}`;
  return `${name} ${trustDomain}`.slice(0, 64);
}

/** Whether what is above an issuer is a root that `newRoot` made, and no company's. */
export function isMadeHere({ generation }: CaRecord, root: X509Certificate, trustDomain: string): boolean {
  return root.subject === `CN=${commonName('root', generation, trustDomain)}`;
}

function startOf(now: number): Date {
  return new Date(Math.floor((now - BACKDATED) / 1000) * 1000);
}

function yearsAfter(start: Date, years: number): Date {
  const end = new Date(start);
  end.setUTCFullYear(end.getUTCFullYear() + years);
  return end;
}
