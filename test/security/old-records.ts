// A TLS 1.2 connection whose records the test makes and reads itself once the handshake is done (RFC 5246 §6.2.3, §6.3; RFC
// 5288 §3), so that no client's own TLS stands in the way. Node shakes hands, and tells the secret by `keylog`.

import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { connect as connectTcp, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { ALERT, DATA } from '../e2e/harness/records.ts';
import type { Credentials } from '../e2e/harness/wire.ts';

export interface OldRecords {
  /** What records are written to. */
  readonly tcp: Socket;
  /** Everything that has come as data, and every alert as `level.description`, in order. */
  received(): { readonly data: string; readonly alerts: readonly string[] };
  /** One record, as bytes for `tcp`. */
  record(type: number, content: Uint8Array | string): Buffer;
  /** Resolves once the gate has ended it. */
  readonly closed: Promise<void>;
}

/** In a ServerHello that is the first record: type, version, length; type, length, version. */
const SERVER_RANDOM_AT = 11;
const [RANDOM, KEY, IV, NONCE, TAG] = [32, 16, 4, 8, 16] as const;

export async function openOldRecords(port: number, credentials: Credentials): Promise<OldRecords> {
  const tcp = connectTcp({ host: '127.0.0.1', port, noDelay: true });
  const closed = new Promise<void>((resolve) => tcp.once('close', () => resolve()));
  tcp.on('error', () => {});
  let greeting: Buffer = Buffer.alloc(0);
  const carrier = new Duplex({
    read() {},
    write: (bytes: Buffer, _encoding, done) => void tcp.write(bytes, () => done()),
  });
  let take = (bytes: Buffer): void => {
    greeting = Buffer.concat([greeting, bytes]);
    carrier.push(bytes);
  };
  tcp.on('data', (bytes: Buffer) => take(bytes));
  const suite = { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256', maxVersion: 'TLSv1.2' } as const;
  const tls = connectTls({ socket: carrier, servername: 'localhost', ...credentials, ...suite });
  let [clientRandom, master]: Buffer[] = [];
  tls.on('keylog', (line: Buffer) => {
    [clientRandom, master] = line
      .toString('latin1')
      .trim()
      .split(' ')
      .slice(1)
      .map((hex) => Buffer.from(hex, 'hex'));
  });
  await new Promise((resolve, reject) => tls.once('secureConnect', () => resolve(null)).once('error', reject));
  const serverRandom = greeting.subarray(SERVER_RANDOM_AT, SERVER_RANDOM_AT + RANDOM);
  if (clientRandom === undefined || master === undefined) throw new Error('no secret was told');
  const block = prf(master, Buffer.concat([Buffer.from('key expansion'), serverRandom, clientRandom]), 2 * (KEY + IV));
  const [ownKey, theirKey] = [block.subarray(0, KEY), block.subarray(KEY, 2 * KEY)];
  const [ownIv, theirIv] = [block.subarray(2 * KEY, 2 * KEY + IV), block.subarray(2 * KEY + IV)];
  // Each side's Finished was number 0.
  let [sent, read] = [1n, 1n];
  const alerts: string[] = [];
  let data = '';
  let pending: Buffer = Buffer.alloc(0);
  take = (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    while (pending.length >= 5 && pending.length >= 5 + pending.readUInt16BE(3)) {
      const [type = 0, length] = [pending[0], pending.readUInt16BE(3)];
      const body = pending.subarray(5, 5 + length);
      pending = pending.subarray(5 + length);
      const nonce = Buffer.concat([theirIv, body.subarray(0, NONCE)]);
      const open = createDecipheriv('aes-128-gcm', theirKey, nonce);
      open.setAAD(associated(read++, type, length - NONCE - TAG)).setAuthTag(body.subarray(-TAG));
      const content = Buffer.concat([open.update(body.subarray(NONCE, -TAG)), open.final()]);
      if (type === ALERT) alerts.push(content.join('.'));
      if (type === DATA) data += content.toString('latin1');
    }
  };
  return {
    tcp,
    received: () => ({ data, alerts }),
    record(type, content) {
      const plain = Buffer.from(content as string, 'latin1');
      const explicit = Buffer.alloc(NONCE);
      explicit.writeBigUInt64BE(sent);
      const seal = createCipheriv('aes-128-gcm', ownKey, Buffer.concat([ownIv, explicit]));
      seal.setAAD(associated(sent++, type, plain.length));
      const body = Buffer.concat([explicit, seal.update(plain), seal.final(), seal.getAuthTag()]);
      return Buffer.concat([Buffer.from([type, 3, 3, body.length >> 8, body.length & 0xff]), body]);
    },
    closed,
  };
}

/** What a record's tag also covers (RFC 5246 §6.2.3.3). */
function associated(sequence: bigint, type: number, length: number): Buffer {
  const bytes = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, type, 3, 3, length >> 8, length & 0xff]);
  bytes.writeBigUInt64BE(sequence);
  return bytes;
}

/** The pseudorandom function (RFC 5246 §5). */
function prf(secret: Buffer, seed: Buffer, length: number): Buffer {
  const hash = (bytes: Buffer): Buffer => createHmac('sha256', secret).update(bytes).digest();
  let [a, output]: [Buffer, Buffer] = [seed, Buffer.alloc(0)];
  while (output.length < length) {
    a = hash(a);
    output = Buffer.concat([output, hash(Buffer.concat([a, seed]))]);
  }
  return output.subarray(0, length);
}
