// The mutual-TLS listener: one handshake, one decision about the peer, then its requests. TLS 1.3 unless 1.2 was asked
// for; no session tickets and no resumption, so that no handshake skips the look at the records. A peer that is refused
// is told why in one HTTP answer over the connection it made (as nginx does), because a bare alert tells an operator
// nothing; not one byte of what it sends is read as a request, but for the one that it may make of the gate itself (anteroom.ts).

import { constants, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import { writeAnswer } from '../http1/write.ts';
import type { AuditLog } from '../observe/audit-log.ts';
import type { LimitedLog } from '../observe/limited-log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { acceptedOf } from '../proxy/direct-io.ts';
import { dateLine } from '../proxy/own-answer.ts';
import { type AdmissionRules, type Admitted, admit, type Refused } from './admission.ts';
import type { ClientAddresses } from './client-address.ts';
import { turnAway } from './door.ts';
import type { IdentityCounts, Tally } from './identity-counts.ts';
import type { LiveConnection, LiveIndex } from './live-index.ts';
import { newRequestId } from './request-id.ts';
import type { RevocationWatch } from './revocation-watch.ts';
import type { ClientTrust, ServerCredentials } from './server-certificate.ts';
import { StrangeHandshakes } from './strange-handshakes.ts';

/** How long a refused peer may take to say something before it is answered, and then to read the answer, ms. */
const REFUSAL_WAIT = 2_000;

/** What OpenSSL says when a handshake begins with `GET `, `HEAD `, `POST ` or `PUT `. */
const PLAIN_HTTP = 'ERR_SSL_HTTP_REQUEST';

// TLS 1.2 only with forward secrecy and authenticated encryption (RFC 9325 §4.2).
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
].join(':');

// Each stranger may choose one of these for the first step of its handshake. Others cost up to nine times as much (P-521), and
// whoever speaks them speaks these (RFC 8446 §9.1).
const GROUPS = '?X25519MLKEM768:X25519:P-256';

export interface ListenerOptions {
  readonly credentials: ServerCredentials;
  readonly trust: ClientTrust;
  readonly minTls: '1.2' | '1.3';
  /** For a handshake, ms. */
  readonly handshakeTimeout: number;
  readonly admission: AdmissionRules;
  readonly identities: IdentityCounts;
  readonly live: LiveIndex;
  readonly watch: RevocationWatch;
  readonly audit: AuditLog;
  readonly log: LimitedLog;
  readonly metrics: Metrics;
  /** The gate is stopping: whoever comes to the end of a handshake now is too late. */
  readonly isDraining: () => boolean;
  /** Takes over a connection that is refused for `why`, when it may ask for something nevertheless; else answers false. */
  readonly stranger: (socket: TLSSocket, address: string, why: Refused, refuse: () => void) => Promise<boolean>;
  readonly addresses: ClientAddresses;
  /** Whether what comes from one address too often may be kept out: not where one stands for all clients. */
  readonly limitsAddresses: boolean;
  /** Takes over an admitted connection. */
  readonly serve: (socket: TLSSocket, client: Admitted, live: LiveConnection, tally: Tally) => void;
}

/** The TLS settings for `credentials`; also what a renewal or a rotation installs. */
export function secureContext(
  credentials: ServerCredentials,
  { bundlePem }: ClientTrust,
  minTls: '1.2' | '1.3',
): TlsOptions {
  return {
    key: credentials.keyPem,
    cert: credentials.chainPem,
    // Above our issuers may be a company's root, which signs much that has no business here: client-reader.ts looks at that.
    ca: bundlePem,
    minVersion: minTls === '1.2' ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: CIPHERS,
    ecdhCurve: GROUPS,
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    sessionIdContext: randomBytes(16).toString('hex'),
  };
}

/**
 * Has OpenSSL end a client's chain at our issuer, which it trusts by itself, so that the issuer's own signature is not
 * verified with every handshake. Node has the option for contexts, but its servers drop it; where a Node has no such
 * place, the chain goes up to the root, which comes to the same.
 */
function endChainsAtIssuers(server: Server): void {
  const shared: unknown = Reflect.get(server, '_sharedCreds');
  if (typeof shared !== 'object' || shared === null || !('context' in shared)) return;
  const { context } = shared;
  if (typeof context !== 'object' || context === null || !('setAllowPartialTrustChain' in context)) return;
  const { setAllowPartialTrustChain: allow } = context;
  if (typeof allow === 'function') Reflect.apply(allow, context, []);
}

/** From the next handshake on. */
export function installContext(server: Server, settings: TlsOptions): void {
  server.setSecureContext(settings);
  endChainsAtIssuers(server);
}

/** A TLS server that is bound nowhere. */
export interface Listener {
  readonly server: Server;
  /** Begins the handshake of an accepted connection, or resets it, where its address is kept out (strange-handshakes.ts). */
  readonly greet: (socket: Socket) => void;
}

export function createListener(options: ListenerOptions): Listener {
  const { log, metrics } = options;
  const strange = new StrangeHandshakes();
  /** Those whose handshake has not ended. */
  const shaking = new Set<Socket>();
  /** Resets it when its address is kept out. */
  const keptOut = (socket: Socket): boolean => {
    const address = options.addresses.of(socket);
    if (address === undefined || !strange.keepsOut(address, performance.now())) return false;
    shaking.delete(socket);
    turnAway(socket, address, 'CG_LIMIT_HANDSHAKES', { log, metrics });
    return true;
  };
  const shaken = (tcp: Socket, known: boolean): void => {
    shaking.delete(tcp);
    const address = options.addresses.of(tcp);
    if (known || address === undefined || !options.limitsAddresses) return;
    if (!strange.count(address, tcp, performance.now())) return;
    // What has come from there meanwhile is let in already.
    for (const other of shaking) keptOut(other);
  };
  const server = createServer({
    ...secureContext(options.credentials, options.trust, options.minTls),
    requestCert: true,
    // OpenSSL still verifies; its verdict is read in admission.ts, which lets nobody pass whose verdict is not "ok".
    rejectUnauthorized: false,
    handshakeTimeout: options.handshakeTimeout,
    ALPNProtocols: ['http/1.1'],
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
  });
  endChainsAtIssuers(server);
  server.on('secureConnection', (socket: TLSSocket) => {
    options.metrics.handshakes++;
    shaken(acceptedOf(socket), socket.authorized);
    // A request's answer outlives its client's end; a handshake does not: who leaves in its midst is gone at once.
    socket.allowHalfOpen = true;
    // From here on nothing this socket does may end the process. What breaks TLS ends its connection: Node leaves one open
    // whose directions may end one by one, and its peer could keep it so.
    socket.on('error', () => socket.destroy());
    welcome(socket, options).catch((error: unknown) => {
      options.log.say('error', 'admission', { reason: String(error) }, 'a connection could not be decided about');
      socket.destroy();
    });
  });
  server.on('tlsClientError', (error: Error & { code?: string }, socket: Socket) => {
    options.metrics.handshakeFailures++;
    const address = options.addresses.of(acceptedOf(socket)) ?? null;
    shaken(acceptedOf(socket), false);
    // Node leaves the socket of a failed or timed-out handshake open.
    if (error.code === PLAIN_HTTP) tellOfTls(acceptedOf(socket), () => socket.destroy());
    else socket.destroy();
    options.log.say('warn', 'handshake', { address, reason: error.code ?? error.message }, 'tls handshake failed');
  });
  return {
    server,
    greet(socket) {
      options.addresses.learn(socket, () => {
        if (keptOut(socket)) return;
        shaking.add(socket);
        socket.once('close', () => shaking.delete(socket));
        server.emit('connection', socket);
      });
    },
  };
}

/** Answers who speaks HTTP without TLS, so that it learns why; nothing of what it said is read. */
function tellOfTls(tcp: Socket, destroy: () => void): void {
  const detail = 'certgate: this port speaks HTTPS: its address begins with https://';
  tcp.end(writeAnswer(400, detail, true, true, dateLine()), 'latin1');
  tcp.once('finish', destroy);
  setTimeout(destroy, REFUSAL_WAIT).unref();
}

async function welcome(socket: TLSSocket, options: ListenerOptions): Promise<void> {
  const { live: index, watch } = options;
  const address = options.addresses.of(acceptedOf(socket)) ?? 'unknown';
  if (!watch.healthy) {
    refuse(socket, address, storeGone(), options);
    return;
  }
  if (options.isDraining()) {
    socket.destroy();
    return;
  }
  const before = watch.epoch;
  const client = await admit(socket, options.admission);
  if (!client.ok) {
    const taken = await options.stranger(socket, address, client, () => refuse(socket, address, client, options, true));
    if (!taken) refuse(socket, address, client, options);
    return;
  }
  if (socket.destroyed) return;
  const tally = await options.identities.enter(client.identity);
  if (tally === null) {
    options.metrics.limitedConnections++;
    refuse(socket, address, tooMany(client), options);
    return;
  }
  if (socket.destroyed) {
    options.identities.leave(tally);
    return;
  }
  const live: LiveConnection = {
    socket,
    proxied: null,
    identity: client.identity,
    recorded: client.recorded,
    issuer: client.issuer,
    serial: client.serial,
    notAfter: client.notAfter,
    address,
    since: Date.now(),
    permitted: () => true,
    unreadSince: null,
  };
  index.enter(live);
  options.metrics.connections = index.size;
  socket.once('close', () => {
    index.leave(live);
    options.identities.leave(tally);
    options.metrics.connections = index.size;
  });
  // A revocation or lock that was committed between the look-up and the entry found nothing to cut: look again.
  if (watch.epoch !== before) {
    const again = await admit(socket, options.admission);
    if (!again.ok) {
      index.leave(live);
      refuse(socket, address, again, options);
      return;
    }
  }
  if (options.isDraining()) socket.destroy();
  if (!socket.destroyed) options.serve(socket, client, live, tally);
}

function storeGone(): Refused {
  return {
    ok: false,
    code: 'CG_STORE_UNAVAILABLE',
    status: 503,
    reason: "the store can't be read",
    detail: "certgate: the gate can't read its records and lets nobody pass until it can",
    identity: null,
    serial: null,
    ours: false,
  };
}

function tooMany(client: Admitted): Refused {
  return {
    ok: false,
    code: 'CG_LIMIT_IDENTITY',
    status: 429,
    reason: 'the identity has as many connections as it may have',
    detail: `certgate: ${client.identity} has as many connections as it may have`,
    identity: client.identity,
    serial: client.serial,
    ours: true,
  };
}

/** `now`: the peer has said something, or has had its time to. */
function refuse(socket: TLSSocket, address: string, why: Refused, options: ListenerOptions, now = false): void {
  options.metrics.refused++;
  const fields = { address, code: why.code, identity: why.identity, serial: why.serial, reason: why.reason };
  options.log.say('warn', why.code, fields, 'connection refused');
  if (why.ours) {
    // Strangers are logged, within a limit; a record is for those whom this CA knows.
    options.audit
      .append({
        time: Date.now(),
        requestId: newRequestId(),
        identity: why.identity,
        serial: why.serial,
        address,
        method: '',
        path: '',
        operation: 'connect',
        object: null,
        decision: 'refuse',
        code: why.code,
        status: why.status,
        reason: why.reason,
      })
      .catch(() => {});
  }
  // Waiting helps, and Prefect's client does wait for as long as it is told so (decide.ts, MAINTENANCE).
  const waits = why.status === 503 || why.status === 429 ? 'retry-after: 2\r\nprefect-maintenance: true\r\n' : '';
  let told = false;
  const tell = (): void => {
    if (told) return;
    told = true;
    socket.end(writeAnswer(why.status, why.detail, true, true, dateLine() + waits), 'latin1');
    setTimeout(() => socket.destroy(), REFUSAL_WAIT).unref();
  };
  socket.on('data', tell);
  socket.on('end', tell);
  if (now) tell();
  else setTimeout(tell, REFUSAL_WAIT).unref();
}
