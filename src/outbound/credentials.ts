// The certificate, key and trust bundle that the outbound sidecar shows the gate: read from files, checked that they
// belong together, and read again when the files change, so that whoever renews them (certgate, cert-manager, a person)
// needs to tell nobody. New files that don't fit are refused and the old ones stay. An encrypted key is opened with the
// passphrase that the caller has, off the main thread and once; in the clear it is only in this process's memory.

import { type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { createSecureContext, type SecureContext } from 'node:tls';
import { replaceFile } from '../enroll/replace-file.ts';
import { CertgateError, fileReason, isCertgateError, reasonOf, shellWord } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { encryptedKeyToPem, openPrivateKey } from '../pki/encrypted-keys.ts';
import { isEncryptedPem, privateKeyToPem, publicKeyFits } from '../pki/keys.ts';

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

/**
 * What time it is, ms since the epoch, for whether a certificate has ended; null to take it nevertheless: only a renewal
 * within the grace has a use for it.
 */
export type AsOf = (() => number) | null;

/** What the key's file held, and the key. */
export interface OpenedKeyFile {
  readonly pem: string;
  readonly key: KeyObject;
}

export interface Credentials {
  readonly context: SecureContext;
  /** The client's own certificate. */
  readonly certificate: X509Certificate;
  /** What the gate is verified against, PEM. */
  readonly ca: string;
  /** For verifying the gate against another bundle with the same certificate. */
  readonly contextWith: (ca: string) => SecureContext;
  /** ms since the epoch */
  readonly notAfter: number;
}

export interface WatchedCredentials {
  readonly current: Credentials;
  /** What the files hold now can't be taken, and `current` is what they held before. */
  readonly refused: boolean;
  /**
   * Trusts `ca` from now on: in the bundle's file when `write` says that it is certgate's to write, so that a restart
   * knows it too; else, or where that fails, until this process ends or the file changes.
   */
  trust(ca: string, write: boolean): void;
  /** Reads the files now, if they have changed; false, and a line in the log, when what they hold can't be taken. */
  look(): Promise<boolean>;
  /** PKCS#8 PEM of a key that takes the place of the present one: encrypted where that is. CG_PASSPHRASE. */
  keyText(key: KeyObject): Promise<string>;
  stop(): void;
}

/** Opens the key's file. CG_CREDENTIALS; CG_PASSPHRASE and CG_KEY_MODE for what should open it. */
export async function openKey({ key: file, passphrase }: CredentialFiles): Promise<OpenedKeyFile> {
  const pem = readPem(file);
  try {
    const { key } = await openPrivateKey(pem, passphrase ?? (async () => null));
    return { pem, key };
  } catch (error) {
    if (isCertgateError(error, 'CG_KEY_MODE')) throw error;
    if (!isCertgateError(error, 'CG_PASSPHRASE')) {
      throw new CertgateError('CG_CREDENTIALS', { file, reason: reasonOf(error) }, { cause: error });
    }
    const { problem, remedy } = error.facts;
    throw new CertgateError('CG_PASSPHRASE', { problem: `${file}: ${problem}`, remedy });
  }
}

/**
 * Reads and checks the three files, with the key as it was opened before; `ownCa` in place of the bundle's.
 * CG_CREDENTIALS names the file and what is wrong with it.
 */
export function readCredentials(
  files: CredentialFiles,
  opened: OpenedKeyFile,
  ownCa: string | null = null,
  asOf: AsOf = Date.now,
): Credentials {
  const cert = readPem(files.cert);
  const ca = ownCa ?? readPem(files.ca);
  const certificate = parseCertificate(files.cert, cert);
  if (readPem(files.key) !== opened.pem) {
    throw new CertgateError('CG_CREDENTIALS', { file: files.key, reason: 'has just changed' });
  }
  if (!publicKeyFits(certificate, opened.key)) {
    throw new CertgateError('CG_CREDENTIALS', { file: files.key, reason: `is not the key of ${files.cert}` });
  }
  const key = privateKeyToPem(opened.key);
  parseCertificate(files.ca, ca);
  const notAfter = certificate.validToDate.getTime();
  if (asOf !== null && notAfter <= asOf()) {
    const reason = `the certificate expired at ${certificate.validToDate.toISOString()}`;
    throw new CertgateError('CG_CREDENTIALS', { file: files.cert, reason });
  }
  const contextWith = (bundle: string): SecureContext =>
    createSecureContext({ cert, key, ca: bundle, minVersion: 'TLSv1.2' });
  try {
    return { context: contextWith(ca), certificate, notAfter, ca, contextWith };
  } catch (error) {
    throw new CertgateError('CG_CREDENTIALS', { file: files.cert, reason: reasonOf(error) }, { cause: error });
  }
}

/**
 * Opens the key and reads all three. Two names can't be opened at one moment, and between the two a renewal may have
 * come: then both are new, and are read once more.
 */
export async function openCredentials(
  files: CredentialFiles,
  ownCa: string | null = null,
  asOf: AsOf = Date.now,
): Promise<{ readonly opened: OpenedKeyFile; readonly read: Credentials }> {
  const once = async () => {
    const opened = await openKey(files);
    return { opened, read: readCredentials(files, opened, ownCa, asOf) };
  };
  const before = stamp(files);
  try {
    return await once();
  } catch (error) {
    if (stamp(files) === before) throw error;
    return once();
  }
}

/**
 * Reads the files now (as openKey and readCredentials) and again whenever they change; `changed` is called after each swap.
 * `again`: the command with which a person gets the next certificate, null for none; `first`: as `asOf`, for now.
 */
export async function watchCredentials(
  files: CredentialFiles,
  log: Log,
  changed: () => void,
  asOf: AsOf = Date.now,
  again: string | null = null,
  first: AsOf = asOf,
): Promise<WatchedCredentials> {
  let seen = stamp(files);
  let { opened, read: current } = await openCredentials(files, null, first);
  warnOfReaders(files.key, opened, log);
  let reading: Promise<boolean> | null = null;
  /** What was wrong with the files when they were last refused: said once. */
  let refused = '';
  /** A bundle that is not in its file, and the stamp of that file; `write` when it should be. */
  let unwritten: { readonly ca: string; readonly file: string; readonly write: boolean } | null = null;
  let warned = false;
  const readAnew = async (found: string): Promise<boolean> => {
    try {
      if (unwritten?.file !== stampOf(files.ca)) unwritten = null;
      const fresh = await openCredentials(files, unwritten?.ca, asOf);
      ({ opened, read: current } = fresh);
      warnOfReaders(files.key, opened, log);
      warned = false;
      log.info({ cert: files.cert, notAfter: new Date(current.notAfter).toISOString() }, 'new credentials taken');
      // Only now: what could not be read, for want of a descriptor say, is read again.
      [seen, refused] = [found, ''];
      changed();
      return true;
    } catch (error) {
      const problem = `${found} ${reasonOf(error)}`;
      if (problem !== refused) log.error({ reason: reasonOf(error) }, 'new credentials refused, the old ones stay');
      refused = problem;
      return false;
    }
  };
  const look = async (): Promise<boolean> => {
    // One that is under way may have begun before the change that this one is about.
    await reading;
    const now = stamp(files);
    if (now === seen) return true;
    reading = readAnew(now).finally(() => {
      reading = null;
    });
    return reading;
  };
  const writeAgain = (): void => {
    if (unwritten?.write !== true || unwritten.file !== stampOf(files.ca)) return;
    if (writeProblem(files.ca, unwritten.ca) !== null) return;
    unwritten = null;
    seen = stamp(files);
    log.info({ ca: files.ca }, 'the trust bundle is written now');
  };
  const timer = setInterval(() => {
    void look();
    writeAgain();
    const lifetime = current.notAfter - current.certificate.validFromDate.getTime();
    if (!warned && current.notAfter - (asOf ?? Date.now)() < lifetime * WARN_AT) {
      warned = true;
      log.warn(
        {
          cert: files.cert,
          notAfter: new Date(current.notAfter).toISOString(),
          ...(again === null ? {} : { look: again }),
        },
        'the certificate expires soon',
      );
    }
  }, LOOK_INTERVAL);
  timer.unref();
  return {
    get current() {
      return current;
    },
    get refused() {
      return refused !== '';
    },
    trust(ca, write) {
      const fresh = readCredentials(files, opened, ca, asOf);
      const problem = write ? writeProblem(files.ca, ca) : null;
      if (problem !== null) {
        const words = 'the trust bundle could not be written: it holds until this ends, and is tried again';
        log.warn({ ca: files.ca, reason: problem }, words);
      }
      unwritten = write && problem === null ? null : { ca, file: stampOf(files.ca), write };
      current = fresh;
      seen = stamp(files);
      log.info({ ca: files.ca, written: unwritten === null }, 'new trust bundle taken');
      changed();
    },
    look,
    async keyText(key) {
      const passphrase = isEncryptedPem(opened.pem) ? await files.passphrase?.() : null;
      return passphrase === null || passphrase === undefined
        ? privateKeyToPem(key)
        : encryptedKeyToPem(key, passphrase);
    },
    stop: () => clearInterval(timer),
  };
}

/** Replaces the file, whole or not at all; why it can't be, or null. */
function writeProblem(path: string, content: string): string | null {
  try {
    if (dirname(realpathSync(path)) !== realpathSync(dirname(path))) return 'it is a link to another folder';
    replaceFile(path, content);
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}

/** A warning only: where a volume is mounted for the group of a pod, its mode is not this process's to choose. */
function warnOfReaders(file: string, { pem }: OpenedKeyFile, log: Log): void {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o077) === 0 || isEncryptedPem(pem)) return;
  const octal = (mode & 0o777).toString(8).padStart(4, '0');
  log.warn({ file, mode: octal, remedy: 'chmod 600, or encrypt it' }, 'users other than its owner can get at the key');
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES') {
      const remedy = `run this as the user whose it is: ls -l ${shellWord(file)}`;
      const facts = { file, reason: 'it may not be read by this user', remedy };
      throw new CertgateError('CG_CREDENTIALS', facts, { cause: error });
    }
    const reason = code === 'ENOENT' ? 'there is no such file' : fileReason(error);
    throw new CertgateError('CG_CREDENTIALS', { file, reason }, { cause: error });
  }
}

/** The first certificate of a file. CG_CREDENTIALS. */
export function certificateOf(file: string): X509Certificate {
  return parseCertificate(file, readPem(file));
}

function parseCertificate(file: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    // OpenSSL would name a routine of its own.
    const reason = pem.trim() === '' ? 'it is empty' : 'it holds no certificate, or a damaged one';
    throw new CertgateError('CG_CREDENTIALS', { file, reason }, { cause });
  }
}

/** Changes whenever one of the files does: inode, size and modification time of what its name leads to. */
function stamp(files: CredentialFiles): string {
  return [files.cert, files.key, files.ca].map(stampOf).join(' ');
}

function stampOf(file: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(file);
    return `${ino}:${size}:${mtimeMs}`;
  } catch {
    return 'none';
  }
}
