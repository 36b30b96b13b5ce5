// What TLS lets a peer do between two bytes of its data (RFC 8446 §4.6.3, §5, §6), and what it does not: records of any size
// and new keys change nothing of what is said; what breaks TLS ends its own connection at once, whatever is under way on it.

import { connect as connectTcp } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALERT, DATA, HANDSHAKE, openRecords, type Records } from '../e2e/harness/records.ts';
import { connectRaw, type RawPeer, type RawUpstream, startRawUpstream } from '../proxy/plain-proxy.ts';
import type { GateFixture, GateHouse } from './gate-fixture.ts';
import { openGateHouse, workerCredentials } from './gate-fixture.ts';

const GET = 'GET /api/hello HTTP/1.1\r\nHost: gate.test\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok';
let house: GateHouse;
let upstream: RawUpstream;
let gate: GateFixture;
let credentials: { readonly cert: string; readonly key: string; readonly ca: string };

beforeAll(async () => {
  house = await openGateHouse();
  upstream = await startRawUpstream();
  gate = await house.start(upstream.port);
  credentials = workerCredentials(house);
});
afterAll(async () => {
  await gate.close();
  await house.close();
  upstream.close();
});

/** Upstream's end of the next request, once its head and `body` have come. */
async function arrived(body = ''): Promise<RawPeer> {
  const up = await upstream.accept();
  await up.until(`\r\n\r\n${body}`);
  return up;
}

async function answered(peer: Records): Promise<void> {
  while (!peer.received().endsWith('\r\n\r\nok')) await new Promise((resolve) => setImmediate(resolve));
  peer.tcp.destroy();
}

describe('one request is what comes', () => {
  test('in records of one octet with empty ones between them', async () => {
    const peer = await openRecords(gate.port, credentials);
    for (const octet of GET) peer.tcp.write(Buffer.concat([peer.record(DATA, ''), peer.record(DATA, octet)]));
    const up = await arrived();
    expect(up.received()).toMatch(/^GET \/api\/hello HTTP\/1\.1\r\n/);
    up.send(OK);
    await answered(peer);
  });

  test('with new keys before every few octets', async () => {
    const peer = await openRecords(gate.port, credentials);
    for (const part of GET.match(/.{1,5}/gs) ?? []) {
      peer.tcp.write(Buffer.concat([peer.keyUpdate(), peer.record(DATA, part)]));
    }
    (await arrived()).send(OK);
    await answered(peer);
  });
});

describe('ends its connection, idle, within a head and while an answer is waited for:', () => {
  test.each<[string, (peer: Records) => Buffer]>([
    ['a fatal alert', (peer) => peer.record(ALERT, Buffer.from([2, 40]))],
    ['half an alert', (peer) => peer.record(ALERT, Buffer.from([2]))],
    ['empty records without end', (peer) => Buffer.concat(Array.from({ length: 500 }, () => peer.record(DATA, '')))],
    ['a record of no known kind', (peer) => peer.record(99, 'x')],
    ['a change of cipher', () => Buffer.from([20, 3, 3, 0, 1, 1])],
    ['a record that is longer than one may be', (peer) => peer.record(DATA, Buffer.alloc(16_385))],
    ['a record that says it is longer still', () => Buffer.from([DATA, 3, 3, 0xff, 0xff])],
    ['a record that nobody encrypted', () => Buffer.concat([Buffer.from([DATA, 3, 3, 0, 40]), Buffer.alloc(40)])],
    ['a ClientHello (renegotiation)', (peer) => peer.record(HANDSHAKE, Buffer.from([1, 0, 0, 2, 3, 3]))],
    ['a KeyUpdate that is none', (peer) => peer.record(HANDSHAKE, Buffer.from([24, 0, 0, 1, 7]))],
    ['two KeyUpdates in one record', (peer) => peer.record(HANDSHAKE, Buffer.from([24, 0, 0, 1, 1, 24, 0, 0, 1, 1]))],
    ['a ticket, which only servers send', (peer) => peer.record(HANDSHAKE, Buffer.from([4, 0, 0, 1, 0]))],
  ])('%s', async (_what, bytes) => {
    for (const begun of ['', 'GET /api/he', GET]) {
      const peer = await openRecords(gate.port, credentials);
      if (begun !== '') peer.tcp.write(peer.record(DATA, begun));
      const up = begun === GET ? await arrived() : null;
      peer.tcp.write(bytes(peer));
      await peer.closed;
      await up?.ended();
    }
  });
});

test('a close_notify ends what its peer says: nothing that comes behind it is read', async () => {
  const before = upstream.accepted;
  const peer = await openRecords(gate.port, credentials);
  peer.tcp.write(Buffer.concat([peer.record(ALERT, Buffer.from([1, 0])), peer.record(DATA, GET)]));
  await peer.closed;
  expect(upstream.accepted).toBe(before);
});

test('an end without close_notify within a body breaks the request off upstream', async () => {
  const peer = await openRecords(gate.port, credentials);
  peer.tcp.write(peer.record(DATA, 'POST /api/hello HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf'));
  const up = await arrived('half');
  peer.tcp.end();
  await up.ended();
  await peer.closed;
});

describe('a handshake', () => {
  /** Shakes hands by a carrier that writes what `change` makes of it, and asks; whether that was answered. */
  async function goesWell(change: (bytes: Buffer) => Buffer[]): Promise<boolean> {
    const raw = connectTcp({ port: gate.port, host: '127.0.0.1', noDelay: true });
    const carrier = new Duplex({
      read() {},
      write(bytes: Buffer, _encoding, done) {
        const parts = change(bytes);
        const next = (): void => {
          const part = parts.shift();
          if (part === undefined) done();
          else raw.write(part, () => setImmediate(next));
        };
        next();
      },
    });
    raw.on('error', () => {});
    raw.on('data', (bytes: Buffer) => carrier.push(bytes));
    raw.on('close', () => carrier.push(null));
    const tls = connectTls({ socket: carrier, host: '127.0.0.1', ...credentials });
    const well = new Promise<boolean>((resolve) => {
      tls.on('error', () => resolve(false));
      tls.once('close', () => resolve(false));
      tls.once('data', () => resolve(true));
    });
    tls.once('secureConnect', () => {
      tls.write(GET);
      void arrived().then((up) => up.send(OK));
    });
    const said = await well;
    raw.destroy();
    return said;
  }

  /** The records of a flight that are part of the handshake, cut into records of `size` bytes. */
  const recut = (size: number) => (bytes: Buffer) => {
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + 5 + bytes.readUInt16BE(at + 3);
      if (bytes[at] !== HANDSHAKE) parts.push(bytes.subarray(at, end));
      else {
        for (let from = at + 5; from < end; from += size) {
          const part = bytes.subarray(from, Math.min(end, from + size));
          parts.push(Buffer.concat([bytes.subarray(at, at + 3), Buffer.from([0, part.length]), part]));
        }
      }
      at = end;
    }
    return parts;
  };

  test('that comes octet by octet is one', async () => {
    expect(await goesWell((bytes) => Array.from(bytes, (byte) => Buffer.from([byte])))).toBe(true);
  });

  test.each([100, 7, 1])('whose ClientHello lies in records of %i bytes is one', async (size) => {
    expect(await goesWell(recut(size))).toBe(true);
  });

  test('with data before its end (0-RTT that nobody offered) is refused', async () => {
    const early = Buffer.concat([Buffer.from([DATA, 3, 3, 0, 60]), Buffer.alloc(60, 'GET /api/early')]);
    const before = upstream.accepted;
    let first = true;
    const change = (bytes: Buffer): Buffer[] => {
      const parts = first ? [bytes, early] : [bytes];
      first = false;
      return parts;
    };
    expect(await goesWell(change)).toBe(false);
    expect(upstream.accepted).toBe(before);
  });

  test.each([
    'GET /api/hello HTTP/1.1\r\nHost: a\r\n\r\n',
    '\x16\x03\x01\x00\x00',
    '\x15\x03\x03\x00\x02\x02\x28',
    '\x80\x2e\x01\x00\x02',
    '\x16\x03\x01\xff\xff',
  ])('that begins with %j ends its own connection', async (bytes) => {
    const raw = await connectRaw(gate.port);
    raw.send(Buffer.from(bytes, 'latin1'));
    raw.socket.end();
    await raw.ended();
  });
});
