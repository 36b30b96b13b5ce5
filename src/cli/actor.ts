// Who is at this command line, for the CA's audit: `cli:alice@host`, and from where: the process, its terminal, who called
// sudo and from which address by SSH. It is what the machine says, not proof of anything; proof is that only the owner can
// open the store and the issuer's key.
import { readlinkSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { isatty } from 'node:tty';
import { storeFile } from '../authority/layout.ts';
import type { AuditEntry } from '../store/audit-entry.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import type { Store } from '../store/store.ts';
import type { CommandIo } from './io.ts';

/** `cli:<user>@<host>`; the user's number when the machine has no name for it, as in many containers. */
export function actor(): string {
  return `cli:${userName()}@${hostname().toLowerCase()}`;
}

/** `pid`; `tty`, `none` without one; `sudoUser` and `sshFrom` where the environment names them. */
export function origin({ env }: Pick<CommandIo, 'env'>): AuditEntry['detail'] {
  const { SUDO_USER: sudoUser = '', SSH_CONNECTION: ssh = '' } = env;
  const [sshFrom = ''] = ssh.split(' ');
  return {
    pid: process.pid,
    tty: terminal(),
    ...(sudoUser === '' ? {} : { sudoUser: sudoUser.slice(0, 64) }),
    ...(sshFrom === '' ? {} : { sshFrom: sshFrom.slice(0, 64) }),
  };
}

/** The store in `stateDir`, for an operator's act: what it leaves on record says from where. CG_STORE_*. */
export function openStoreToAct(stateDir: string, io: Pick<CommandIo, 'env'>): Store {
  return openSqliteStore(storeFile(stateDir), { origin: origin(io) });
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? 'unknown');
  }
}

function terminal(): string {
  const fd = [0, 1, 2].find((one) => isatty(one));
  if (fd === undefined) return 'none';
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return 'unknown'; // no /proc: macOS
  }
}
