// What `run` and `connect` do first when they are given a token: where there is no certificate that can be used, they enrol.
// Where there is one, the token is left alone, so that the same command line starts a worker today and restarts it tomorrow.
import type { Config } from '../config/schema.ts';
import { isCertgateError } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { openCredentials } from '../outbound/credentials.ts';
import { enrolInto, enrolledWords } from './enroll.ts';
import { type EnrollFlags, enrollSource, namesSource } from './enroll-source.ts';
import { usage } from './flags.ts';
import type { CommandIo } from './io.ts';
import { loginIdentity, rememberedGate } from './login-place.ts';
import { filesOf } from './sidecar-options.ts';

/** How long a worker that starts with its gate waits for it, ms. */
const PATIENCE = 300_000;

/**
 * The configuration with what the token says where it says nothing: the gate, and the folder of the identity; enrolled.
 * @throws CG_USAGE, CG_TOKEN and what `enrollToFolder` throws
 */
export async function ensureEnrolled(config: Config, flags: EnrollFlags, log: Log, io: CommandIo): Promise<Config> {
  const { gate: knownGate, identityDir: knownDir } = config.connect;
  // Then the token's file may be gone.
  if (knownGate !== null && knownDir !== null && (await hasCertificate(config))) return config;
  const source = await enrollSource(flags, config, io);
  if (source === null) {
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
  if (await hasCertificate(complete)) {
    log.info({ identityDir }, 'there is a certificate already: the token is not used');
    return complete;
  }
  const where = { out: identityDir, patienceMs: PATIENCE, force: true };
  const enrolled = await enrolInto(source, complete, where, (text) => log.warn(text));
  for (const line of enrolledWords(enrolled)) log.info({ identityDir }, line);
  return complete;
}

/** With the login of this user where nothing else is named. A person logs in again: nothing is renewed. */
function withLogin(config: Config, log: Log, io: CommandIo): Config {
  const { gate, identityDir, cert, key } = config.connect;
  if (identityDir !== null || cert !== null || key !== null) return config;
  const login = rememberedGate(io.env);
  if (login === null || (gate !== null && new URL(gate).origin !== login.gate)) return config;
  const folder = loginIdentity(io.env);
  log.info({ gate: login.gate, identityDir: folder }, 'using the certificate of certgate login');
  const serverName = config.connect.serverName ?? login.serverName;
  return { ...config, connect: { ...config.connect, gate: login.gate, identityDir: folder, serverName, renew: false } };
}

/** How to enrol anew, with the token as it is then, once a certificate has ended unrenewed; null where no token was named. */
export function enrollingAgain(config: Config, flags: EnrollFlags, io: CommandIo): (() => Promise<void>) | null {
  const { identityDir } = config.connect;
  if (identityDir === null || !namesSource(flags, io)) return null;
  return async () => {
    const source = await enrollSource(flags, config, io);
    if (source === null) throw usage('there is no token any more', 'put another in its place');
    await enrolInto(source, config, { out: identityDir, patienceMs: 0, force: true }, () => {});
  };
}

async function hasCertificate(config: Config): Promise<boolean> {
  try {
    await openCredentials(filesOf(config));
    return true;
  } catch (error) {
    if (isCertgateError(error, 'CG_CREDENTIALS')) return false;
    // There is one; whoever has the passphrase opens it.
    if (isCertgateError(error, 'CG_PASSPHRASE')) return true;
    throw error;
  }
}
