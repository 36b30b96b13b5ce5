// Records to a syslog receiver: RFC 5424 over TCP, TLS or a stream socket in the file system with counted octets (RFC 6587, 5425),
// or a datagram each (RFC 5426).
// Syslog has no answer. What is written to a stream is sent when the kernel has it; what was written last to a connection
// that ended is written again to the next one, because nobody can know what of it was read.
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect as connectStream, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { reasonOf } from '../../errors.ts';
import type { Sender } from '../../observe/export-entry.ts';
import { octetCounted, type SyslogForm, syslogMessage } from '../../observe/syslog-message.ts';
import type { CollectorTls } from './collector-tls.ts';

/** How much of a connection's last octets is written again. */
const AGAIN = 256 * 1024;
/** For a connection, and for each PIECE that is written, ms. */
const PATIENCE = 10_000;
/** Octets. */
const PIECE = 65_536;

export interface SyslogPlace {
  readonly host: string;
  readonly port: number;
  /** Null for plain TCP. */
  readonly tls: CollectorTls | null;
}

/** To a place on the net, or to the socket at `path`. */
export function streamSender(place: SyslogPlace | { readonly path: string }, form: SyslogForm): Sender {
  const secure = 'tls' in place && place.tls !== null;
  let socket: Socket | null = null;
  let recent: Buffer[] = [];

  async function connected(): Promise<Socket> {
    if (socket?.writable === true) return socket;
    socket?.destroy();
    const fresh = opened(place);
    // Said by whoever writes next.
    fresh.on('error', () => {});
    fresh.on('end', () => fresh.destroy());
    fresh.resume();
    fresh.setKeepAlive(true, 30_000);
    try {
      await once(fresh, secure ? 'secureConnect' : 'connect', { signal: AbortSignal.timeout(PATIENCE) });
      socket = fresh;
      if (recent.length > 0) await written(fresh, Buffer.concat(recent));
      return fresh;
    } catch (error) {
      fresh.destroy();
      throw error;
    }
  }

  return {
    async send(batch) {
      try {
        const to = await connected();
        const frames = Buffer.concat(batch.map((entry) => octetCounted(syslogMessage(entry, form))));
        await written(to, frames);
        recent.push(frames);
        while (recent.length > 1 && recent.reduce((sum, one) => sum + one.length, 0) > AGAIN) recent = recent.slice(1);
        return { kind: 'sent' };
      } catch (error) {
        socket?.destroy();
        return isDatagram(error)
          ? { kind: 'refused', reason: 'it is a datagram socket, which Node.js cannot speak to' }
          : { kind: 'later', reason: reasonOf(error) };
      }
    },
    close() {
      // Not destroyed: what is written is still on its way.
      socket?.end();
    },
  };
}

function opened(place: SyslogPlace | { readonly path: string }): Socket {
  if ('path' in place) return connectStream({ path: place.path });
  const { host, port, tls } = place;
  if (tls === null) return connectStream({ host, port });
  // An address is no name of TLS's server name indication (RFC 6066, 3); the certificate is held against `host` all the same.
  return connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...tls });
}

function isDatagram(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EPROTOTYPE';
}

/** Piece by piece, each in its time: who reads slowly gets all of it. */
async function written(socket: Socket, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += PIECE) await pieceWritten(socket, bytes.subarray(at, at + PIECE));
}

function pieceWritten(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => socket.destroy(new Error('the receiver does not read')), PATIENCE);
    socket.write(bytes, (error) => {
      clearTimeout(late);
      // Of what the socket was ended for the write knows no more than that it was.
      if (error) reject(socket.errored ?? error);
      else resolve();
    });
  });
}

export function datagramSender({ host, port }: SyslogPlace, form: SyslogForm): Sender {
  const sockets = new Map<number, DatagramSocket>();
  const socketFor = (family: number): DatagramSocket => {
    const known = sockets.get(family);
    if (known !== undefined) return known;
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
    socket.on('error', () => {});
    sockets.set(family, socket);
    return socket;
  };
  return {
    async send(batch) {
      try {
        const { address, family } = await lookup(host, { order: 'ipv4first' });
        const socket = socketFor(family);
        for (const entry of batch) {
          const message = syslogMessage(entry, form);
          await new Promise<void>((resolve, reject) =>
            socket.send(message, port, address, (error) => (error ? reject(error) : resolve())),
          );
        }
        return { kind: 'sent' };
      } catch (error) {
        return { kind: 'later', reason: reasonOf(error) };
      }
    },
    close() {
      for (const socket of sockets.values()) socket.close();
    },
  };
}
