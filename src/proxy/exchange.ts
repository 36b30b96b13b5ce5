// One request and its answer between a client's connection and one upstream connection. The head goes up as the room
// above wrote it; bodies are streamed in both directions with back-pressure and end exactly where their framing says.
// A request is never sent twice unless it is safe, has no body and died on a kept connection before any answer (RFC 9110
// §9.2.2). What breaks upstream is shown to the client as a broken body, never as a short success.

import { type Body, followBody, openBody } from '../http1/body.ts';
import type { RequestHead } from '../http1/request.ts';
import { type ResponseHead, readResponseHead } from '../http1/response.ts';
import { UNTIL_CLOSE } from '../http1/syntax.ts';
import { writeResponseHead } from '../http1/write.ts';
import type { Answer, Ending, ExchangeOwner, Forward, Handler, Limits, Verdict } from './contract.ts';
import { chunkOf, joined, LAST_CHUNK } from './framing.ts';
import { openTunnel, type Tunnel } from './tunnel.ts';
import type { UpstreamConnection, UpstreamPool, UpstreamUser } from './upstream-pool.ts';
import { acceptAndClose, closeFrame, SERVICE_RESTART } from './websocket.ts';

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Interim answers (1xx) that upstream may send before its answer. */
const MOST_INTERIM = 16;

const POLICY_VIOLATION = 1008;

export class Exchange implements UpstreamUser {
  private readonly startedAt = performance.now();
  private readonly requestBody: Body;
  private upstream: UpstreamConnection | null = null;
  private held: Buffer | null = null;
  private waitsForRecord: boolean;
  private answerHead: ResponseHead | null = null;
  private answerBody: Body | null = null;
  private tunnel: Tunnel | null = null;
  private retried = false;
  private interim = 0;
  private over = false;
  private requestBytes = 0;
  private answerBytes = 0;

  private readonly owner: ExchangeOwner;
  readonly head: RequestHead;
  private readonly verdict: Forward;
  private readonly handler: Handler<Verdict>;
  private readonly pool: UpstreamPool;
  private readonly limits: Limits;

  constructor(
    owner: ExchangeOwner,
    head: RequestHead,
    verdict: Forward,
    handler: Handler<Verdict>,
    pool: UpstreamPool,
    limits: Limits,
  ) {
    this.owner = owner;
    this.head = head;
    this.verdict = verdict;
    this.handler = handler;
    this.pool = pool;
    this.limits = limits;
    this.requestBody = openBody(head.bodyLength);
    this.waitsForRecord = verdict.recorded !== null;
    verdict.recorded?.then(
      () => {
        this.waitsForRecord = false;
        const held = this.held;
        this.held = null;
        if (held !== null && !this.over) this.readAnswer(held);
        if (!this.over && this.upstream !== null) this.upstream.socket.resume();
      },
      (error: unknown) => {
        if (!this.over) this.answerInstead(this.handler.recordFailed(error), 'not recorded');
      },
    );
  }

  get upgraded(): boolean {
    return this.tunnel !== null;
  }

  get requestComplete(): boolean {
    return this.requestBody.done;
  }

  /** Sends the head and the part of the body that `bytes[from…]` holds; answers the index one past it. */
  start(bytes: Buffer, from: number): number {
    this.upstream = this.pool.acquire(this, false);
    if (this.requestBody.done) {
      this.upstream.socket.write(this.verdict.head, 'latin1');
      return from;
    }
    const to = followBody(this.requestBody, bytes, from);
    if (this.requestBody.bad) return this.badRequestBody(bytes);
    this.requestBytes += to - from;
    if (!this.upstream.socket.write(joined(this.verdict.head, bytes, from, to))) this.owner.socket.pause();
    return to;
  }

  /** More of the request's body, or the tunnel's bytes; answers the index one past what was taken. */
  clientData(bytes: Buffer, from: number): number {
    if (this.tunnel !== null) {
      this.tunnel.fromClient(from === 0 ? bytes : bytes.subarray(from));
      return bytes.length;
    }
    if (this.over) return bytes.length;
    const to = followBody(this.requestBody, bytes, from);
    if (this.requestBody.bad) return this.badRequestBody(bytes);
    if (to > from && this.upstream !== null) {
      this.requestBytes += to - from;
      if (!this.upstream.socket.write(bytes.subarray(from, to))) this.owner.socket.pause();
    }
    return to;
  }

  clientDrain(): void {
    if (this.tunnel !== null) this.tunnel.clientDrain();
    else if (!this.waitsForRecord) this.upstream?.socket.resume();
  }

  /** The client ended its direction. Without a whole request there is nothing to answer. */
  clientEnd(): void {
    if (this.tunnel !== null) this.tunnel.clientEnd();
    else if (!this.requestBody.done) this.abandon('client-gone', 'the client ended within the request body');
  }

  /** The client's connection is gone, or is being cut: whatever is under way ends here. */
  abandon(ending: Ending, problem: string | null): void {
    if (this.over) return;
    // A tunnel that both sides have ended is complete however its socket closed.
    this.dropUpstream();
    this.finish(ending, problem);
    this.owner.socket.destroy();
  }

  upstreamConnected(): void {}

  upstreamDrain(): void {
    this.owner.socket.resume();
  }

  upstreamData(bytes: Buffer): void {
    if (this.tunnel !== null) this.tunnel.fromUpstream(bytes);
    else if (this.answerHead === null) {
      const all = this.held === null ? bytes : Buffer.concat([this.held, bytes]);
      this.held = null;
      if (this.waitsForRecord) {
        this.held = all;
        this.upstream?.socket.pause();
      } else this.readAnswer(all);
    } else this.passAnswerBody(bytes);
  }

  upstreamEnd(): void {
    if (this.tunnel !== null) {
      this.tunnel.upstreamEnd();
      return;
    }
    if (this.answerHead?.bodyLength === UNTIL_CLOSE) {
      this.owner.socket.write(LAST_CHUNK);
      this.complete();
      return;
    }
    // 'close' follows and decides; an answer that waits for its record is still good.
    if (this.held === null) this.upstream?.socket.destroy();
  }

  upstreamClosed(problem: string | null): void {
    const connection = this.upstream;
    this.upstream = null;
    if (this.over) return;
    if (this.tunnel !== null) {
      this.owner.socket.end();
      if (problem !== null) this.owner.socket.destroy();
      this.finish(problem === null ? 'complete' : 'upstream-failed', problem);
      this.owner.exchangeDone(false);
      return;
    }
    if (this.held !== null && this.waitsForRecord) return;
    const reason = problem ?? 'upstream closed the connection before its answer was whole';
    if (connection !== null && this.mayRetry(connection)) {
      this.retried = true;
      this.upstream = this.pool.acquire(this, true);
      this.upstream.socket.write(this.verdict.head, 'latin1');
      return;
    }
    this.failed(reason, connection?.connected ?? false);
  }

  /** RFC 9110 §9.2.2: only what is safe, on a kept connection that died without a word, and only once. */
  private mayRetry(connection: UpstreamConnection): boolean {
    const silent = this.answerHead === null && this.held === null && this.interim === 0;
    const safe = this.head.bodyLength === 0 && SAFE.has(this.head.method);
    return silent && safe && !this.retried && connection.served > 0;
  }

  private readAnswer(bytes: Buffer): void {
    let at = 0;
    for (;;) {
      const head = readResponseHead(at === 0 ? bytes : bytes.subarray(at), 0, this.head.method, this.limits);
      if (head === null) {
        this.held = at === 0 ? bytes : bytes.subarray(at);
        if (this.upstream === null) this.failed('upstream closed the connection within its answer head', true);
        return;
      }
      if (!head.ok) {
        this.failed(`upstream's answer can't be read: ${head.reason}`, true);
        return;
      }
      at += head.size;
      if (head.status === 101) {
        this.switchProtocols(head, bytes.subarray(at));
        return;
      }
      if (head.status >= 200) {
        this.passAnswer(head, bytes, at);
        return;
      }
      if (++this.interim > MOST_INTERIM) {
        this.failed('upstream sent too many interim answers', true);
        return;
      }
      if (head.status === 100 && this.head.expectsContinue) {
        this.owner.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
      }
    }
  }

  private passAnswer(head: ResponseHead, bytes: Buffer, from: number): void {
    const upgradeRefused = this.head.upgrade === 'websocket';
    if (upgradeRefused && head.status >= 502 && head.status <= 504) {
      this.failed(`upstream answered ${head.status} to a WebSocket`, true);
      return;
    }
    const body = openBody(head.bodyLength);
    const to = followBody(body, bytes, from);
    if (body.bad) {
      this.failed("upstream's answer has a malformed chunk", true);
      return;
    }
    this.answerHead = head;
    this.answerBody = body;
    this.answerBytes += to - from;
    const close = this.owner.closing || this.head.close || upgradeRefused || !this.requestBody.done;
    const text = writeResponseHead(head, this.head.method, close, this.verdict.answerExtra);
    const socket = this.owner.socket;
    let room: boolean;
    if (head.bodyLength === UNTIL_CLOSE) {
      room = socket.write(text, 'latin1');
      if (to > from) room = socket.write(chunkOf(bytes.subarray(from, to)));
    } else {
      room = from === to ? socket.write(text, 'latin1') : socket.write(joined(text, bytes, from, to));
    }
    if (body.done) this.complete(close, to === bytes.length);
    else if (this.upstream === null) this.upstreamClosed(null);
    else if (!room) this.upstream.socket.pause();
  }

  private passAnswerBody(bytes: Buffer): void {
    const body = this.answerBody;
    if (body === null || this.over) return;
    const to = followBody(body, bytes, 0);
    if (body.bad) {
      this.failed("upstream's answer has a malformed chunk", true);
      return;
    }
    this.answerBytes += to;
    const room =
      body.length === UNTIL_CLOSE
        ? this.owner.socket.write(chunkOf(bytes))
        : this.owner.socket.write(to === bytes.length ? bytes : bytes.subarray(0, to));
    if (body.done) this.complete(false, to === bytes.length);
    else if (!room) this.upstream?.socket.pause();
  }

  private switchProtocols(head: ResponseHead, rest: Buffer): void {
    const upstream = this.upstream;
    if (this.head.upgrade !== 'websocket' || upstream === null) {
      this.failed('upstream switched protocols unasked', true);
      return;
    }
    this.answerHead = head;
    const extra = `upgrade: websocket\r\nconnection: Upgrade\r\n${this.verdict.answerExtra}`;
    this.owner.socket.write(writeResponseHead(head, 'GET', false, extra), 'latin1');
    this.tunnel = openTunnel(this.owner.socket, upstream.socket, this.verdict.rewriteTunnel, (reason) => {
      this.owner.socket.end(closeFrame(POLICY_VIOLATION, reason));
      this.dropUpstream();
      this.finish('cut', reason);
      this.owner.exchangeDone(false);
    });
    if (rest.length > 0) this.tunnel.fromUpstream(rest);
    const pending = this.owner.takePending();
    if (pending !== null) this.tunnel.fromClient(pending);
    this.owner.socket.resume();
  }

  private complete(close = false, clean = true): void {
    const head = this.answerHead;
    const upstream = this.upstream;
    const reusable = clean && this.requestBody.done && head !== null && !head.close && head.bodyLength !== UNTIL_CLOSE;
    if (reusable && upstream !== null) {
      this.upstream = null;
      this.pool.release(upstream);
    } else this.dropUpstream();
    const keep = !close && !this.head.close && !this.owner.closing && this.requestBody.done;
    this.finish('complete', null);
    this.owner.exchangeDone(keep);
  }

  private failed(problem: string, connected: boolean): void {
    this.dropUpstream();
    if (this.answerHead !== null) {
      this.finish('upstream-failed', problem);
      this.owner.socket.destroy();
      return;
    }
    if (this.head.upgrade === 'websocket') {
      this.finish('upstream-failed', problem, 101);
      this.owner.socket.write(acceptAndClose(this.head, SERVICE_RESTART, 'upstream is not available, try again'));
      this.owner.exchangeDone(false);
      return;
    }
    this.answerInstead(this.handler.upstreamFailed(problem, connected), problem);
  }

  private answerInstead(answer: Answer, problem: string): void {
    this.dropUpstream();
    if (this.answerHead !== null) {
      this.finish('upstream-failed', problem);
      this.owner.socket.destroy();
      return;
    }
    this.finish('upstream-failed', problem, answer.status);
    const mustClose = answer.close || !this.requestBody.done;
    this.owner.exchangeAnswered(mustClose ? { ...answer, close: true } : answer);
  }

  private badRequestBody(bytes: Buffer): number {
    this.dropUpstream();
    const answer = this.handler.refuseMalformed({ ok: false, status: 400, reason: 'the body has a malformed chunk' });
    this.answerInstead({ ...answer, close: true }, 'malformed request body');
    return bytes.length;
  }

  private dropUpstream(): void {
    const upstream = this.upstream;
    this.upstream = null;
    if (upstream === null) return;
    upstream.user = null;
    upstream.socket.destroy();
  }

  private finish(ending: Ending, problem: string | null, status = this.answerHead?.status ?? 0): void {
    if (this.over) return;
    this.over = true;
    this.handler.finished(this.head, this.verdict, {
      status,
      requestBytes: this.tunnel?.sent.toUpstream ?? this.requestBytes,
      answerBytes: this.tunnel?.sent.toClient ?? this.answerBytes,
      milliseconds: performance.now() - this.startedAt,
      ending,
      upgraded: this.tunnel !== null,
      problem,
    });
  }
}
