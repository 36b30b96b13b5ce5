// After an upgrade: two sockets joined byte for byte. Nothing is answered on a peer's behalf: Prefect's client takes a
// pong for "the server has all my events", so pings and pongs must go end to end (prefect-facts.md §5). Back-pressure
// holds in both directions, a half-close is passed on, and either side's end ends the other.

import type { Socket } from 'node:net';
import type { TunnelRewriter, TunnelStep } from './contract.ts';
import { followFrames } from './frame-bounds.ts';
import { writeTransient } from './framing.ts';
import { closeFrame, POLICY_VIOLATION } from './websocket.ts';

/** How much may be still to come of a frame that is let end before a close frame, bytes. */
const MOST_AWAITED = 65_536;

export interface Tunnel {
  fromClient(bytes: Buffer): void;
  fromUpstream(bytes: Buffer): void;
  clientDrain(): void;
  upstreamDrain(): void;
  clientEnd(): void;
  upstreamEnd(): void;
  /** A side has ended its direction, or was refused: what is left has no long life. */
  readonly leaving: boolean;
  /** Bytes so far. */
  readonly sent: { readonly toUpstream: number; readonly toClient: number };
}

/** One direction. */
interface Way {
  sent: number;
  readonly ended: boolean;
  /** Whether what passes is read, so that it may yet be refused. */
  readonly reads: boolean;
  readonly take: (bytes: Buffer) => void;
  /** Past the rewriter. */
  readonly forward: (bytes: Buffer) => void;
  readonly drain: () => void;
  readonly end: () => void;
}

/** From `source` to `sink`, through a rewriter if there is one; `passes` is told of all that is sent on. */
function openWay(
  source: Socket,
  sink: Socket,
  rewriter: TunnelRewriter | null,
  refuse: (reason: string) => void,
  passes: (bytes: Buffer) => void,
): Way {
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
    passes(bytes);
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
  const way: Way = {
    sent: 0,
    get ended() {
      return ended;
    },
    get reads() {
      return rewrite !== null;
    },
    forward,
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

/**
 * Joins `client` and `upstream`. When a rewriter refuses, a close frame with its reason goes to the client, or only the end where
 * that would come too late; then `refused` is called with it.
 */
export function openTunnel(
  client: Socket,
  upstream: Socket,
  { toUpstream, toClient }: TunnelRewriters,
  refused: (reason: string) => void,
): Tunnel {
  const frames = followFrames();
  /** Why it ends as soon as the frame has ended that the client has got a part of. */
  let why: string | null = null;
  const close = (reason: string): void => {
    client.write(closeFrame(POLICY_VIOLATION, reason));
    refused(reason);
  };
  const refuse = (reason: string): void => {
    // Inside of a frame the client would read it as what that frame says (RFC 6455 §5.4).
    if (frames.between) close(reason);
    else if (frames.left > MOST_AWAITED) refused(reason);
    else {
      why = reason;
      client.pause();
    }
  };
  const up = openWay(client, upstream, toUpstream, refuse, () => {});
  const down = openWay(upstream, client, toClient, refuse, (bytes) => {
    if (why === null && (up.reads || down.reads)) frames.pass(bytes);
  });
  return {
    get leaving() {
      return up.ended || down.ended || why !== null;
    },
    get sent() {
      return { toUpstream: up.sent, toClient: down.sent };
    },
    fromClient: up.take,
    fromUpstream(bytes) {
      if (why === null) {
        down.take(bytes);
        return;
      }
      const to = frames.finish(bytes);
      down.forward(bytes.subarray(0, to));
      if (frames.between) close(why);
      else if (frames.left > MOST_AWAITED) refused(why);
    },
    clientDrain: down.drain,
    upstreamDrain: up.drain,
    clientEnd: up.end,
    upstreamEnd: down.end,
  };
}

const FAULT: TunnelStep = { send: null, finished: true, refuse: 'a fault of this proxy' };
