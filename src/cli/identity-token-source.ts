// Where an identity token (JWT) comes from: a file that the platform keeps fresh, a variable, or GitHub Actions, which is
// asked for one. It is read anew each time that it is shown. It is never printed, and shown to nobody but a gate that was
// verified by --ca or --fingerprint.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import { type Credential, identityTokenCredential, type Pin } from '../enroll/credential.ts';
import { fetchJson } from '../enroll/fetch-json.ts';
import { LONGEST_IDENTITY_TOKEN } from '../enroll/jwt-form.ts';
import { CertgateError, fileReason, reasonOf, shown } from '../errors.ts';
import { usage } from './flags.ts';
import type { CommandIo } from './io.ts';

export interface IdentityTokenFlags {
  readonly identityTokenFile?: string;
  readonly identityTokenFrom?: string;
  readonly audience?: string;
}

const IDENTITY_TOKEN_VARIABLE = 'CERTGATE_IDENTITY_TOKEN_FILE';

export function withIdentityTokenFlags(command: Command): Command {
  return command
    .option(
      '--identity-token-file <FILE>',
      `enrol with the identity token (JWT) in this file, read at each use (or in the file ${IDENTITY_TOKEN_VARIABLE})`,
    )
    .option('--identity-token-from <SOURCE>', 'enrol with an identity token from github (Actions), or from env:NAME')
    .option('--audience <AUD>', "the audience to ask github for (default: the gate's URL)");
}

/** The variable that holds the token itself, if one does: nobody else needs it. */
export function identityTokenVariable({ identityTokenFrom: source }: IdentityTokenFlags): string | null {
  return source?.startsWith('env:') === true ? source.slice(4) : null;
}

/** Whether an identity token is named. */
export function namesIdentityToken(flags: IdentityTokenFlags, io: CommandIo): boolean {
  return (
    flags.identityTokenFile !== undefined ||
    flags.identityTokenFrom !== undefined ||
    (io.env[IDENTITY_TOKEN_VARIABLE] ?? '') !== ''
  );
}

/** CG_USAGE, CG_CONNECT_GATE, and the system's errors; the token itself is read later. Null when none is named. */
export function identityTokenFrom(flags: IdentityTokenFlags, config: Config, io: CommandIo): Credential | null {
  if (!namesIdentityToken(flags, io)) return null;
  const { identityTokenFile, identityTokenFrom: source, audience } = flags;
  if (identityTokenFile !== undefined && source !== undefined) {
    throw usage('--identity-token-file and --identity-token-from both give the token', 'choose one');
  }
  if (audience !== undefined && source !== 'github') {
    throw usage('--audience is for --identity-token-from github', 'elsewhere, set the audience on the platform');
  }
  if (config.connect.gate === null) throw new CertgateError('CG_CONNECT_GATE', {});
  const gate = new URL(config.connect.gate);
  const pin = pinOf(config);
  if (source === undefined) {
    const file = resolve(io.cwd, identityTokenFile ?? io.env[IDENTITY_TOKEN_VARIABLE] ?? '');
    return identityTokenCredential(async () => textOf(readFrom(file), file), gate, pin);
  }
  if (source === 'github') {
    return identityTokenCredential(() => fromGithub(io.env, audience ?? gate.origin), gate, pin);
  }
  const name = /^env:([A-Za-z_][A-Za-z0-9_]*)$/.exec(source)?.[1];
  if (name === undefined) {
    throw usage(`--identity-token-from is ${shown(source)}`, 'it is github, or env:NAME, e.g. env:CERTGATE_ID_TOKEN');
  }
  return identityTokenCredential(async () => textOf(io.env[name], `the variable ${name}`), gate, pin);
}

/** Whether it is said by what the gate is known. */
export function namesPin({ connect }: Config): boolean {
  return connect.fingerprint !== null || connect.ca !== null;
}

/** By what the gate is known. CG_USAGE, CG_FILE. */
export function pinOf({ connect }: Config): Pin {
  if (connect.fingerprint !== null) return { fingerprint: connect.fingerprint.replaceAll(':', '').toLowerCase() };
  if (connect.ca !== null) return { ca: readFrom(connect.ca) };
  throw usage(
    'an identity token is shown to no gate that is not known',
    "say what to verify it with: --fingerprint HEX of the root (on the gate: certgate inspect certs/root.crt), or --ca FILE, the gate's certs/ca.crt",
  );
}

function readFrom(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch (error) {
    throw new CertgateError('CG_FILE', { path: file, problem: fileReason(error) }, { cause: error });
  }
}

function textOf(text: string | undefined, where: string): string {
  const token = text?.trim() ?? '';
  const problem = text === undefined ? 'it is not set' : problemOf(token);
  if (problem === null) return token;
  throw new CertgateError('CG_IDENTITY_TOKEN', { where, problem });
}

function problemOf(token: string): string | null {
  if (token === '') return 'it is empty';
  if (token.length > LONGEST_IDENTITY_TOKEN) return 'it is too long to be one';
  if (/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/.test(token)) return null;
  return /^cgt\d+_/.test(token)
    ? 'that is a token from `certgate token create`: use --token-file'
    : 'that is not a JWT';
}

/** As GitHub documents it: the URL has a query already, and the answer is `{"value": …}`. */
async function fromGithub(env: NodeJS.ProcessEnv, audience: string): Promise<string> {
  const where = 'GitHub Actions';
  const { ACTIONS_ID_TOKEN_REQUEST_URL: address, ACTIONS_ID_TOKEN_REQUEST_TOKEN: token } = env;
  const url = URL.parse(address ?? '');
  if (url?.protocol !== 'https:' || token === undefined || token === '') {
    const problem =
      'ACTIONS_ID_TOKEN_REQUEST_URL and …_TOKEN are not set: the job needs `permissions: id-token: write`';
    throw new CertgateError('CG_IDENTITY_TOKEN', { where, problem });
  }
  url.searchParams.set('audience', audience);
  let answer: unknown;
  try {
    answer = await fetchJson({ url: url.href, ca: null, token });
  } catch (error) {
    throw new CertgateError('CG_IDENTITY_TOKEN', { where, problem: reasonOf(error) }, { cause: error });
  }
  const value = (answer as { value?: unknown } | null)?.value;
  return textOf(typeof value === 'string' ? value : '', where);
}
