// The load generator of the work `enrol`, a process of its own so that it can be pinned. Says what it found, and what of a
// core it took meanwhile.
// usage: only as a child of special/enrol.ts:  node enrol-load.ts

import { createSecureContext } from 'node:tls';
import { askAll } from './ask.ts';

export interface EnrolOrder {
  readonly port: number;
  /** PEM. */
  readonly trust: string;
  /** Base64. */
  readonly requests: readonly string[];
  readonly connections: number;
  readonly keepAlive: boolean;
  readonly verifies: boolean;
}

export type EnrolReply =
  | { readonly failure: string }
  | {
      readonly bodies: readonly string[];
      readonly ms: readonly number[];
      readonly seconds: number;
      /** Of a core, 0-1. */
      readonly share: number;
    };

async function carryOut(order: EnrolOrder): Promise<EnrolReply> {
  const requests = order.requests.map((one) => Buffer.from(one, 'base64'));
  // X25519 alone, so that no contestant does more key exchange than another.
  const context = createSecureContext({ ca: order.trust, minVersion: 'TLSv1.3', ecdhCurve: 'X25519' });
  const [before, began] = [process.cpuUsage(), performance.now()];
  try {
    const { bodies, ms } = await askAll({ ...order, requests, context });
    const seconds = (performance.now() - began) / 1000;
    const { user, system } = process.cpuUsage(before);
    return { bodies, ms, seconds, share: (user + system) / 1e6 / seconds };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

process.on('message', (order) => {
  void carryOut(order as EnrolOrder).then((reply) => process.send?.(reply));
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
