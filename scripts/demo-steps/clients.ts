// Clients of the gate that are no Prefect: one request, to see who is let in and what the others are told, and one
// WebSocket, to see when it ends. Certificates and keys come from the folders that `certgate issue` made.

import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { spiffeUri } from '../../src/identity/name.ts';
import { createLeaf, derToPem, issuerOf, newSerial, signerOf } from '../../src/pki/certificates.ts';
import { generateKey, privateKeyFromPem, privateKeyToPem } from '../../src/pki/keys.ts';

/** What a TLS client shows and trusts, PEM. */
export interface Credentials {
  readonly cert?: string;
  readonly key?: string;
  readonly ca: string;
}

const A_MINUTE_MS = 60_000;

/** What a folder of `certgate issue` holds. */
export function credentialsIn(folder: string): Required<Credentials> {
  const [cert, key, ca] = ['tls.crt', 'tls.key', 'ca.crt'].map((name) => readFileSync(join(folder, name), 'utf8'));
  if (cert === undefined || key === undefined || ca === undefined) throw new Error(`no certificate in ${folder}`);
  return { cert, key, ca };
}

/**
 * A certificate of the CA in `dir` that expired a minute ago. `certgate issue` makes none that lasts less than five
 * minutes, so it is signed here, with the CA's own code and key.
 */
export async function expiredCredentials(dir: string, identity: string): Promise<Required<Credentials>> {
  const read = (name: string): string => readFileSync(join(dir, 'certs', name), 'utf8');
  const key = await generateKey();
  const der = await createLeaf({
    profile: 'client',
    subjectCommonName: identity,
    spiffeUri: spiffeUri('certgate.internal', identity),
    publicKey: key.publicKey,
    notBefore: new Date(Date.now() - 6 * A_MINUTE_MS),
    notAfter: new Date(Date.now() - A_MINUTE_MS),
    serial: newSerial(),
    issuer: issuerOf(read('issuer.crt'), signerOf(privateKeyFromPem(read('issuer.key')))),
  });
  const cert = `${derToPem(der, 'CERTIFICATE')}${read('issuer.crt')}`;
  return { cert, key: privateKeyToPem(key.privateKey), ca: read('ca.crt') };
}

/** What one request on a connection of its own came to: Prefect's or the gate's answer, or what TLS said. */
export type Outcome = { readonly status: number; readonly body: string } | { readonly tls: string };

export async function ask(port: number, credentials: Credentials, path: string): Promise<Outcome> {
  return await new Promise((resolve) => {
    const asked = request(
      { host: '127.0.0.1', port, path, ...credentials, agent: false, timeout: 10_000 },
      (answer) => {
        let body = '';
        answer.setEncoding('utf8').on('data', (text: string) => {
          body += text;
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
        answer.on('error', (error) => resolve({ tls: error.message }));
      },
    );
    asked.on('timeout', () => asked.destroy(new Error('no answer in 10 s')));
    asked.on('error', (error: NodeJS.ErrnoException) => resolve({ tls: error.code ?? error.message }));
    asked.end();
  });
}

/** An outcome in words: `403 certgate: the client certificate expired …`. */
export function inWords(outcome: Outcome): string {
  if ('tls' in outcome) return `TLS: ${outcome.tls}`;
  try {
    const { detail } = JSON.parse(outcome.body) as { detail?: unknown };
    if (typeof detail === 'string') return `${outcome.status} ${detail}`;
  } catch {
    // Not JSON: as it is.
  }
  return `${outcome.status} ${outcome.body}`;
}

/** A WebSocket that Prefect has accepted and that receives events. */
export interface OpenSocket {
  /** When its last byte, the end of the connection, has come: ms since the epoch, with fractions. */
  readonly ended: Promise<{ readonly at: number }>;
  isOver(): boolean;
  close(): void;
}

const now = (): number => performance.timeOrigin + performance.now();

/** Opens Prefect's event stream and shows it that somebody listens: authentication and a filter, as its client does. */
export async function openEventStream(port: number, credentials: Credentials): Promise<OpenSocket> {
  const socket = new WebSocket(`wss://127.0.0.1:${port}/api/events/out`, 'prefect', { ...credentials });
  let isOver = false;
  const ended = new Promise<{ at: number }>((resolve) => {
    socket.on('close', () => {
      isOver = true;
      resolve({ at: now() });
    });
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.once('open', () => socket.send(JSON.stringify({ type: 'auth', token: null })));
    socket.once('message', (data: Buffer) => {
      if (!data.toString().includes('auth_success')) return reject(new Error(`Prefect said ${data.toString()}`));
      socket.send(JSON.stringify({ type: 'filter', filter: {} }));
      return resolve();
    });
  });
  socket.on('error', () => {});
  return { ended, isOver: () => isOver, close: () => socket.terminate() };
}
