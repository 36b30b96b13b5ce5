// One exchange with a contestant over a connection of its own, for the checks; and what the checks of a request and those
// of a tunnel both look at: whose identity arrived upstream.

import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { type Certificates, IDENTITY } from './certificates.ts';
import type { Contestant } from './contestants/contestant.ts';
import type { EchoedRequest } from './works.ts';

const TIMEOUT_MS = 10_000;

/**
 * Sends `request` over a new connection, with or without a client certificate, and gives all that has come so far to
 * `read` until it answers something else than null.
 * @throws when the connection fails or ends before that
 */
export function exchange<T>(
  port: number,
  certificates: Certificates,
  request: Buffer,
  read: (bytes: Buffer) => T | null,
  asClient = true,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const identity = asClient
    ? { cert: readFileSync(certificates.clientChain), key: readFileSync(certificates.clientKey) }
    : {};
  const ca = readFileSync(certificates.bundle);
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca, minVersion: 'TLSv1.3', ...identity });
  let bytes = Buffer.alloc(0);
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
  socket.on('secureConnect', () => socket.write(request));
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    try {
      const answer = read(bytes);
      if (answer !== null) resolve(answer);
    } catch (error) {
      reject(error instanceof Error ? error : new Error(String(error)));
    }
  });
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('the connection ended before a whole answer')));
  return promise.finally(() => socket.destroy());
}

/** The identity is upstream once, whatever the client claimed. */
export function hasIdentity(contestant: Contestant, seen: EchoedRequest): void {
  if (contestant.identityHeader === null) return;
  const identities = seen.headers.filter(([name]) => name.toLowerCase() === contestant.identityHeader);
  if (identities.length !== 1 || identities[0]?.[1].includes(contestant.identityValue(IDENTITY)) !== true) {
    throw new Error(`the upstream got ${JSON.stringify(identities)} for the identity ${IDENTITY}`);
  }
}

/** The header line with which a client claims to be someone else. */
export function forgedLines(contestant: Contestant): string[] {
  const { identityHeader, identityValue } = contestant;
  return identityHeader === null ? [] : [`${identityHeader}: ${identityValue('user/forged')}`];
}
