// What `enroll`, `run` and `connect` enrol with: a one-time token or an identity token, whichever is named, and under which
// name and into which folder where that is not said. Two of them are one too many.
import { resolve } from 'node:path';
import type { Config } from '../config/schema.ts';
import { type Credential, tokenCredential } from '../enroll/credential.ts';
import { parseIdentityName } from '../identity/name.ts';
import { usage } from './flags.ts';
import {
  type IdentityTokenFlags,
  identityTokenFrom,
  namesIdentityToken,
  withIdentityTokenFlags,
} from './identity-token-source.ts';
import type { CommandIo } from './io.ts';
import { namesToken, nameToEnroll, type TokenFlags, tokenFrom, withTokenFlags } from './token-source.ts';

export type EnrollFlags = TokenFlags & IdentityTokenFlags;

export interface EnrollSource {
  readonly credential: Credential;
  /** The name to ask for; null to leave it to the gate's rules. */
  readonly identity: string | null;
  /** Where the identity goes when no folder is named, absolute. */
  readonly folder: string;
}

export function withEnrollFlags<C extends Parameters<typeof withTokenFlags>[0]>(command: C): C {
  withIdentityTokenFlags(withTokenFlags(command));
  return command;
}

/** Whether something to enrol with is named, be it that there is none any more where it should be. */
export function namesSource(flags: EnrollFlags, io: CommandIo): boolean {
  return namesToken(flags, io) || namesIdentityToken(flags, io);
}

/**
 * What is named; `first` is a token as an argument; `warn` is told what is not safe about it. Null for nothing.
 * CG_USAGE, CG_TOKEN, CG_CONNECT_GATE, CG_FILE.
 */
export async function enrollSource(
  flags: EnrollFlags,
  config: Config,
  io: CommandIo,
  warn: (words: string) => void,
  first?: string,
): Promise<EnrollSource | null> {
  if ((first !== undefined || namesToken(flags, io)) && namesIdentityToken(flags, io)) {
    throw usage('a token and an identity token are two ways to enrol', 'choose one; CERTGATE_… variables count, too');
  }
  const jwt = identityTokenFrom(flags, config, io);
  if (jwt !== null) {
    const identity = flags.name === undefined ? null : parseIdentityName(flags.name);
    return { credential: jwt, identity, folder: resolve(io.cwd, folderOf(identity ?? 'certgate-identity')) };
  }
  const token = await tokenFrom(flags, io, warn, first);
  if (token === null) return null;
  const identity = nameToEnroll(token, flags.name);
  return { credential: tokenCredential(token), identity, folder: resolve(io.cwd, folderOf(identity)) };
}

function folderOf(identity: string): string {
  return identity.replaceAll('/', '-');
}
