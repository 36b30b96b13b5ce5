// The authority from its files, when they fit: the issuer's key is the issuer certificate's, the root issued it, both are
// CA certificates within their validity, the key is its owner's only, and the store was made for this CA and this trust
// domain. Anything else is an error that names the file; the authority is opened whole or not at all. The root's key
// is never read: it may be elsewhere.

import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { CertgateError, reasonOf } from '../errors.ts';
import { derToPem, issuerOf, readCertificate } from '../pki/certificates.ts';
import type { Store } from '../store/store.ts';
import { type Authority, openAuthority } from './authority.ts';
import { systemCode } from './files.ts';
import { type KeyStore, openKeyStore } from './key-store.ts';
import { caFiles } from './layout.ts';

export interface AuthorityPlace {
  readonly certsDir: string;
  readonly store: Store;
  readonly trustDomain: string;
  /** Where the issuer's key is; plain files when left out. */
  readonly keys?: KeyStore;
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
}

/**
 * The authority whose files are in `certsDir` and whose records are in `store`.
 * @throws CG_CA_FILE, CG_CA_MISMATCH, CG_CA_EXPIRED, CG_KEY_MODE, CG_PASSPHRASE, CG_TRUST_DOMAIN_MISMATCH, CG_STORE_*
 */
export async function loadAuthority(place: AuthorityPlace): Promise<Authority> {
  const { certsDir, store, trustDomain, clock, keys = openKeyStore({ passphrase: null }) } = place;
  const files = caFiles(certsDir);
  const root = await readFrom(files.rootCertificate, readText, readCertificate);
  const certificate = await readFrom(files.issuerCertificate, readText, readCertificate);
  const signer = await keys.signerFor(certificate, files.issuerKey, files.issuerCertificate);
  requireChain(root, certificate, files.rootCertificate, files.issuerCertificate);
  const now = (clock ?? Date.now)();
  requireValid(root, files.rootCertificate, now);
  requireValid(certificate, files.issuerCertificate, now);
  await requireStoreOf(store, root, trustDomain, files.rootCertificate);
  return openAuthority({
    store,
    issuer: issuerOf(certificate.raw, signer),
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
