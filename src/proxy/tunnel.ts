// After an upgrade: two sockets joined byte for byte. Nothing is answered on a peer's behalf: Prefect's client takes a
// pong for "the server has all my events", so pings and pongs must go end to end (prefect-facts.md §5). Back-pressure
// holds in both directions, a half-close is passed on, and either side's end ends the other.

import type { Socket } from 'node:net';
import type { TunnelRewriter } from './contract.ts';
import { writeTransient } from './framing.ts';

export interface Tunnel {
  fromClient(bytes: Buffer): void;
  fromUpstream(bytes: Buffer): void;
  clientDrain(): void;
  upstreamDrain(): void;
  clientEnd(): void;
  upstreamEnd(): void;
  readonly sent: { toUpstream: number; toClient: number };
}

/** Joins `client` and `upstream`. `refuse` is called when the rewriter ends the tunnel, with its reason. */
export function openTunnel(
  client: Socket,
  upstream: Socket,
  rewriter: TunnelRewriter | null,
  refuse: (reason: string) => void,
): Tunnel {
  const sent = { toUpstream: 0, toClient: 0 };
  let rewrite = rewriter;
  const forward = (bytes: Buffer): void => {
    sent.toUpstream += bytes.length;
    if (!writeTransient(upstream, bytes)) client.pause();
  };
  return {
    sent,
    fromClient(bytes) {
      if (rewrite === null) return forward(bytes);
      // It may keep them.
      const result = rewrite(Buffer.from(bytes));
      if (result.refuse !== undefined) return refuse(result.refuse);
      if (result.finished) rewrite = null;
      if (result.send !== null && result.send.length > 0) forward(result.send);
    },
    fromUpstream(bytes) {
      sent.toClient += bytes.length;
      if (!writeTransient(client, bytes)) upstream.pause();
    },
    clientDrain: () => void upstream.resume(),
    upstreamDrain: () => void client.resume(),
    clientEnd: () => void upstream.end(),
    upstreamEnd: () => void client.end(),
  };
}
