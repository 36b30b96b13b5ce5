// The status listener of a gate: the list, OCSP and the issuer's certificate over plain HTTP, for anybody who can reach
// it. It serves nothing else, knows no identity, and can change nothing: what it gives out is signed by the issuer or
// public anyway. One in a gate, also in one of several workers, where the primary has it.
import { createServer, type Socket } from 'node:net';
import { publishCrls } from '../../authority/crl-publisher.ts';
import { openOcspResponder } from '../../authority/ocsp-responder.ts';
import { CertgateError, isCertgateError, reasonOf } from '../../errors.ts';
import type { RequestHead } from '../../http1/request.ts';
import { limitLog } from '../../observe/limited-log.ts';
import type { Log } from '../../observe/log.ts';
import type { Issuer } from '../../pki/certificates.ts';
import { bind } from '../../proxy/connection-set.ts';
import type { Store } from '../../store/store.ts';
import { DoorCounts } from '../door-counts.ts';
import { type Asker, answerBare, answerWith, type StatusAnswer } from './answer.ts';
import { serveStatus } from './exchange.ts';
import { type Asked, askedFor } from './route.ts';

export interface StatusOptions {
  readonly host: string;
  /** 0 for a free one. */
  readonly port: number;
  /** The URL that leaves name; null for none. */
  readonly url: string | null;
  readonly store: Store;
  /** All whose certificates are asked about, now; the first is the one that issues. */
  readonly issuers: () => readonly Issuer[];
  readonly log: Log;
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
}

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
const CERTIFICATE_KEPT = 86_400_000;

/** Starts it; the first list is signed when this resolves. CG_LISTEN, CG_STORE_*, and what the issuer's signer throws. */
export async function startStatus(options: StatusOptions): Promise<StatusListener> {
  const { host, url, store, issuers, log, clock = Date.now } = options;
  const said = limitLog(log);
  const failed = (error: unknown): void => {
    said.say('error', 'status', { reason: reasonOf(error) }, 'a question about certificates could not be answered');
  };
  const lists = await publishCrls({ store, issuers, statusUrl: url, log, clock });
  const responder = openOcspResponder({ store, issuers, failed, clock });

  const answer = async (head: RequestHead, body: Buffer, close: boolean): Promise<StatusAnswer> => {
    const asked = askedFor(head.method, head.target);
    const asker: Asker = { isHead: head.method === 'HEAD', knownTag: headerOf(head, 'if-none-match'), close };
    const now = clock();
    switch (asked.what) {
      case 'nothing':
        return answerBare(asked.status, close, now);
      case 'method':
        return answerBare(405, close, now, `allow: ${asked.allow}\r\n`);
      case 'ocsp': {
        const { der, fresh } = await responder(asked.octets ?? body);
        return answerWith({ type: 'application/ocsp-response', octets: der, fresh }, asker, now);
      }
      default:
        return answerFor(asked, asker, now);
    }
  };

  const answerFor = (asked: Extract<Asked, { what: 'crl' | 'issuer' }>, asker: Asker, now: number): StatusAnswer => {
    const all = issuers();
    const issuer = asked.keyId === null ? all[0] : all.find(({ keyId }) => keyId === asked.keyId);
    if (issuer === undefined) return answerBare(404, asker.close, now);
    if (asked.what === 'issuer') {
      const fresh = { thisUpdate: issuer.certificate.validFromDate.getTime(), nextUpdate: now + CERTIFICATE_KEPT };
      return answerWith({ type: 'application/pkix-cert', octets: issuer.certificate.raw, fresh }, asker, now);
    }
    const crl = lists.crl(issuer.keyId);
    // There was one, and it has run out: the log says why there is no other.
    if (crl === null) return answerBare(503, asker.close, now, 'retry-after: 2\r\n');
    const tag = `${issuer.keyId}-${crl.number}`;
    return answerWith({ type: 'application/pkix-crl', octets: crl.der, fresh: crl, tag }, asker, now);
  };

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
    void serveStatus(socket, answer, failed);
  });
  try {
    await bind(server, { host, port: options.port });
  } catch (error) {
    await lists.stop();
    said.close();
    if (!isCertgateError(error, 'CG_LISTEN')) throw error;
    throw new CertgateError('CG_LISTEN', { ...error.facts, flag: '--status-listen' }, { cause: error });
  }
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : options.port,
    async stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await lists.stop();
      said.close();
    },
  };
}

function headerOf(head: RequestHead, name: string): string | null {
  const at = head.names.indexOf(name);
  return at < 0 ? null : (head.values[at] ?? null);
}
