// A gate behind load balancers that say whose a connection is: who is believed, what is on record and sent on, and who is
// counted for it. The balancers are 127.0.0.2 and ::1 where it is reached; everybody else stands at 127.0.0.1.

import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it } from 'vitest';
import type { GateOptions } from '../../src/inbound/gate.ts';
import { peerOf, type RawPeer } from '../proxy/plain-proxy.ts';
import { type GateFixture, workerCredentials } from '../security/gate-fixture.ts';
import { GATE_LIMITS } from './gate-options.ts';
import { answerTo, GET, namingGate } from './naming-gate.ts';
import { binary, binaryFrom } from './proxy-header.ts';

const BALANCER = '127.0.0.2';
/** How a client hears that it was reset, or that what it met is no TLS. */
const CUT = /closed|ECONNRESET|disconnected|alert|wrong version/;
const gates = namingGate();

const behind = (different: Partial<GateOptions> = {}) =>
  gates.start({ balancers: ['127.0.0.2/31', '2001:db8::/32'], ...different });

async function tcp(gate: GateFixture, localAddress: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port: gate.port, localAddress, noDelay: true });
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

/** Over `socket`, on which something may have been sent already. */
async function tls(socket: Socket): Promise<RawPeer> {
  const secured = connectTls({ socket, servername: 'localhost', ...workerCredentials(gates.house()) });
  await new Promise((resolve, reject) => {
    secured.once('secureConnect', () => resolve(null)).once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
  return peerOf(secured);
}

/** Whose the gate takes a write to be that comes behind `header`. */
async function addressAfter(gate: GateFixture, header: string | Buffer, from = BALANCER): Promise<unknown> {
  const socket = await tcp(gate, from);
  socket.write(header);
  const peer = await tls(socket);
  peer.send(GET.replace('GET /api/health', 'DELETE /api/flow_runs/1'));
  expect(await peer.until(/\r\n\r\nworker/u)).toMatch(/^HTTP\/1\.1 200 /);
  peer.socket.destroy();
  return gate.records().findLast(({ method }) => method === 'DELETE')?.['address'];
}

describe('behind a load balancer that passes TLS through', () => {
  it('the client is who the header says, and whom the balancer does not name is the balancer', async () => {
    const gate = await behind();
    expect(await addressAfter(gate, binaryFrom('192.0.2.7'))).toBe('192.0.2.7');
    expect(await addressAfter(gate, 'PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n')).toBe('2001:db8::7');
    expect(await addressAfter(gate, 'PROXY TCP4 192.0.2.8 203.0.113.1 1 2\r\n', '127.0.0.3')).toBe('192.0.2.8');
    expect(await addressAfter(gate, binary(0x20, 0, Buffer.alloc(0)))).toBe(BALANCER);
    expect(await addressAfter(gate, 'PROXY UNKNOWN\r\n')).toBe(BALANCER);
  });

  it('a header may come octet by octet, and together with what follows', async () => {
    const gate = await behind();
    const slow = await tcp(gate, BALANCER);
    for (const octet of binaryFrom('192.0.2.7')) {
      slow.write(Buffer.from([octet]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await answerTo(await tls(slow))).toBe('200 worker/etl-1');
    const together = await tcp(gate, BALANCER);
    together.cork();
    together.write(binaryFrom('192.0.2.7'));
    const secured = tls(together);
    // Until the handshake's first bytes are there too.
    await new Promise((resolve) => setImmediate(resolve));
    together.uncork();
    expect(await answerTo(await secured)).toBe('200 worker/etl-1');
  });

  it('without a header a balancer’s connection is reset, and so is one whose header can’t be read', async () => {
    const gate = await behind();
    await expect(tls(await tcp(gate, BALANCER))).rejects.toThrow(CUT);
    const broken = await tcp(gate, BALANCER);
    broken.write('PROXY TCP4 192.0.2.7\r\n');
    await expect(tls(broken)).rejects.toThrow(CUT);
    expect((await gate.health()).metrics).toMatchObject({ handshakes: 0, handshakeFailures: 2 });
  });

  it('one that brings no header is reset in time; one that leaves without a word is no failure', async () => {
    const gate = await behind({ limits: { ...GATE_LIMITS, handshake: 300 } });
    const leaving = await tcp(gate, BALANCER);
    leaving.end();
    const silent = await tcp(gate, BALANCER);
    silent.write('PROXY ');
    silent.resume();
    await new Promise((resolve) => silent.once('close', resolve));
    expect((await gate.health()).metrics).toMatchObject({ handshakeFailures: 1 });
  });

  it('nobody else is believed: there a header is no TLS, and without one the address is the connection’s', async () => {
    const gate = await behind();
    const forged = await tcp(gate, '127.0.0.1');
    forged.write(binaryFrom('192.0.2.7'));
    await expect(tls(forged)).rejects.toThrow(CUT);
    expect(await addressAfter(gate, '', '127.0.0.1')).toBe('127.0.0.1');
    const plain = await gates.start();
    const header = await tcp(plain, BALANCER);
    header.write(binaryFrom('192.0.2.7'));
    await expect(tls(header)).rejects.toThrow(CUT);
  });

  it('limits of an address are for each client, and none for the balancer', async () => {
    const gate = await behind({ limits: { ...GATE_LIMITS, connectionsPerAddress: 1 } });
    const one = async (client: string): Promise<RawPeer> => {
      const socket = await tcp(gate, BALANCER);
      socket.write(binaryFrom(client));
      return tls(socket);
    };
    const first = await one('192.0.2.7');
    const second = await one('192.0.2.8');
    await expect(one('192.0.2.7')).rejects.toThrow(CUT);
    expect((await gate.health()).metrics).toMatchObject({ handshakes: 2, limitedConnections: 1 });
    first.socket.destroy();
    let again: RawPeer | null = null;
    while (again === null) again = await one('192.0.2.7').catch(() => null);
    for (const peer of [second, again]) expect(await answerTo(peer)).toBe('200 worker/etl-1');
  });

  it('clients with IPv4 of a balancer that speaks IPv6 are counted each for itself', async () => {
    const gate = await behind({ limits: { ...GATE_LIMITS, connectionsPerAddress: 1 } });
    const mapped = (last: string): Buffer =>
      binary(0x21, 0x21, Buffer.from(`00000000000000000000ffffc00002${last}`.padEnd(72, '0'), 'hex'));
    const one = await tcp(gate, BALANCER);
    one.write(mapped('07'));
    const peer = await tls(one);
    expect(await addressAfter(gate, mapped('08'))).toBe('::ffff:192.0.2.8');
    expect(await answerTo(peer)).toBe('200 worker/etl-1');
  });
});
