// Sockets that systemd binds, keeps, and passes to what it starts (sd_listen_fds(3)): while a service is started anew they
// go on taking connections, which wait for it, and a port below 1024 wants no capability. What is passed stands at
// descriptor 3 and after, and the environment says for which process it is, how many there are, and what they are called.

import { parseSystemdName } from '../config/address.ts';
import { CertgateError, shown } from '../errors.ts';
import type { PassedSocket } from '../proxy/connection-set.ts';

const FIRST = 3;

/**
 * The socket that `listen`, `systemd:NAME`, means; what `env` says of passed sockets is taken out of it, for it concerns
 * nobody whom this process starts. CG_PASSED_SOCKET when there is not exactly one of that name.
 */
export function passedSocket(listen: string, env: NodeJS.ProcessEnv, pid = process.pid): PassedSocket {
  const wanted = parseSystemdName(listen);
  if (wanted === null) throw new TypeError(`the address to listen on was not checked: ${listen}`);
  const refused = (problem: string, remedy: string): CertgateError =>
    new CertgateError('CG_PASSED_SOCKET', { name: listen, problem, remedy });
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' } = env;
  for (const variable of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']) delete env[variable];

  if (LISTEN_FDS === undefined || LISTEN_PID === undefined) {
    throw refused(
      'systemd has passed no socket to this process',
      'start the .socket unit that passes one (docs/deploy.md), or listen without systemd: --listen HOST:PORT',
    );
  }
  if (LISTEN_PID !== String(pid)) {
    throw refused(
      `what systemd has passed is for process ${shown(LISTEN_PID)}, and this one is ${pid} (LISTEN_PID)`,
      'ExecStart= must start certgate itself: no shell, npx or other program that starts it',
    );
  }
  if (!/^[1-9]\d{0,3}$/.test(LISTEN_FDS)) {
    throw refused(
      `LISTEN_FDS is ${shown(LISTEN_FDS)}, not how many sockets were passed`,
      'leave that variable to systemd, which sets it',
    );
  }
  const names = namesOf(LISTEN_FDNAMES, Number(LISTEN_FDS));
  const found = names.flatMap((name, i) => (name === wanted ? [FIRST + i] : []));
  const [fd] = found;
  if (fd === undefined) {
    const there = [...new Set(names)].map(shown).join(', ');
    throw refused(
      `what systemd has passed is called ${there}`,
      `FileDescriptorName=${wanted} in the .socket unit names it`,
    );
  }
  if (found.length > 1) {
    throw refused(
      `systemd has passed ${found.length} sockets of that name`,
      'one ListenStream= for a name: ListenStream=8443 takes IPv4 and IPv6',
    );
  }
  return { fd, name: listen };
}

/** What `count` sockets are called, in order; one without a name counts as `unknown`, as in systemd. */
function namesOf(text: string, count: number): readonly string[] {
  const names = text === '' ? [] : text.split(':');
  return Array.from({ length: count }, (_, i) => names[i] ?? 'unknown');
}
