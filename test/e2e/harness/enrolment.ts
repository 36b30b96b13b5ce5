// What the tests of enrolment share: tokens of a house, and a relay before a gate that keeps back what the gate answers, so
// that an answer is lost at exactly the moment that a test wants.

import { connect, createServer, type Socket } from 'node:net';
import type { House } from './house.ts';
import { freePort } from './ports.ts';

/** A token of `certgate token create`; `gatePort` is where its machine will look for the gate. */
export async function newToken(home: House, gatePort: number, name: string, ...flags: string[]): Promise<string> {
  const gate = `https://127.0.0.1:${gatePort}`;
  const { stdout } = await home.certgate(['token', 'create', name, '--gate', gate, '--config', home.config, ...flags]);
  return stdout.trim();
}

export interface HoldingRelay {
  readonly port: number;
  /** The connections so far. */
  readonly count: number;
  /** Destroys all that is open, and holds nothing back from then on. */
  release(): void;
  stop(): Promise<void>;
}

/** Relays to `to`; of the connection with this number (from 1), what the gate says after the handshake is kept back. */
export async function startHoldingRelay(to: number, held: number): Promise<HoldingRelay> {
  const port = await freePort();
  const open = new Set<Socket>();
  let [count, holding] = [0, true];
  const server = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port: to });
    const isHeld = ++count === held && holding;
    let [answered, hold] = [false, false];
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        open.delete(socket);
        other.destroy();
      });
    }
    near.on('data', (bytes: Buffer) => {
      // The client speaks again after the gate's flight: its part of the handshake is done (RFC 8446 §2).
      if (answered && isHeld) hold = true;
      far.write(bytes);
    });
    far.on('data', (bytes: Buffer) => {
      answered = true;
      if (!hold) near.write(bytes);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port,
    get count() {
      return count;
    },
    release() {
      holding = false;
      for (const socket of open) socket.destroy();
    },
    async stop() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
