// The certificate, key and trust bundle that the outbound sidecar shows the gate: read from files, checked that they
// belong together, and read again when the files change, so that whoever renews them (certgate, cert-manager, a person)
// needs to tell nobody. New files that don't fit are refused and the old ones stay. An encrypted key is opened with the
// passphrase that the caller has; it is in the clear only in this process's memory.

import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { CertgateError, isCertgateError, reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { type OpenedKey, openPrivateKey } from '../pki/encrypted-keys.ts';
import { privateKeyToPem, publicKeyFits } from '../pki/keys.ts';

/** How often the files are looked at, ms. */
const LOOK_INTERVAL = 2_000;
/** A warning is logged when less than this part of the lifetime is left. */
const WARN_AT = 0.1;

export interface CredentialFiles {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  /** Octets that open the key when it is encrypted, or null; asked only then. */
  readonly passphrase?: () => Promise<Uint8Array | null>;
}

export interface Credentials {
  readonly context: SecureContext;
  /** The client's own certificate. */
  readonly certificate: X509Certificate;
  /** ms since the epoch */
  readonly notAfter: number;
}

export interface WatchedCredentials {
  readonly current: Credentials;
  stop(): void;
}

/** Reads and checks the three files. CG_CREDENTIALS names the file and what is wrong with it; CG_PASSPHRASE. */
export async function readCredentials(files: CredentialFiles): Promise<Credentials> {
  const cert = readPem(files.cert);
  const key = readPem(files.key);
  const ca = readPem(files.ca);
  const certificate = parse(files.cert, () => new X509Certificate(cert));
  const { key: privateKey } = await openKey(files, key);
  if (!publicKeyFits(certificate, privateKey)) {
    throw new CertgateError('CG_CREDENTIALS', { file: files.key, reason: `is not the key of ${files.cert}` });
  }
  parse(files.ca, () => new X509Certificate(ca));
  const notAfter = certificate.validToDate.getTime();
  if (notAfter <= Date.now()) {
    const reason = `the certificate expired at ${certificate.validToDate.toISOString()}`;
    throw new CertgateError('CG_CREDENTIALS', { file: files.cert, reason });
  }
  const context = parse(files.cert, () =>
    createSecureContext({ cert, key: privateKeyToPem(privateKey), ca, minVersion: 'TLSv1.2' }),
  );
  return { context, certificate, notAfter };
}

/** Reads the files now (as readCredentials) and again whenever they change; `changed` is called after each swap. */
export async function watchCredentials(
  files: CredentialFiles,
  log: Log,
  changed: () => void,
): Promise<WatchedCredentials> {
  let seen = stamp(files);
  let current = await readCredentials(files);
  let warned = false;
  let reading = false;
  const read = async (): Promise<void> => {
    reading = true;
    try {
      current = await readCredentials(files);
      warned = false;
      log.info({ cert: files.cert, notAfter: new Date(current.notAfter).toISOString() }, 'new credentials taken');
      changed();
    } catch (error) {
      log.error({ reason: reasonOf(error) }, 'new credentials refused, the old ones stay');
    } finally {
      reading = false;
    }
  };
  const timer = setInterval(() => {
    const now = stamp(files);
    if (now !== seen && !reading) {
      seen = now;
      void read();
    }
    const lifetime = current.notAfter - current.certificate.validFromDate.getTime();
    if (!warned && current.notAfter - Date.now() < lifetime * WARN_AT) {
      warned = true;
      log.warn(
        { cert: files.cert, notAfter: new Date(current.notAfter).toISOString() },
        'the certificate expires soon',
      );
    }
  }, LOOK_INTERVAL);
  timer.unref();
  return {
    get current() {
      return current;
    },
    stop: () => clearInterval(timer),
  };
}

async function openKey({ key: file, passphrase }: CredentialFiles, pem: string): Promise<OpenedKey> {
  try {
    return await openPrivateKey(pem, passphrase ?? (async () => null));
  } catch (error) {
    if (!isCertgateError(error, 'CG_PASSPHRASE')) {
      if (isCertgateError(error, 'CG_KEY_MODE')) throw error;
      throw new CertgateError('CG_CREDENTIALS', { file, reason: reasonOf(error) }, { cause: error });
    }
    const { problem, remedy } = error.facts;
    throw new CertgateError('CG_PASSPHRASE', { problem: `${file}: ${problem}`, remedy });
  }
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new CertgateError('CG_CREDENTIALS', { file, reason: missing ? 'there is no such file' : reasonOf(error) });
  }
}

function parse<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new CertgateError('CG_CREDENTIALS', { file, reason: reasonOf(error) }, { cause: error });
  }
}

/** Changes whenever one of the files does: inode, size and modification time of what its name leads to. */
function stamp(files: CredentialFiles): string {
  return [files.cert, files.key, files.ca]
    .map((file) => {
      try {
        const { ino, size, mtimeMs } = statSync(file);
        return `${ino}:${size}:${mtimeMs}`;
      } catch {
        return 'none';
      }
    })
    .join(' ');
}
