// Where a CA's files are. Names are the user's interface: they stand in the documentation and in people's backups.
import { join } from 'node:path';
import type { CaRecord } from '../store/store.ts';

export interface CaFiles {
  readonly rootKey: string;
  readonly rootCertificate: string;
  readonly issuerKey: string;
  readonly issuerCertificate: string;
  /** Root and issuer: what others verify with. */
  readonly bundle: string;
}

/** The files of the first generation of the CA in the folder `certsDir`; the root's key may have a folder of its own. */
export function caFiles(certsDir: string, rootKeyDir = certsDir): CaFiles {
  return {
    rootKey: join(rootKeyDir, 'root.key'),
    rootCertificate: join(certsDir, 'root.crt'),
    issuerKey: join(certsDir, 'issuer.key'),
    issuerCertificate: join(certsDir, 'issuer.crt'),
    bundle: join(certsDir, 'ca.crt'),
  };
}

/**
 * Where the certificate and the key of one of the CA's own certificates are: `root.crt`, `issuer.key` for the first of
 * its role, `root-2.crt`, `issuer-2.key` and so on for what a rotation made.
 */
export function generationFiles(
  certsDir: string,
  { role, generation }: Pick<CaRecord, 'role' | 'generation'>,
): { readonly certificate: string; readonly key: string } {
  const name = generation === 1 ? role : `${role}-${generation}`;
  return { certificate: join(certsDir, `${name}.crt`), key: join(certsDir, `${name}.key`) };
}

/** Where the request for the certificate of an issuer's generation is, while it is signed elsewhere. */
export function requestFile(certsDir: string, generation: number): string {
  return generationFiles(certsDir, { role: 'issuer', generation }).certificate.replace(/crt$/, 'csr');
}

/** The SQLite store in the folder `stateDir`. */
export function storeFile(stateDir: string): string {
  return join(stateDir, 'certgate.db');
}
