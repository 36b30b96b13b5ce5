// A listener over plain HTTP, for anybody who can reach it: one of a gate publishes the list, OCSP and the issuer's certificate,
// another tells monitors how the gate, or a sidecar, is. It knows no identity and can change nothing. One of each in a gate, also
// with several workers, where the primary has it.
import { createServer, type Socket } from 'node:net';
import { CertgateError, isCertgateError } from '../../errors.ts';
import { bindTcp } from '../../proxy/connection-set.ts';
import { DoorCounts } from '../door-counts.ts';
import { type AnswerRequest, serveStatus } from './exchange.ts';

export interface PlainListener {
  readonly port: number;
  stop(): Promise<void>;
}

/** A reverse proxy in front of it is one address. */
const LIMITS = {
  connections: 256,
  connectionsPerAddress: 128,
  handshakesPerAddress: Number.POSITIVE_INFINITY,
} as const;

export interface PlainAnswers {
  /** `close`: it is the connection's last. */
  answer(...request: Parameters<AnswerRequest>): ReturnType<AnswerRequest>;
  /** For what went wrong while something was answered. */
  failed(error: unknown): void;
}

/** Starts it, on a free port for 0. CG_LISTEN, which names `flag`. */
export async function startPlainListener(
  { flag, ...where }: { readonly host: string; readonly port: number; readonly flag: string },
  answers: PlainAnswers,
): Promise<PlainListener> {
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
      (...request) => answers.answer(...request),
      (error) => answers.failed(error),
    );
  });
  let port: number;
  try {
    ({ port } = await bindTcp(server, where));
  } catch (error) {
    if (!isCertgateError(error, 'CG_LISTEN')) throw error;
    throw new CertgateError('CG_LISTEN', { ...error.facts, flag }, { cause: error });
  }
  return {
    port,
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
