// One request and its answer between a client's connection and one upstream connection. The head goes up as the room
// above wrote it; bodies are streamed in both directions with back-pressure and end exactly where their framing says.
// A request is never sent twice unless it is safe, has no body and died on a kept connection before any answer (RFC 9110
// §9.2.2). What breaks upstream is shown to the client as a broken body, never as a short success.

import { type Body, followBody, openBody } from '../http1/body.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { ResponseHead } from '../http1/response.ts';
import { writeResponseHead } from '../http1/write.ts';
import { AnswerStream, type Progress } from './answer-stream.ts';
import type { Answer, Ending, ExchangeOwner, Forward, Handler, Limits, Verdict } from './contract.ts';
import { encrypts, writeAtOnce } from './direct-io.ts';
import { headAndBody, leaveWritten, writeTransient } from './framing.ts';
import { BAD_CHUNK, refusalOf } from './own-answer.ts';
import { openTunnel, type Tunnel } from './tunnel.ts';
import type { UpstreamConnection, UpstreamPool, UpstreamUser } from './upstream-pool.ts';
import { acceptAndClose, acceptProblem, SERVICE_RESTART } from './websocket.ts';

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Bytes of an answer that may wait for its record before upstream has to wait too. */
const MOST_UNRECORDED = 65_536;

export class Exchange implements UpstreamUser {
  readonly head: RequestHead;
  private readonly startedAt: number;
  private readonly owner: ExchangeOwner;
  private readonly verdict: Forward;
  private readonly handler: Handler<Verdict>;
  private readonly pool: UpstreamPool;
  private readonly requestBody: Body;
  private readonly answer: AnswerStream;
  private requestBytes = 0;
  private upstream: UpstreamConnection | null = null;
  /** What upstream has sent while the record is not yet durable; the answer waits for it. */
  private unrecorded: Buffer[] | null;
  private unrecordedBytes = 0;
  /** What it has become by an upgrade. */
  tunnel: Tunnel | null = null;
  private retried = false;
  /** The answer is whole and waits in memory for the client to take it: whether the connection ends after it. */
  private untaken: boolean | null = null;
  private over = false;

  constructor(
    owner: ExchangeOwner,
    head: RequestHead,
    verdict: Forward,
    handler: Handler<Verdict>,
    pool: UpstreamPool,
    limits: Limits,
    startedAt: number,
  ) {
    this.startedAt = startedAt;
    this.owner = owner;
    this.head = head;
    this.verdict = verdict;
    this.handler = handler;
    this.pool = pool;
    this.requestBody = openBody(head.bodyLength);
    this.answer = new AnswerStream(owner.socket, head, limits, verdict.answerExtra, verdict.rewriteAnswer);
    this.unrecorded = verdict.recorded === null ? null : [];
    verdict.recorded
      ?.then(
        () => this.recorded(),
        (error: unknown) => {
          if (!this.over) this.answerInstead(this.handler.recordFailed(error), 'the request could not be recorded');
        },
      )
      // Nobody else would catch it, and then it would end the process.
      .catch((error: unknown) => this.fault(error));
  }

  get requestComplete(): boolean {
    return this.requestBody.done;
  }

  /** Sends the head and the part of the body that `bytes[from…]` holds; answers the index one past it. */
  start(bytes: Buffer, from: number): number {
    this.upstream = this.pool.acquire(this, false, this.startedAt);
    if (this.requestBody.done) {
      this.sendHead(this.upstream);
      return from;
    }
    const to = followBody(this.requestBody, bytes, from);
    if (this.requestBody.bad) return this.badRequestBody(bytes);
    this.requestBytes += to - from;
    // What is held of it is no more than one read: the client is not paused for that.
    const whole = headAndBody(this.verdict.head.bytes, '', bytes, from, to);
    if (!writeAtOnce(this.upstream.socket, whole)) leaveWritten();
    return to;
  }

  private sendHead(upstream: UpstreamConnection): void {
    if (!writeAtOnce(upstream.socket, this.verdict.head.bytes)) this.verdict.head.held = true;
  }

  /** More of the request's body, or the tunnel's bytes; answers the index one past what was taken. */
  clientData(bytes: Buffer): number {
    if (this.tunnel !== null) {
      this.tunnel.fromClient(bytes);
      return bytes.length;
    }
    const to = followBody(this.requestBody, bytes, 0);
    if (this.requestBody.bad) return this.badRequestBody(bytes);
    if (to > 0 && this.upstream !== null) {
      this.requestBytes += to;
      const part = to === bytes.length ? bytes : bytes.subarray(0, to);
      if (!writeTransient(this.upstream.socket, part)) this.owner.socket.pause();
    }
    return to;
  }

  clientDrain(): void {
    if (this.tunnel !== null) this.tunnel.clientDrain();
    else if (this.untaken !== null) this.end(this.untaken);
    else if (this.unrecorded === null) this.upstream?.socket.resume();
  }

  /** The client ended its direction. Without a whole request there is nothing to answer. */
  clientEnd(): void {
    if (this.tunnel !== null) this.tunnel.clientEnd();
    else if (!this.requestBody.done) {
      this.dropUpstream();
      this.finish('client-gone', 'the client ended within the request body');
      // The answers before it may still be on their way.
      this.owner.exchangeDone(false);
    }
  }

  /** The client's connection is gone, or is being cut: whatever is under way ends here. */
  abandon(ending: Ending, problem: string | null): void {
    if (this.over) return;
    this.dropUpstream();
    this.finish(ending, problem);
    this.owner.socket.destroy();
  }

  /** Nothing has moved for too long. Where no answer has begun there is still one to give. */
  stalled(ms: number): void {
    const problem = `nothing moved for ${ms} ms`;
    if (this.answer.begun || !this.requestBody.done) this.abandon('cut', problem);
    else this.failed(problem, true);
  }

  upstreamDrain(): void {
    if (this.tunnel === null) this.owner.socket.resume();
    else this.tunnel.upstreamDrain();
  }

  upstreamData(bytes: Buffer): void {
    this.owner.moved();
    try {
      this.receive(bytes);
    } catch (error) {
      this.fault(error);
    }
  }

  private fault(error: unknown): void {
    this.handler.fault(error);
    this.abandon('cut', 'a fault of this proxy');
    this.owner.socket.destroy(); // also where the fault came after the outcome had been told
  }

  private receive(bytes: Buffer): void {
    if (this.tunnel !== null) this.tunnel.fromUpstream(bytes);
    else if (this.unrecorded !== null) {
      if (this.unrecorded.length === 0) this.handler.recordAwaited(this.verdict);
      this.unrecorded.push(Buffer.from(bytes));
      this.unrecordedBytes += bytes.length;
      if (this.unrecordedBytes > MOST_UNRECORDED) this.upstream?.socket.pause();
    } else this.take(bytes);
  }

  upstreamEnd(): void {
    if (this.tunnel !== null) {
      this.tunnel.upstreamEnd();
      return;
    }
    // Over TLS anybody on the way can end a connection, and Node does not tell whether upstream did (RFC 8446 §6.1).
    const progress = this.upstream !== null && encrypts(this.upstream.socket) ? null : this.answer.end();
    if (progress !== null) this.follow(progress);
    // 'close' follows and decides; an answer that waits for its record is still good.
    else if (this.unrecorded === null || this.unrecorded.length === 0) this.upstream?.socket.destroy();
  }

  upstreamClosed(problem: string | null): void {
    const connection = this.upstream;
    this.upstream = null;
    if (this.over) return;
    if (this.tunnel !== null) {
      if (problem !== null) this.owner.socket.destroy();
      this.finish(problem === null ? 'complete' : 'upstream-failed', problem);
      this.owner.exchangeDone(false);
      return;
    }
    // What has come may be a whole answer: `recorded` reads it.
    if (this.unrecorded !== null && this.unrecorded.length > 0) return;
    // RFC 9110 §9.2.2: only what is safe, on a kept connection that died without a word, and only once.
    const safe = this.head.bodyLength === 0 && SAFE.has(this.head.method);
    if (safe && this.answer.silent && !this.retried && connection !== null && connection.served > 0) {
      this.retried = true;
      this.upstream = this.pool.acquire(this, true, performance.now());
      this.sendHead(this.upstream);
      return;
    }
    this.failed(problem ?? 'upstream closed the connection before its answer was whole', connection?.connected ?? true);
  }

  private recorded(): void {
    const waiting = this.unrecorded ?? [];
    this.unrecorded = null;
    if (this.over) return;
    this.upstream?.socket.resume();
    const [first] = waiting;
    if (first === undefined) return;
    this.take(waiting.length === 1 ? first : Buffer.concat(waiting));
    if (this.over) return;
    // That upstream ended, or closed, meanwhile was not acted on.
    if (this.upstream?.socket.readableEnded === true) this.upstreamEnd();
    else if (this.upstream === null && this.tunnel === null) this.upstreamClosed(null);
  }

  private take(bytes: Buffer): void {
    // After a refused upgrade, or an answer that came early, what the client sends next can't be told from a request.
    const mustClose =
      this.owner.closing || this.head.close || this.head.upgrade === 'websocket' || !this.requestBody.done;
    this.follow(this.answer.take(bytes, mustClose, this.upstream?.memory ?? null));
  }

  private follow(progress: Progress): void {
    switch (progress.kind) {
      case 'more':
        if (!progress.room) this.upstream?.socket.pause();
        break;
      case 'whole':
        this.complete(progress.reusable, progress.close);
        break;
      case 'switched':
        this.switchProtocols(progress.head, progress.rest);
        break;
      case 'broken':
        this.failed(progress.problem, true);
        break;
      case 'withheld':
        this.answerInstead(progress.answer, progress.problem, 'withheld');
    }
  }

  private switchProtocols(head: ResponseHead, rest: Buffer): void {
    const upstream = this.upstream;
    if (this.head.upgrade !== 'websocket' || upstream === null) {
      this.failed('upstream switched protocols unasked', true);
      return;
    }
    const problem = acceptProblem(this.head, head, this.verdict.head.bytes);
    if (problem !== null) {
      this.failed(`upstream's 101 opens no WebSocket: ${problem}`, true);
      return;
    }
    this.answer.head = head;
    const extra = `upgrade: websocket\r\nconnection: Upgrade\r\n${this.verdict.answerExtra}`;
    this.owner.socket.write(writeResponseHead(head, 'GET', false, extra), 'latin1');
    const { rewriteTunnel: toUpstream, rewriteTunnelBack: toClient = null } = this.verdict;
    this.tunnel = openTunnel(this.owner.socket, upstream.socket, { toUpstream, toClient }, (reason) => {
      this.dropUpstream();
      this.finish('cut', reason);
      this.owner.exchangeDone(false);
    });
    if (rest.length > 0) this.tunnel.fromUpstream(rest);
    this.owner.socket.resume(); // before the tunnel may pause it
    const pending = this.owner.takePending();
    if (pending !== null) this.tunnel.fromClient(pending);
    if (this.owner.inputEnded) this.clientEnd();
  }

  private complete(reusable: boolean, close: boolean): void {
    const upstream = this.upstream;
    const now = performance.now();
    if (reusable && upstream !== null && this.requestBody.done) {
      this.upstream = null;
      this.pool.release(upstream, now);
    } else this.dropUpstream();
    if (this.answer.untaken) this.untaken = close;
    else this.end(close, now);
  }

  private end(close: boolean, now?: number): void {
    this.finish('complete', null, undefined, now);
    this.owner.exchangeDone(!close && !this.owner.closing);
  }

  private failed(problem: string, connected: boolean): void {
    const answer = this.handler.upstreamFailed(problem, connected);
    if (this.head.upgrade === 'websocket' && !this.answer.begun) {
      this.dropUpstream();
      this.finish('upstream-failed', problem, 101);
      this.owner.socket.write(acceptAndClose(this.head, SERVICE_RESTART, 'upstream is not available, try again'));
      this.owner.exchangeDone(false);
      return;
    }
    this.answerInstead(answer, problem);
  }

  /** Ends the exchange with an answer of our own; where upstream's has begun, only a broken connection tells the truth. */
  private answerInstead(answer: Answer, problem: string, ending: Ending = 'upstream-failed'): void {
    this.dropUpstream();
    if (this.answer.begun) {
      this.finish(ending, problem);
      this.owner.socket.destroy();
      return;
    }
    this.finish(ending, problem, answer.status);
    const mustClose = answer.close || this.head.close || !this.requestBody.done;
    const given = mustClose ? { ...answer, close: true } : answer;
    this.owner.exchangeAnswered(given, this.head.method !== 'HEAD');
  }

  private badRequestBody(bytes: Buffer): number {
    this.answerInstead(refusalOf(BAD_CHUNK, this.handler), 'malformed request body');
    return bytes.length;
  }

  private dropUpstream(): void {
    const upstream = this.upstream;
    this.upstream = null;
    if (upstream === null) return;
    upstream.user = null;
    upstream.socket.destroy();
  }

  private finish(
    ending: Ending,
    problem: string | null,
    status = this.answer.head?.status ?? 0,
    now = performance.now(),
  ): void {
    if (this.over) return;
    this.over = true;
    this.handler.finished(this.head, this.verdict, {
      status,
      requestBytes: this.tunnel?.sent.toUpstream ?? this.requestBytes,
      answerBytes: this.tunnel?.sent.toClient ?? this.answer.bytes,
      milliseconds: now - this.startedAt,
      ending,
      upgraded: this.tunnel !== null,
      problem,
    });
  }
}
