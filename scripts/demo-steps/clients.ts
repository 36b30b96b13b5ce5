// Clients of the gate that are no Prefect: one request, to see who is let in and what the others are told, and one
// WebSocket, to see when it ends. Certificates and keys come from the folders that `certgate issue` made.

import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { openAuthority } from '../../src/authority/authority.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { generateKey, privateKeyToPem } from '../../src/pki/keys.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';

/** What a TLS client shows and trusts, PEM. */
export interface Credentials {
  readonly cert?: string;
  readonly key?: string;
  readonly ca: string;
}

const SHORTEST_TTL_MS = 300_000;
const A_MINUTE_MS = 60_000;

/** What a folder of `certgate issue` holds. */
export function credentialsIn(folder: string): Required<Credentials> {
  const [cert, key, ca] = ['tls.crt', 'tls.key', 'ca.crt'].map((name) => readFileSync(join(folder, name), 'utf8'));
  if (cert === undefined || key === undefined || ca === undefined) throw new Error(`no certificate in ${folder}`);
  return { cert, key, ca };
}

/**
 * A certificate of the CA in `dir` that expired a minute ago. The shortest that the command issues lasts five minutes,
 * so it is issued by the same code with its clock six minutes back.
 */
export async function expiredCredentials(dir: string, trustDomain: string, identity: string): Promise<Required<Credentials>> {
  const store = openSqliteStore(join(dir, 'state/certgate.db'));
  try {
    const { issuer, bundlePem } = await loadAuthority({ certsDir: join(dir, 'certs'), store, trustDomain });
    const clock = (): number => Date.now() - SHORTEST_TTL_MS - A_MINUTE_MS;
    const rootPem = readFileSync(join(dir, 'certs/root.crt'), 'utf8');
    const authority = openAuthority({ store, issuer, rootPem, trustDomain, clock });
    const key = await generateKey();
    const publicKey = key.publicKey;
    const issued = await authority.issue({ identity, profile: 'client', ttlMs: SHORTEST_TTL_MS, publicKey, actor: 'demo' });
    return { cert: issued.chainPem, key: privateKeyToPem(key.privateKey), ca: bundlePem };
  } finally {
    await store.close();
  }
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
  /** When the last byte came, or the end: ms since the epoch, with fractions. */
  readonly ended: Promise<{ readonly at: number; readonly code: number }>;
  readonly messages: () => number;
}

const now = (): number => performance.timeOrigin + performance.now();

/** Opens Prefect's event stream and shows it that somebody listens: authentication and a filter, as its client does. */
export async function openEventStream(port: number, credentials: Credentials): Promise<OpenSocket> {
  const socket = new WebSocket(`wss://127.0.0.1:${port}/api/events/out`, 'prefect', { ...credentials });
  let messages = 0;
  const ended = new Promise<{ at: number; code: number }>((resolve) => {
    socket.on('close', (code) => resolve({ at: now(), code }));
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
  socket.on('message', () => {
    messages += 1;
  });
  return { ended, messages: () => messages };
}
