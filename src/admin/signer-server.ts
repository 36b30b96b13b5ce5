// `certgate signer` on its socket: signs for whoever can open it, which the socket's mode (0600) decides; Node does not
// tell who is at the other end. It signs only what src/pki/signable.ts lets pass, and leaves a line in the log for every
// signature before the signature leaves. Clients are taken for hostile: heads, bodies, times, connections and the octets
// held for all of them are bounded. It never says anything of a key but its public half. The protocol: docs/signer.md.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { signerKeyId } from '../authority/remote-signer.ts';
import { CertgateError, isCertgateError, reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import { bundleIdOf } from '../pki/bundle-signature.ts';
import { keyName, spkiOf } from '../pki/public-keys.ts';
import { isBundleStatement, judgeSignable, type SignerRules } from '../pki/signable.ts';
import type { Signer } from '../pki/signing.ts';
import { removeStale } from '../proxy/connection-set.ts';
import { type HeldLock, holdLockFile } from '../store/lock-file.ts';
import { listenPrivately } from './private-socket.ts';

// Not imported, as in control-client.ts.
const { createServer } = process.getBuiltinModule('node:http');

/** The largest value that is read: a CRL of 1.4 million entries. */
const MOST_CONTENT = 64 * 1024 * 1024 - 1;
/** Octets held for all questions together. */
const MOST_HELD = 2 * MOST_CONTENT;
const MOST_CONNECTIONS = 64;
/** For a head, for a whole question, between two of them, and for the key to sign, ms. */
const TIMES = { head: 5_000, question: 10_000, idle: 60_000, key: 8_000 };

/** A key and what it signs. */
export interface ServedKey {
  readonly signer: Signer;
  readonly rules: Omit<SignerRules, 'publicKey' | 'bundles'>;
  /** The trust bundle to vouch for as it is now, PEM; null for none. */
  readonly bundle?: () => Promise<string | null>;
}

export interface SignerOptions {
  /** Of the socket. */
  readonly path: string;
  readonly keys: readonly ServedKey[];
  readonly log: Log;
  /** ms since the epoch; Date.now when left out. */
  readonly clock?: () => number;
}

export interface RunningSigner {
  close(): Promise<void>;
}

/** Serves until it is closed. CG_LISTEN when the socket can't be made, or another process answers on it. */
export async function serveSigner(options: SignerOptions): Promise<RunningSigner> {
  const { path } = options;
  const claim = claimSocket(path);
  try {
    if ((await removeStale(path)) === 'taken') throw taken(path);
    const running = await serve(options);
    return { close: () => running.close().finally(() => claim.release()) };
  } catch (error) {
    claim.release();
    throw error;
  }
}

/**
 * For as long as the signer lives: of two that start at once each could find nobody there, and the later would take away the
 * socket of the other, which then holds a key that nobody reaches, and takes away the later's socket when it ends.
 */
function claimSocket(path: string): HeldLock {
  const file = `${path}.lock`;
  let claim: HeldLock | null;
  try {
    claim = holdLockFile(file);
  } catch (error) {
    throw new CertgateError('CG_LISTEN', { address: path, reason: `${file}: ${reasonOf(error)}` }, { cause: error });
  }
  if (claim === null) throw taken(path);
  return claim;
}

function taken(path: string): CertgateError<'CG_LISTEN'> {
  return new CertgateError('CG_LISTEN', { address: path, reason: 'another process answers there' });
}

async function serve({ path, keys, log, clock = Date.now }: SignerOptions): Promise<RunningSigner> {
  const served = new Map(keys.map((key) => [signerKeyId(key.signer.publicKey), key]));
  const held = { octets: 0 };
  const server = createServer(
    {
      headersTimeout: TIMES.head,
      requestTimeout: TIMES.question,
      keepAliveTimeout: TIMES.idle,
      maxHeaderSize: 4_096,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      answer(request, { served, held, log, clock }).then(
        ({ status, body }) => reply(response, status, body),
        (error: unknown) => {
          log.error({ reason: reasonOf(error) }, 'not signed');
          reply(response, 500, { detail: reasonOf(error) });
        },
      );
    },
  );
  server.maxConnections = MOST_CONNECTIONS;
  await listenPrivately(server, path);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        setTimeout(() => server.closeAllConnections(), TIMES.key).unref();
      }),
  };
}

interface Serving {
  readonly served: ReadonlyMap<string, ServedKey>;
  readonly held: { octets: number };
  readonly log: Log;
  readonly clock: () => number;
}

interface Reply {
  readonly status: number;
  readonly body: Uint8Array | object;
}

async function answer(request: IncomingMessage, serving: Serving): Promise<Reply> {
  const { served } = serving;
  const { method = '', url = '' } = request;
  if (method === 'GET' && url === '/v1/keys') {
    const keys = [...served].map(([id, { signer }]) => ({
      id,
      kind: keyName(signer.publicKey),
      spki: spkiOf(signer.publicKey).toString('base64'),
    }));
    return { status: 200, body: { version: 1, keys } };
  }
  const [, id] = /^\/v1\/sign\/([0-9a-f]{64})$/.exec(url) ?? [];
  if (method !== 'POST' || id === undefined) return { status: 400, body: { detail: 'no such question' } };
  const key = served.get(id);
  if (key === undefined) return { status: 404, body: { detail: `no key ${id}` } };
  return holding(request, serving.held, (content) => signWith(key, id, content, serving));
}

async function signWith(
  { signer, rules, bundle }: ServedKey,
  id: string,
  content: Uint8Array,
  serving: Serving,
): Promise<Reply> {
  const { log, clock } = serving;
  try {
    const pem = isBundleStatement(content) ? ((await bundle?.()) ?? null) : null;
    const bundles = pem === null ? [] : [bundleIdOf(pem)];
    const what = judgeSignable(content, { ...rules, publicKey: signer.publicKey, bundles }, clock());
    const signature = await withinTime(signer.sign(content));
    log.info({ ...what, issuerKey: id, octets: content.length }, 'signed');
    return { status: 200, body: signature };
  } catch (error) {
    const refused = isCertgateError(error, 'CG_SIGNER_REFUSED');
    const reason = refused ? error.facts.problem : reasonOf(error);
    log.warn({ reason, issuerKey: id, octets: content.length }, refused ? 'refused' : 'not signed');
    return { status: refused ? 403 : 503, body: { detail: reason } };
  }
}

/**
 * Reads the body, counts it against what may be held, and lets go of it when `act` has ended. What is too much is read to its
 * end all the same, and not held: who still writes would not come to read the answer.
 */
async function holding(
  request: IncomingMessage,
  held: { octets: number },
  act: (content: Uint8Array) => Promise<Reply>,
): Promise<Reply> {
  const parts: Buffer[] = [];
  let size = 0;
  let refused: Reply | null = null;
  const letGo = (): void => {
    held.octets -= size;
    size = 0;
    parts.length = 0;
  };
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      if (refused !== null) continue;
      size += part.length;
      held.octets += part.length;
      parts.push(part);
      if (size > MOST_CONTENT) refused = { status: 413, body: { detail: `more than ${MOST_CONTENT} octets` } };
      else if (held.octets > MOST_HELD) refused = { status: 503, body: { detail: 'too much to sign at once' } };
      if (refused !== null) letGo();
    }
    return refused ?? (await act(Buffer.concat(parts)));
  } finally {
    letGo();
  }
}

function withinTime<T>(work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the key did not sign within ${TIMES.key} ms`)), TIMES.key);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function reply(response: ServerResponse, status: number, body: Uint8Array | object): void {
  const isSignature = body instanceof Uint8Array;
  const octets = isSignature ? body : Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    'content-type': isSignature ? 'application/octet-stream' : 'application/json',
    'content-length': octets.length,
  });
  response.end(octets);
}
