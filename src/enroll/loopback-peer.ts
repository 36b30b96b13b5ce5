// Whose process is at the other end of a connection over loopback: the system's table of TCP sockets has the user of each (Linux,
// proc_pid_net(5)). Other users of the machine reach what listens on 127.0.0.1 as well as the one for whom it listens. It only
// ever tells of somebody else what the system says; where that says nothing, on other systems or of a socket that is not there,
// nothing is known.
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { endianness } from 'node:os';

export interface TcpEnd {
  /** IPv4. */
  readonly address: string;
  readonly port: number;
}

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];

/** The user at the other end of `socket`, IPv4; null where the system does not tell. */
export function userAtOtherEnd({ remoteAddress, remotePort, localAddress, localPort }: Socket): number | null {
  if (remoteAddress === undefined || remotePort === undefined) return null;
  if (localAddress === undefined || localPort === undefined) return null;
  const [from, to] = [
    { address: remoteAddress, port: remotePort },
    { address: localAddress, port: localPort },
  ];
  for (const table of TABLES) {
    try {
      const user = userOfSocket(readFileSync(table, 'latin1'), from, to);
      if (user !== null) return user;
    } catch {
      // A system without it.
    }
  }
  return null;
}

/** Whose socket goes from `from` to `to`, by a table of the system's; null when it is not in it. Pure. */
export function userOfSocket(table: string, from: TcpEnd, to: TcpEnd): number | null {
  const [own, other] = [from, to].map(({ address, port }) => {
    const ip = address.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'));
    const word = (endianness() === 'LE' ? ip.toReversed() : ip).join('');
    // An IPv4 address may stand as one of IPv6 (RFC 4291 §2.5.5.2).
    return `(?:0{16}(?:ffff0000|0000ffff))?${word}:${port.toString(16).padStart(4, '0')}`;
  });
  const [, user] = new RegExp(`^ *\\d+: ${own} ${other}(?: \\S+){4} +(\\d+) `, 'im').exec(table) ?? [];
  return user === undefined ? null : Number(user);
}
