// Where a CA's files are. Names are the user's interface: they stand in the documentation and in people's backups.
import { join } from 'node:path';

export interface CaFiles {
  readonly rootKey: string;
  readonly rootCertificate: string;
  readonly issuerKey: string;
  readonly issuerCertificate: string;
  /** Root and issuer: what others verify with. */
  readonly bundle: string;
}

/** The files of the CA in the folder `certsDir`. */
export function caFiles(certsDir: string): CaFiles {
  return {
    rootKey: join(certsDir, 'root.key'),
    rootCertificate: join(certsDir, 'root.crt'),
    issuerKey: join(certsDir, 'issuer.key'),
    issuerCertificate: join(certsDir, 'issuer.crt'),
    bundle: join(certsDir, 'ca.crt'),
  };
}

/** The SQLite store in the folder `stateDir`. */
export function storeFile(stateDir: string): string {
  return join(stateDir, 'certgate.db');
}
