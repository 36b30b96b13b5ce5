// What `run` and `connect` do first when they are given a token: where there is no certificate that can be used, they enrol.
// Where there is one, the token is left alone, so that the same command line starts a worker today and restarts it tomorrow.
// One that has ended is renewed where the gate's grace lets it, before the token is used.
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../config/schema.ts';
import { tidyPending } from '../enroll/enroll-to-folder.ts';
import { retryDelay } from '../enroll/renewal-time.ts';
import { CertgateError, isCertgateError, reasonOf, systemCode } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { openCredentials } from '../outbound/credentials.ts';
import { renewOnce } from '../outbound/renew-once.ts';
import { enrolInto, enrolledWords } from './enroll.ts';
import { type EnrollFlags, enrollSource, namesSource } from './enroll-source.ts';
import { usage } from './flags.ts';
import type { CommandIo } from './io.ts';
import { loginIdentity, rememberedGate } from './login-place.ts';
import { filesOf, identityOptions } from './sidecar-options.ts';

/** How long a worker that starts with its gate waits for it, ms. */
const PATIENCE = 300_000;
/** How long a gate that can't be reached is asked to renew what has ended, where there is nothing else, ms. */
const GRACE_PATIENCE = 30_000;

/**
 * The configuration with what the token says where it says nothing: the gate, and the folder of the identity; enrolled.
 * @throws CG_USAGE, CG_TOKEN and what `enrollToFolder` throws
 */
export async function ensureEnrolled(
  config: Config,
  flags: EnrollFlags,
  log: Log,
  io: CommandIo,
  gracePatience = GRACE_PATIENCE,
): Promise<Config> {
  const { gate: knownGate, identityDir: knownDir } = config.connect;
  // Then the token's file may be gone.
  const known = knownGate !== null && knownDir !== null;
  const first = known ? await lookAt(config) : 'none';
  if (first === 'usable' && knownDir !== null) {
    await tidyPending(knownDir);
    return config;
  }
  let refusal: CertgateError | null = null;
  if (typeof first === 'object') {
    const patience = namesSource(flags, io) ? 0 : gracePatience;
    refusal = await renewEnded(config, first, log, io, patience);
    if (refusal === null) return config;
    log.warn({ reason: refusal.message }, 'the certificate has expired');
  }
  const source = await enrollSource(flags, config, io, (words) => log.warn(words));
  if (source === null) {
    if (refusal !== null) throw refusal;
    if (flags.name !== undefined)
      throw usage('--name is for a token, and there is none', 'give one with --token-file FILE');
    return withLogin(config, log, io);
  }
  const { cert, key } = config.connect;
  if (cert !== null || key !== null) {
    throw usage(
      'something to enrol with and --cert or --key are two ways to get one certificate',
      'use --identity DIR with it',
    );
  }
  const identityDir = config.connect.identityDir ?? source.folder;
  const connect = { ...config.connect, identityDir, gate: config.connect.gate ?? source.credential.gate.origin };
  const complete: Config = { ...config, connect };
  if ((await lookAt(complete)) === 'usable') {
    await tidyPending(identityDir);
    log.info({ identityDir }, 'there is a certificate already: the token is not used');
    return complete;
  }
  const where = { out: identityDir, patienceMs: PATIENCE, force: true };
  const enrolled = await enrolInto(source, complete, where, (text) => log.warn(text));
  for (const line of enrolledWords(enrolled)) log.info({ identityDir }, line);
  return complete;
}

/** With the login of this user where nothing else is named. A person logs in again: nothing is renewed. CG_LOGIN_ENDED */
async function withLogin(config: Config, log: Log, io: CommandIo): Promise<Config> {
  const { gate, identityDir, cert, key } = config.connect;
  if (identityDir !== null || cert !== null || key !== null) return config;
  const login = rememberedGate(io.env);
  if (login === null || (gate !== null && new URL(gate).origin !== login.gate)) return config;
  const folder = loginIdentity(io.env);
  const serverName = config.connect.serverName ?? login.serverName;
  const connect = { ...config.connect, gate: login.gate, identityDir: folder, serverName, renew: false };
  const standing = await lookAt({ ...config, connect });
  if (standing !== 'usable') {
    const ended = standing === 'none' ? null : standing.toISOString();
    throw new CertgateError('CG_LOGIN_ENDED', { gate: login.gate, ended });
  }
  log.info({ gate: login.gate, identityDir: folder }, 'using the certificate of certgate login');
  return { ...config, connect };
}

/** How to enrol anew, with the token as it is then, once a certificate has ended unrenewed; null where no token was named. */
export function enrollingAgain(config: Config, flags: EnrollFlags, io: CommandIo): (() => Promise<void>) | null {
  const { identityDir } = config.connect;
  if (identityDir === null || !namesSource(flags, io)) return null;
  return async () => {
    const source = await enrollSource(flags, config, io, () => {});
    if (source === null) throw usage('the token is gone', 'put another there');
    await enrolInto(source, config, { out: identityDir, patienceMs: 0, force: true }, () => {});
  };
}

/** What the system says where there is no such file; nothing where it could be read, and is of no use. */
const NOT_THERE: readonly string[] = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', ''];

/** Whether there is a certificate with its key; when it has ended, since when. CG_CREDENTIALS where that cannot be told. */
async function lookAt(config: Config): Promise<'none' | 'usable' | Date> {
  const files = filesOf(config);
  const endOf = (end: Date): 'usable' | Date => (end.getTime() > Date.now() ? 'usable' : end);
  try {
    const { read } = await openCredentials(files, null, null);
    return endOf(read.certificate.validToDate);
  } catch (error) {
    // What is there and could not be read just now is not replaced: a token used again, with another key, looks like a thief's.
    if (isCertgateError(error, 'CG_CREDENTIALS') && NOT_THERE.includes(systemCode(error.cause))) return 'none';
    if (!isCertgateError(error, 'CG_PASSPHRASE')) throw error;
    // There is one; whoever has the passphrase opens it.
    return endOf(new X509Certificate(await readFile(files.cert)).validToDate);
  }
}

/** Null when it was renewed, or another process was faster; else why not. */
async function renewEnded(
  config: Config,
  end: Date,
  log: Log,
  io: CommandIo,
  patienceMs: number,
): Promise<CertgateError | null> {
  const options = identityOptions(config, log, io);
  const file = options.files.cert;
  const expired = `the certificate expired at ${end.toISOString()}`;
  const dir = options.renewIn;
  if (dir === null) return new CertgateError('CG_CREDENTIALS', { file, reason: expired });
  const until = Date.now() + patienceMs;
  for (let failures = 1; ; failures++) {
    let reason = 'another process renews it';
    try {
      const { outcome } = await renewOnce({ ...options, dir, ifDue: false });
      if (outcome === 'renewed') log.info({ identityDir: dir }, 'the certificate had ended: renewed within the grace');
      if (outcome !== 'busy') return null;
    } catch (error) {
      if (isCertgateError(error, 'CG_CREDENTIALS') || isCertgateError(error, 'CG_PASSPHRASE')) throw error;
      reason = reasonOf(error);
      if (isCertgateError(error, 'CG_RENEWAL_REFUSED')) {
        return new CertgateError('CG_CREDENTIALS', { file, reason: `${expired}, and ${reason}` });
      }
    }
    const delayMs = Math.max(100, retryDelay(failures));
    if (Date.now() + delayMs > until) {
      return new CertgateError('CG_CREDENTIALS', { file, reason: `${expired}, and is not renewed: ${reason}` });
    }
    log.warn({ reason, delayMs: Math.round(delayMs) }, 'the certificate has expired and is not renewed, trying again');
    await pause(delayMs);
  }
}
