// Where a person's login is kept: the state folder of the system, for this user alone. It holds which gate it is about and by
// what that is known, and the identity, which `connect` and `run` use where nothing else is named.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { platform, userInfo } from 'node:os';
import { basename, isAbsolute, join } from 'node:path';
import { PRIVATE_FILE } from '../authority/files.ts';
import { writeOutputFile } from '../authority/output-file.ts';
import type { Pin } from '../enroll/credential.ts';

export interface RememberedGate {
  /** `https://host:port` */
  readonly gate: string;
  readonly serverName: string | null;
  readonly pin: Pin;
}

/** $XDG_STATE_HOME/certgate, ~/.local/state/certgate, or ~/Library/Application Support/certgate. */
function loginFolder(env: NodeJS.ProcessEnv): string {
  const home = homeOf(env);
  if (platform() === 'darwin') return join(home, 'Library/Application Support/certgate');
  const state = env['XDG_STATE_HOME'] ?? '';
  // "All paths must be absolute; a relative one is to be ignored" (XDG Base Directory Specification).
  return join(isAbsolute(state) ? state : join(home, '.local/state'), 'certgate');
}

/** An empty HOME, or a relative one, is none. Who has no entry in the system's list of users has `/`, as in a container. */
function homeOf(env: NodeJS.ProcessEnv): string {
  const home = env['HOME'] ?? '';
  if (isAbsolute(home)) return home;
  try {
    return userInfo().homedir;
  } catch {
    return '/';
  }
}

export function loginIdentity(env: NodeJS.ProcessEnv): string {
  return join(loginFolder(env), 'identity');
}

const fileIn = (env: NodeJS.ProcessEnv): string => join(loginFolder(env), 'login.json');

/** Null when nobody has logged in here, or what is there is of no use. */
export function rememberedGate(env: NodeJS.ProcessEnv): RememberedGate | null {
  try {
    const { gate, serverName, pin } = JSON.parse(readFileSync(fileIn(env), 'utf8')) as Partial<RememberedGate>;
    const known = pin !== undefined && ('ca' in pin ? typeof pin.ca : typeof pin.fingerprint) === 'string';
    return typeof gate === 'string' && URL.canParse(gate) && known
      ? { gate, serverName: serverName ?? null, pin }
      : null;
  } catch {
    return null;
  }
}

/** Durable when it resolves. The system's errors. */
export async function rememberGate(env: NodeJS.ProcessEnv, gate: RememberedGate): Promise<void> {
  prepareLoginFolder(env);
  await writeOutputFile(fileIn(env), Buffer.from(`${JSON.stringify(gate)}\n`), { mode: PRIVATE_FILE, force: true });
}

/** Makes the folder, for this user alone. */
export function prepareLoginFolder(env: NodeJS.ProcessEnv): void {
  mkdirSync(loginFolder(env), { recursive: true, mode: 0o700 });
  chmodSync(loginFolder(env), 0o700);
}

/**
 * Removes the identity, its key, and keys that a login which was killed has left beside it; with `gate`, what the gate is known by
 * as well. Nothing else that may be in the folder.
 */
export function forgetLogin(env: NodeJS.ProcessEnv, gate: boolean): void {
  const folder = loginFolder(env);
  const [identity, remembered] = [basename(loginIdentity(env)), basename(fileIn(env))];
  const isOurs = (name: string): boolean =>
    [identity, ...(gate ? [remembered] : [])].some((own) => name === own || name.startsWith(`.${own}.`));
  const names = existsSync(folder) ? readdirSync(folder) : [];
  for (const name of names.filter(isOurs)) rmSync(join(folder, name), { recursive: true, force: true });
  if (gate && names.every(isOurs)) rmSync(folder, { recursive: true, force: true });
}
