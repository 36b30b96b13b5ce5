// The status listener of a gate: the list, OCSP and the issuer's certificate over plain HTTP, for anybody who can reach
// it. It serves nothing else, knows no identity, and can change nothing: what it gives out is signed by the issuer or
// public anyway. One in a gate, also in one of several workers, where the primary has it.
import { createServer, type Socket } from 'node:net';
import { CertgateError, isCertgateError } from '../../errors.ts';
import { bind } from '../../proxy/connection-set.ts';
import { DoorCounts } from '../door-counts.ts';
import type { Publishing } from './answers.ts';
import { serveStatus } from './exchange.ts';

export interface StatusListener {
  readonly port: number;
  stop(): Promise<void>;
}

/** A reverse proxy in front of it is one address. */
const LIMITS = {
  connections: 256,
  connectionsPerAddress: 128,
  handshakesPerAddress: Number.POSITIVE_INFINITY,
} as const;

/** Starts it, on a free port for 0. CG_LISTEN. */
export async function startStatus(
  { host, port }: { readonly host: string; readonly port: number },
  publishing: Publishing,
): Promise<StatusListener> {
  const counts = new DoorCounts(LIMITS);
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const address = socket.remoteAddress;
    if (address === undefined || counts.enter(address, performance.now()) !== null) {
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      counts.leave(address);
    });
    void serveStatus(
      socket,
      (...asked) => publishing.answer(...asked),
      (error) => publishing.failed(error),
    );
  });
  try {
    await bind(server, { host, port });
  } catch (error) {
    if (!isCertgateError(error, 'CG_LISTEN')) throw error;
    throw new CertgateError('CG_LISTEN', { ...error.facts, flag: '--status-listen' }, { cause: error });
  }
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : port,
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
