// An issuer that is signed elsewhere: `requestIssuer` makes its key here and a request for its certificate, and
// `importIssuer` takes the certificate once somebody has signed it. The key never leaves; the certificate is taken only
// when it is for that key, is a CA's that may sign certificates and CRLs, and chains to a root that is trusted already.
import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CertgateError, isCertgateError, reasonOf, systemCode } from '../errors.ts';
import { readCertificate } from '../pki/certificates.ts';
import { chainOf, isAmong } from '../pki/chain.ts';
import { generateKey, keyIdOf } from '../pki/keys.ts';
import { onOneLine } from '../pki/names.ts';
import { createRequest, readRequest } from '../pki/requests.ts';
import { signerOf } from '../pki/signing.ts';
import type { CaRecord } from '../store/store.ts';
import { requireAbove, requireIssuer, requireRoom, warningsAbout } from './ca-fitness.ts';
import { applyChange, type CaChanged, type CaPlace, exists, freeGeneration, recordsOf } from './change.ts';
import { PUBLIC_FILE, syncFolder, writeNewFile } from './files.ts';
import { commonName, issuerRecord } from './generations.ts';
import { certificatesIn, given } from './given-root.ts';
import { plainKeyStore } from './key-store.ts';
import { generationFiles, requestFile } from './layout.ts';
import { knownAbove, nextGeneration, rootOf } from './trust.ts';

export interface IssuerRequested {
  /** PEM. */
  readonly request: string;
  readonly requestFile: string;
  readonly keyFile: string;
  /** It waited for its certificate already. */
  readonly again: boolean;
}

export interface IssuerImported extends CaChanged {
  /** For people, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * A key for the next issuer, and a request for its certificate; the one that waits, when there is one.
 * @throws CG_CA_FILE, CG_PASSPHRASE, CG_STORE_*
 */
export async function requestIssuer(place: CaPlace): Promise<IssuerRequested> {
  const { certsDir, store, trustDomain, keys = plainKeyStore, actor, clock = Date.now } = place;
  const records = await recordsOf(place);
  const waiting = (await waitingRequests(certsDir, records)).at(-1);
  if (waiting !== undefined) return { ...waiting, again: true };
  const generation = await freeGeneration(records, 'issuer', certsDir);
  const { key: keyFile } = generationFiles(certsDir, { role: 'issuer', generation });
  const { privateKey } = await generateKey('P-256');
  const request = await createRequest(signerOf(privateKey), {
    commonName: commonName('issuer', generation, trustDomain),
  });
  const file = requestFile(certsDir, generation);
  try {
    await keys.write(keyFile, privateKey);
    await writeNewFile(file, request, PUBLIC_FILE);
    await syncFolder(certsDir);
    const detail = { generation, requestFile: file };
    await store.addAudit({ time: clock(), actor, action: 'ca.request', object: trustDomain, detail });
  } catch (error) {
    if (isCertgateError(error)) throw error;
    throw new CertgateError('CG_CA_FILE', { file, problem: `cannot be written: ${reasonOf(error)}` }, { cause: error });
  }
  return { request, requestFile: file, keyFile, again: false };
}

/**
 * Takes the issuer's certificate out of `pem` (with intermediates or not, in any order): it issues from now on, the one
 * before is `retiring`. `file` is for messages.
 * @throws CG_CA_GIVEN, CG_CA_STEP when nothing waits for it, CG_CA_CHANGED, CG_STORE_*
 */
export async function importIssuer(place: CaPlace, pem: string, file: string): Promise<IssuerImported> {
  const { certsDir, clock = Date.now } = place;
  const records = await recordsOf(place);
  const requests = await waitingRequests(certsDir, records);
  if (requests.length === 0) {
    throw new CertgateError('CG_CA_STEP', { problem: 'no request waits for a certificate', remedy: 'certgate ca csr' });
  }
  const certificates = certificatesIn(pem, file);
  const [found] = requests.flatMap((waiting) => {
    const { publicKey } = readRequest(waiting.request);
    const issuer = certificates.find((one) => one.publicKey.equals(publicKey));
    return issuer === undefined ? [] : [{ waiting, issuer }];
  });
  if (found === undefined) {
    throw given(
      file,
      `holds no certificate for the key of ${requests.map(({ requestFile: name }) => name).join(', ')}`,
      'have the request that `certgate ca csr` prints signed, and import the result',
    );
  }
  const { waiting, issuer } = found;
  const now = clock();
  const fit = { trustDomain: place.trustDomain, now, file };
  requireIssuer(issuer, fit);
  const trusted = records.filter(({ state }) => state !== 'retired');
  const same = records.find(({ keyId }) => keyId === keyIdOf(issuer));
  if (same !== undefined) {
    throw given(file, `has the subject key identifier of ${same.role} ${same.generation}: it must have its own`);
  }
  const chain = wayUp(issuer, certificates, trusted, file);
  for (const [i, { certificate }] of chain.entries()) if (i > 0) await requireAbove(certificate, i, fit);
  // What is trusted already had room for what was below it, and may have none for one more between.
  for (const [i, { der }] of knownAbove(trusted, chain.at(-1)?.parent ?? '').entries()) {
    requireRoom(readCertificate(der), chain.length + i, fit);
  }
  const first = nextGeneration(records, 'intermediate');
  const also = chain.map(({ certificate, parent }, i): CaRecord => {
    if (certificate === issuer) {
      const generation = Number(/issuer-(\d+)\.csr$/.exec(waiting.requestFile)?.[1] ?? 1);
      return issuerRecord(issuer.raw, { generation, state: 'active', now, parent });
    }
    const between = { role: 'intermediate', generation: first + i - 1, state: 'active' } as const;
    return { ...between, keyId: keyIdOf(certificate), parent, der: certificate.raw, addedAt: now, changedAt: now };
  });
  const old = trusted.find(({ role, state }) => role === 'issuer' && state === 'active');
  const states = old === undefined ? [] : [{ keyId: old.keyId, from: 'active', to: 'retiring' } as const];
  return { ...(await applyChange(place, { action: 'ca.import', states, also })), warnings: warningsAbout(issuer, fit) };
}

/** From the issuer up to, but without, the first certificate that is trusted already; each with its signer's key id. */
function wayUp(
  issuer: X509Certificate,
  certificates: readonly X509Certificate[],
  trusted: readonly CaRecord[],
  file: string,
): ReadonlyArray<{ readonly certificate: X509Certificate; readonly parent: string }> {
  // Below a root that is on its way out, or not yet in, it would go with that root.
  const known = trusted
    .filter((record) => record.role !== 'issuer' && rootOf(trusted, record)?.state === 'active')
    .map(({ der }) => readCertificate(der));
  const { certificates: chain } = chainOf(issuer, [...known, ...certificates.filter(({ ca }) => ca)]);
  const anchor = chain.findIndex((one) => isAmong(known, one));
  if (anchor === -1) {
    const { subject } = chain.at(-1) ?? issuer;
    throw given(file, `does not chain to a root that this CA trusts: the issuer of ${onOneLine(subject)} is unknown`);
  }
  return chain
    .slice(0, anchor)
    .map((certificate, i) => ({ certificate, parent: keyIdOf(chain[i + 1] ?? certificate) }));
}

// The requests of all generations that are not on record, the newest last: a rotation may have come in between.
export async function waitingRequests(
  certsDir: string,
  records: readonly CaRecord[],
): Promise<ReadonlyArray<Omit<IssuerRequested, 'again'>>> {
  const waiting: Array<Omit<IssuerRequested, 'again'>> = [];
  const recorded = new Set(records.filter(({ role }) => role === 'issuer').map(({ generation }) => generation));
  for (let generation = 1; generation < nextGeneration(records, 'issuer') + 20; generation++) {
    if (recorded.has(generation)) continue;
    const file = requestFile(certsDir, generation);
    const files = generationFiles(certsDir, { role: 'issuer', generation });
    if (!(await exists(files.key))) continue;
    const request = await readFile(file, 'utf8').catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return null;
      throw new CertgateError('CG_CA_FILE', { file, problem: `cannot be read: ${reasonOf(error)}` }, { cause: error });
    });
    if (request !== null) waiting.push({ request, requestFile: file, keyFile: files.key });
  }
  return waiting;
}
