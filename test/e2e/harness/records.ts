// A TLS 1.3 connection whose records the test makes itself once the handshake is done (RFC 8446 §5, §7): of any size and kind,
// with or without an end. Node shakes hands, and tells the secret by `keylog`; from then on it only reads.

import { createCipheriv, createHmac } from 'node:crypto';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Credentials } from './wire.ts';

/** Content types (RFC 8446 §5.1). */
export const ALERT = 21;
export const HANDSHAKE = 22;
export const DATA = 23;

export interface Records {
  /** What the gate sends is read and decrypted here. */
  readonly tls: TLSSocket;
  /** What records are written to; its `end` is an end without close_notify. */
  readonly tcp: Socket;
  /** Everything that has come as data. */
  received(): string;
  /** One record, as bytes for `tcp`. */
  record(type: number, content: Uint8Array | string): Buffer;
  /** A KeyUpdate that asks for one in return, after which the next keys hold. */
  keyUpdate(): Buffer;
  /** Resolves once the gate has ended it, with the code of how. */
  readonly closed: Promise<string>;
}

/** Opens one to 127.0.0.1:`port`; with `reading` false nothing that comes is ever read. */
export async function openRecords(port: number, credentials: Credentials, reading = true): Promise<Records> {
  const tcp = connectTcp({ host: '127.0.0.1', port, noDelay: true });
  const tls = connectTls({ socket: tcp, ...credentials, ciphers: 'TLS_AES_128_GCM_SHA256', minVersion: 'TLSv1.3' });
  let secret: Buffer = Buffer.alloc(0);
  tls.on('keylog', (line: Buffer) => {
    const [label, , hex] = line.toString('latin1').trim().split(' ');
    if (label === 'CLIENT_TRAFFIC_SECRET_0') secret = Buffer.from(hex ?? '', 'hex');
  });
  let text = '';
  let why = 'end';
  for (const socket of [tcp, tls]) socket.on('error', (error: NodeJS.ErrnoException) => (why = error.code ?? why));
  const closed = new Promise<string>((resolve) => {
    for (const event of ['end', 'close']) tls.once(event, () => resolve(why));
    // Who does not read hears of it when it writes.
    for (const event of ['error', 'close']) tcp.once(event, () => resolve(why));
  });
  await new Promise<void>((resolve, reject) => {
    tls.once('secureConnect', resolve);
    tls.once('close', () => reject(new Error(`no handshake: ${why}`)));
  });
  // The last of the handshake is written only after that.
  await new Promise((resolve) => setImmediate(resolve));
  if (reading) tls.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
  else stopReading(tls);
  let keys = keysOf(secret);
  const record = (type: number, content: Uint8Array | string): Buffer => {
    const inner = Buffer.concat([Buffer.from(content as string, 'latin1'), Buffer.from([type])]);
    const header = Buffer.from([DATA, 3, 3, 0, 0]);
    header.writeUInt16BE(inner.length + 16, 3);
    const nonce = Buffer.from(keys.iv);
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ keys.sequence) >>> 0, 8);
    keys.sequence++;
    const cipher = createCipheriv('aes-128-gcm', keys.key, nonce).setAAD(header);
    return Buffer.concat([header, cipher.update(inner), cipher.final(), cipher.getAuthTag()]);
  };
  return {
    tls,
    tcp,
    received: () => text,
    record,
    keyUpdate() {
      const bytes = record(HANDSHAKE, Buffer.from([24, 0, 0, 1, 1]));
      secret = expand(secret, 'traffic upd', 32);
      keys = keysOf(secret);
      return bytes;
    },
    closed,
  };
}

/** Takes nothing more from the operating system, which Node's own `pause` does only once something waits. */
function stopReading(tls: TLSSocket): void {
  tls.pause();
  const handle = Reflect.get(tls, '_handle') as { readonly readStop: () => number };
  handle.readStop();
}

interface Keys {
  readonly key: Buffer;
  readonly iv: Buffer;
  sequence: number;
}

function keysOf(secret: Buffer): Keys {
  return { key: expand(secret, 'key', 16), iv: expand(secret, 'iv', 12), sequence: 0 };
}

/** HKDF-Expand-Label without a context (RFC 8446 §7.1), of at most 32 bytes. */
function expand(secret: Buffer, label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`, 'latin1');
  const info = Buffer.concat([Buffer.from([0, length, name.length]), name, Buffer.from([0, 1])]);
  return createHmac('sha256', secret).update(info).digest().subarray(0, length);
}
