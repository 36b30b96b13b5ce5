// The authority from its files, when they fit: the issuer's key is the issuer certificate's, the root issued it, both are
// CA certificates within their validity, the key is its owner's only, and the store was made for this CA and this trust
// domain. Anything else is an error that names the file; the authority is opened whole or not at all. The root's key
// is never read: it may be elsewhere.

import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CertgateError, isCertgateError, reasonOf } from '../errors.ts';
import { derToPem, issuerOf, readCertificate, signerOf } from '../pki/certificates.ts';
import { privateKeyFromPem, publicKeyFits } from '../pki/keys.ts';
import type { Store } from '../store/store.ts';
import { type Authority, openAuthority } from './authority.ts';
import { readKeyFile, systemCode } from './files.ts';
import { caFiles } from './layout.ts';

export interface AuthorityPlace {
  readonly certsDir: string;
  readonly store: Store;
  readonly trustDomain: string;
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
}

/**
 * The authority whose files are in `certsDir` and whose records are in `store`.
 * @throws CG_CA_FILE, CG_CA_MISMATCH, CG_CA_EXPIRED, CG_KEY_MODE, CG_TRUST_DOMAIN_MISMATCH, CG_STORE_*
 */
export async function loadAuthority({ certsDir, store, trustDomain, clock }: AuthorityPlace): Promise<Authority> {
  const files = caFiles(certsDir);
  const root = await readFrom(files.rootCertificate, readText, readCertificate);
  const certificate = await readFrom(files.issuerCertificate, readText, readCertificate);
  const privateKey = await readFrom(files.issuerKey, readKeyFile, privateKeyFromPem);
  if (!publicKeyFits(certificate, privateKey)) {
    throw new CertgateError('CG_CA_MISMATCH', {
      problem: `${files.issuerKey} is not the key of ${files.issuerCertificate}`,
      remedy: 'restore the two from the same backup',
    });
  }
  requireChain(root, certificate, files.rootCertificate, files.issuerCertificate);
  const now = (clock ?? Date.now)();
  requireValid(root, files.rootCertificate, now);
  requireValid(certificate, files.issuerCertificate, now);
  await requireStoreOf(store, root, trustDomain, files.rootCertificate);
  return openAuthority({
    store,
    issuer: issuerOf(certificate.raw, signerOf(privateKey)),
    rootPem: derToPem(root.raw, 'CERTIFICATE'),
    trustDomain,
    ...(clock === undefined ? {} : { clock }),
  });
}

const readText = (path: string): Promise<string> => readFile(path, 'utf8');

async function readFrom<T>(
  file: string,
  read: (path: string) => Promise<string>,
  parse: (text: string) => T,
): Promise<T> {
  try {
    return parse(await read(file));
  } catch (error) {
    if (isCertgateError(error, 'CG_KEY_MODE')) throw error;
    const problem = systemCode(error) === 'ENOENT' ? 'does not exist' : `cannot be read: ${reasonOf(error)}`;
    throw new CertgateError('CG_CA_FILE', { file, problem }, { cause: error });
  }
}

function requireChain(root: X509Certificate, issuer: X509Certificate, rootFile: string, issuerFile: string): void {
  for (const [certificate, file] of [
    [root, rootFile],
    [issuer, issuerFile],
  ] as const) {
    if (!certificate.ca) throw new CertgateError('CG_CA_FILE', { file, problem: 'is not the certificate of a CA' });
    if (!certificate.checkIssued(root) || !certificate.verify(root.publicKey)) {
      const problem =
        certificate === root
          ? `${file} is not a root: it did not sign itself`
          : `${file} was not issued by ${rootFile}`;
      throw new CertgateError('CG_CA_MISMATCH', { problem, remedy: 'restore the two from the same backup' });
    }
  }
}

function requireValid({ validFromDate, validToDate }: X509Certificate, file: string, now: number): void {
  if (now < validFromDate.getTime()) {
    throw new CertgateError('CG_CA_EXPIRED', { file, problem: `is not valid before ${validFromDate.toISOString()}` });
  }
  if (now >= validToDate.getTime()) {
    throw new CertgateError('CG_CA_EXPIRED', { file, problem: `expired at ${validToDate.toISOString()}` });
  }
}

async function requireStoreOf(
  store: Store,
  root: X509Certificate,
  trustDomain: string,
  rootFile: string,
): Promise<void> {
  const { location } = store;
  const recorded = await store.meta('trustDomain');
  if (recorded === null) {
    throw new CertgateError('CG_CA_MISMATCH', {
      problem: `${location} belongs to no CA: it was never finished`,
      remedy: 'move it away and make a CA with `certgate init --dir DIR`',
    });
  }
  if (recorded !== trustDomain) {
    throw new CertgateError('CG_TRUST_DOMAIN_MISMATCH', { configured: trustDomain, recorded, location });
  }
  const known = await store.meta('rootFingerprint');
  if (known !== null && known !== root.fingerprint256.replaceAll(':', '').toLowerCase()) {
    throw new CertgateError('CG_CA_MISMATCH', {
      problem: `${location} was made for another root than ${rootFile}`,
      remedy: 'restore certs and state from the same backup, or name the right ones with certsDir and stateDir',
    });
  }
}
