// After an upgrade: two sockets joined byte for byte. Nothing is answered on a peer's behalf: Prefect's client takes a
// pong for "the server has all my events", so pings and pongs must go end to end (prefect-facts.md §5). Back-pressure
// holds in both directions, a half-close is passed on, and either side's end ends the other.

import type { Socket } from 'node:net';
import type { TunnelRewriter, TunnelStep } from './contract.ts';
import { writeTransient } from './framing.ts';

export interface Tunnel {
  fromClient(bytes: Buffer): void;
  fromUpstream(bytes: Buffer): void;
  clientDrain(): void;
  upstreamDrain(): void;
  clientEnd(): void;
  upstreamEnd(): void;
  /** Bytes so far. */
  readonly sent: { readonly toUpstream: number; readonly toClient: number };
}

/** One direction: from `source` to `sink`, through a rewriter if there is one. */
function openWay(
  source: Socket,
  sink: Socket,
  rewriter: TunnelRewriter | null,
  refuse: (reason: string) => void,
): { readonly take: (bytes: Buffer) => void; readonly drain: () => void; readonly end: () => void; sent: number } {
  let rewrite = rewriter;
  let over = false;
  /** What comes while the rewriter takes its time; the source is paused then, so that this is little. */
  let waiting: Buffer[] | null = null;
  let ended = false;
  const apply = (step: TunnelStep): void => {
    if (over) return;
    if (step.send !== null && step.send.length > 0) forward(step.send);
    if (step.finished) rewrite = null;
    if (step.refuse === undefined) return;
    over = true;
    refuse(step.refuse);
  };
  const forward = (bytes: Buffer): void => {
    way.sent += bytes.length;
    if (!writeTransient(sink, bytes)) source.pause();
  };
  const read = (bytes: Buffer, by: TunnelRewriter): void => {
    const step = by(bytes);
    if (step instanceof Promise) {
      waiting = [];
      source.pause();
      step.then(go).catch(() => go(FAULT));
    } else apply(step);
  };
  const go = (done: TunnelStep): void => {
    const next = waiting ?? [];
    waiting = null;
    apply(done);
    if (next.length > 0) way.take(Buffer.concat(next));
    if (over || waiting !== null) return;
    if (ended) sink.end();
    else if (!sink.writableNeedDrain) source.resume();
  };
  const way = {
    sent: 0,
    take(bytes: Buffer): void {
      if (over) return;
      if (waiting !== null) waiting.push(Buffer.from(bytes));
      else if (rewrite === null) forward(bytes);
      // It may keep them.
      else read(Buffer.from(bytes), rewrite);
    },
    drain(): void {
      if (waiting === null) source.resume();
    },
    end(): void {
      ended = true;
      if (waiting === null) sink.end();
    },
  };
  return way;
}

/** What may see and change a tunnel's bytes. */
export interface TunnelRewriters {
  readonly toUpstream: TunnelRewriter | null;
  readonly toClient: TunnelRewriter | null;
}

/** Joins `client` and `upstream`. `refuse` is called when a rewriter ends the tunnel, with its reason. */
export function openTunnel(
  client: Socket,
  upstream: Socket,
  rewriters: TunnelRewriters,
  refuse: (reason: string) => void,
): Tunnel {
  const up = openWay(client, upstream, rewriters.toUpstream, refuse);
  const down = openWay(upstream, client, rewriters.toClient, refuse);
  return {
    get sent() {
      return { toUpstream: up.sent, toClient: down.sent };
    },
    fromClient: up.take,
    fromUpstream: down.take,
    clientDrain: down.drain,
    upstreamDrain: up.drain,
    clientEnd: up.end,
    upstreamEnd: down.end,
  };
}

const FAULT: TunnelStep = { send: null, finished: true, refuse: 'a fault of this proxy' };
