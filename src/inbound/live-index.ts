// Who is connected right now, by issuer and serial, so that a revocation finds every connection of a certificate at
// once and nothing else. A connection is entered before its certificate's standing is looked up for the last time, and
// leaves when its socket closes.

import type { Socket } from 'node:net';
import type { ClientConnection } from '../proxy/client-connection.ts';
import { unreadOverhead } from '../proxy/direct-io.ts';
import type { ConnectionWork } from '../proxy/open-connections.ts';

/** A connection whose client is known. Times are milliseconds since the epoch, serial and issuer lower-case hex. */
export interface LiveConnection {
  readonly socket: Socket;
  /** Null until its first request may be read. */
  proxied: ClientConnection | null;
  readonly identity: string;
  /** Whom the certificate was issued to; null for one that is not on record. */
  readonly recorded: string | null;
  readonly issuer: string;
  readonly serial: string;
  readonly notAfter: number;
  readonly address: string;
  readonly since: number;
  /** Whether the policy still permits the WebSocket that is open on it, if one is. */
  permitted: () => boolean;
  /** What TLS had cost (`unreadOverhead`) when its client was first seen not to read; null while it reads. */
  unreadSince: number | null;
}

/** Bytes of TLS without data that a client may send while it does not read the answers of TLS. */
const MOST_UNREAD = 1_048_576;

export interface LiveIndex {
  enter(live: LiveConnection): void;
  leave(live: LiveConnection): void;
  /** Resets every connection of one certificate and answers what was under way on them. */
  cut(issuer: string, serial: string, reason: string): ConnectionWork;
  /** Cuts what outlived its certificate at `now`, ms since the epoch. */
  cutExpired(now: number): ConnectionWork;
  /** Cuts what came by an issuer whose key identifier is not in `issuers`. */
  cutOtherIssuers(issuers: ReadonlySet<string>): ConnectionWork;
  /** Cuts WebSockets that the policy permits no more. */
  cutForbidden(): ConnectionWork;
  /** Cuts clients that make TLS answer and read none of its answers: they are kept in memory. To be called now and then. */
  cutUnread(): ConnectionWork;
  /** One connection of each certificate. */
  certificates(): readonly LiveConnection[];
  readonly size: number;
}

export const NO_WORK: ConnectionWork = { connections: 0, requests: 0, tunnels: 0 };

export function addWork(a: ConnectionWork, b: ConnectionWork): ConnectionWork {
  return {
    connections: a.connections + b.connections,
    requests: a.requests + b.requests,
    tunnels: a.tunnels + b.tunnels,
  };
}

export function createLiveIndex(): LiveIndex {
  const bySerial = new Map<string, Set<LiveConnection>>();
  let size = 0;

  const keyOf = (issuer: string, serial: string): string => `${issuer}:${serial}`;
  const cutOne = (live: LiveConnection, reason: string): ConnectionWork => {
    const work = live.proxied?.work ?? { connections: 1, requests: 0, tunnels: 0 };
    if (live.proxied !== null) live.proxied.cut(reason);
    else live.socket.destroy();
    return work;
  };

  return {
    enter(live) {
      const key = keyOf(live.issuer, live.serial);
      const set = bySerial.get(key);
      if (set === undefined) bySerial.set(key, new Set([live]));
      else set.add(live);
      size++;
    },
    leave(live) {
      const key = keyOf(live.issuer, live.serial);
      const set = bySerial.get(key);
      if (set === undefined || !set.delete(live)) return;
      if (set.size === 0) bySerial.delete(key);
      size--;
    },
    cut(issuer, serial, reason) {
      const cut = { connections: 0, requests: 0, tunnels: 0 };
      const idle: ClientConnection[] = [];
      // The operating system takes 10 µs for each: those come first that are being served.
      for (const live of [...(bySerial.get(keyOf(issuer, serial)) ?? [])]) {
        cut.connections++;
        if (live.proxied === null) {
          live.socket.destroy();
          continue;
        }
        const { requests, tunnels } = live.proxied.work;
        cut.requests += requests;
        cut.tunnels += tunnels;
        if (requests + tunnels === 0) idle.push(live.proxied);
        else live.proxied.reset(reason);
      }
      for (const connection of idle) connection.reset(reason);
      return cut;
    },
    cutExpired(now) {
      let work = NO_WORK;
      for (const set of bySerial.values()) {
        for (const live of set) {
          // All of a set share one certificate.
          if (live.notAfter > now) break;
          work = addWork(work, cutOne(live, 'the client certificate has expired'));
        }
      }
      return work;
    },
    cutOtherIssuers(issuers) {
      let work = NO_WORK;
      for (const set of bySerial.values()) {
        for (const live of set) {
          if (issuers.has(live.issuer)) break;
          work = addWork(work, cutOne(live, 'the issuer of the client certificate is trusted no more'));
        }
      }
      return work;
    },
    cutForbidden() {
      let work = NO_WORK;
      for (const set of bySerial.values()) {
        for (const live of set) {
          if (!live.permitted()) work = addWork(work, cutOne(live, 'the policy permits it no more'));
        }
      }
      return work;
    },
    cutUnread() {
      let work = NO_WORK;
      for (const set of bySerial.values()) {
        for (const live of set) {
          const overhead = unreadOverhead(live.socket);
          if (overhead === null) live.unreadSince = null;
          else {
            live.unreadSince ??= overhead;
            if (overhead - live.unreadSince > MOST_UNREAD) {
              work = addWork(work, cutOne(live, 'the client makes TLS answer and reads none of it'));
            }
          }
        }
      }
      return work;
    },
    certificates: () => Array.from(bySerial.values()).flatMap(([one]) => one ?? []),
    get size() {
      return size;
    },
  };
}
