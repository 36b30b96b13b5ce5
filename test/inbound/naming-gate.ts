// A whole gate before an upstream that answers each request with the name by which the gate let its client in.

import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { compileRules } from '../../src/identity/identify.ts';
import type { GateOptions } from '../../src/inbound/gate.ts';
import { bind } from '../../src/proxy/connection-set.ts';
import { portOf, type RawPeer } from '../proxy/plain-proxy.ts';
import { type GateFixture, type GateHouse, openGateHouse } from '../security/gate-fixture.ts';

export const GET = 'GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n';
export const WEBSOCKET =
  'GET /api/events/in HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';

export interface NamingGate {
  /** The CA of these gates, with the certificate of `worker/etl-1`, also called etl.test. */
  house(): GateHouse;
  /** A gate that names by the SPIFFE URI, or as is different; closed after the test. */
  start(different?: Partial<GateOptions>): Promise<GateFixture>;
}

/** For one test file: starts the upstream before its tests, and ends all after them. */
export function namingGate(): NamingGate {
  const gates: GateFixture[] = [];
  let house: GateHouse;
  const upstream = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      const body = /x-certgate-identity: (.*)\r\n/.exec(bytes.toString('latin1'))?.[1] ?? 'nobody';
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    });
  });

  beforeAll(async () => {
    house = await openGateHouse({ dns: ['etl.test'] });
    await bind(upstream, { host: '127.0.0.1', port: 0 });
  });
  afterEach(async () => {
    for (const gate of gates.splice(0)) await gate.close();
  });
  afterAll(async () => {
    upstream.close();
    await house.close();
  });

  return {
    house: () => house,
    async start(different = {}) {
      const gate = await house.start(portOf(upstream), { rules: compileRules([{ from: 'spiffe' }]), ...different });
      gates.push(gate);
      return gate;
    },
  };
}

/** Asks once by this connection and ends it: `STATUS body`. */
export async function answerTo(peer: RawPeer): Promise<string> {
  peer.send(GET);
  const text = await peer.until(/\r\n\r\n[\s\S]+/u);
  peer.socket.destroy();
  return `${text.slice(9, 12)} ${text.slice(text.indexOf('\r\n\r\n') + 4)}`;
}
