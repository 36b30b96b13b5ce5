// What the proxy asks of the room above it, and what it tells it. The proxy moves messages between two sockets; who may
// send what, what is written at its head and what is recorded is decided there, as data.

import type { Socket } from 'node:net';
import type { RequestHead } from '../http1/request-head.ts';
import type { ResponseHead } from '../http1/response.ts';
import type { HeadLimits, Malformed } from '../http1/syntax.ts';

/** An answer of our own; `detail` is shown to the client as `{"detail": …}`. */
export interface Answer {
  readonly kind: 'answer';
  readonly status: number;
  readonly detail: string;
  /** Further header lines, each with its CRLF. */
  readonly extra: string;
  /** Another body in place of the JSON with `detail`; null for that. */
  readonly body?: { readonly type: string; readonly text: string } | null;
  readonly close: boolean;
  /** For the opening of a WebSocket: open it and close it at once with this code (RFC 6455 §7.4), in place of the status. */
  readonly closeWebSocket?: { readonly code: number; readonly reason: string } | null;
  /** The answer waits for it, and no further request of the connection is read meanwhile. Null when nothing must. */
  readonly recorded: Promise<void> | null;
}

/** A head as bytes, its empty line included. Whoever wrote it changes it for its next request, unless it is `held`. */
export interface HeadBytes {
  readonly bytes: Buffer;
  /** A socket still has to send it: set by the proxy, which is the last to touch it then. */
  held: boolean;
}

/** Send the request on. */
export interface Forward {
  readonly kind: 'forward';
  /** The request head, written anew and whole. */
  readonly head: HeadBytes;
  /** Lines, each with its CRLF, that are added to upstream's answer. */
  readonly answerExtra: string;
  /** Resolves once what must be on record is; the answer waits for it. Null when nothing must. */
  readonly recorded: Promise<void> | null;
  /** Reads the whole body, if any, before anything is sent on, and says what is; null to stream it. Its length is announced. */
  readonly inspectBody?: BodyInspector | null;
  /** For a WebSocket: sees and may change what the client sends, until it answers null for "no more". */
  readonly rewriteTunnel: TunnelRewriter | null;
  /** The same for what the client is sent; absent for null. */
  readonly rewriteTunnelBack?: TunnelRewriter | null;
  /** Sees and may change the answer as a whole; null to stream it. */
  readonly rewriteAnswer: AnswerRewriter | null;
}

/** An answer in place of the exchange, or the head and the body to send on. */
export type BodyVerdict =
  | Answer
  | {
      readonly kind: 'send';
      readonly head: HeadBytes;
      readonly body: Buffer;
      /** In place of `Forward.recorded`, where what must be on record is known only now; absent for that. */
      readonly recorded?: Promise<void> | null;
    };

/** Also asked of what has no body, with an empty one. While it takes its time no further request is read. */
export type BodyInspector = (body: Buffer) => BodyVerdict | Promise<BodyVerdict>;

/** How an answer is changed. */
export interface AnswerChange {
  /** The longest answer that is held to be changed, bytes. */
  readonly most: number;
  /** Whether nothing may go on that was not changed, of whatever length. Else it passes as it is. */
  readonly must: boolean;
  /** The body to send in place of `body` (uncompressed only if the request allowed nothing else); null for one that can't be changed. */
  readonly rewrite: (body: Buffer, head: ResponseHead) => Buffer | null;
}

/** Why an answer that must be changed was not. */
export type Withheld = 'unreadable' | 'no room';

export interface AnswerRewriter extends AnswerChange {
  /** Told how many bytes of the answer are held until the client has them; false where there is no room for them. */
  readonly hold: (bytes: number) => boolean;
  /** What is answered in place of one that must be changed, and was not. */
  readonly instead: (why: Withheld) => Answer;
}

/**
 * What is to be sent on (possibly nothing yet); `finished` once no more is to be seen; `refuse` to end the tunnel, after what
 * is to be sent.
 */
export interface TunnelStep {
  readonly send: Buffer | null;
  readonly finished: boolean;
  readonly refuse?: string;
}

/** Takes the next bytes from one side of a tunnel. While it takes its time that side is not read. */
export type TunnelRewriter = (bytes: Buffer) => TunnelStep | Promise<TunnelStep>;

/** Take the request's body whole, then answer by it: for what is asked of the proxy itself. */
export interface Take {
  readonly kind: 'take';
  /** The most bytes that the body may have; a longer one is answered 413 unread, or, in chunks, as soon as it is too long. */
  readonly most: number;
  /** Whether it may come in chunks, which are counted with their framing; else that is answered 413 too. */
  readonly chunks?: boolean;
  readonly answer: (body: Buffer) => Promise<Answer>;
}

export type Verdict = Answer | Forward | Take;

export type Ending =
  /** The answer was given whole, or the tunnel closed in order. */
  | 'complete'
  /** The client left before its answer was whole. */
  | 'client-gone'
  /** Upstream could not be reached, broke off, or answered what can't be passed on. */
  | 'upstream-failed'
  /** Upstream's answer had to be changed, and could not be. */
  | 'withheld'
  /** This side ended it: a revocation, a limit, the end of a drain. */
  | 'cut';

/** How a request went. Sizes are bytes of bodies or tunnelled data, without heads. */
export interface Outcome {
  readonly status: number;
  readonly requestBytes: number;
  readonly answerBytes: number;
  readonly milliseconds: number;
  readonly ending: Ending;
  readonly upgraded: boolean;
  /** What failed, for the log; null when nothing did. */
  readonly problem: string | null;
}

/** The decisions of the room above, for one client connection. */
export interface Handler<V extends Verdict = Verdict> {
  decide(head: RequestHead): V;
  /** The answer to what could not be read as a request. */
  refuseMalformed(problem: Malformed): Answer;
  /** Upstream failed: the answer to a request that is no WebSocket's. `connected` is false when it could not be reached at all. */
  upstreamFailed(problem: string, connected: boolean): Answer;
  /** An answer is there, and waits for nothing but its `recorded`. */
  recordAwaited(verdict: Pick<Forward, 'recorded'>): void;
  /** The answer when `Forward.recorded` was rejected. */
  recordFailed(problem: unknown): Answer;
  /** Something threw that should not have: for the log. Its connection is cut, the others go on. */
  fault(error: unknown): void;
  /** Once for each decided request, after its last byte. */
  finished(head: RequestHead, verdict: V, outcome: Outcome): void;
  /** The connection has had no request for a while: what is kept only for speed can go. */
  rest(): void;
}

/** What an exchange needs of the client's connection. */
export interface ExchangeOwner {
  readonly socket: Socket;
  /** The connection must end after the present answer. */
  readonly closing: boolean;
  /** The client has ended its direction. */
  readonly inputEnded: boolean;
  /** The exchange is over; `keep` is false when the connection must be ended after what was written. */
  exchangeDone(keep: boolean): void;
  /** Writes an answer of our own in place of upstream's; the exchange is over. */
  exchangeAnswered(answer: Answer, withBody: boolean): void;
  /** A byte moved on the upstream side: the stall deadline starts anew. */
  moved(): void;
  /** Hands over what the client has already sent; from now on its bytes are the tunnel's. */
  takePending(): Buffer | null;
}

/** All times in milliseconds. */
export interface Limits extends HeadLimits {
  /** From a head's first byte to its last. */
  readonly head: number;
  /** Between requests on a kept connection. */
  readonly idle: number;
  /** Without a byte moving in either direction while a request is under way. */
  readonly stall: number;
}
