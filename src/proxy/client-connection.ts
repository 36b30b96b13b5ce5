// One client's connection: reads requests from it one at a time (RFC 9112 §9.3), asks what to do with each, and gives
// the answers in order. What a client sends ahead waits in the kernel, not in memory. It ends its connection after an
// answer where the next request could not be told apart safely, and then only after the client could read the answer.

import type { Socket } from 'node:net';
import { endOfBody } from '../http1/body.ts';
import { readRequestHead } from '../http1/request.ts';
import type { RequestHead } from '../http1/request-head.ts';
import { forgetHeads, openRequestMemory } from '../http1/request-memory.ts';
import type { Malformed } from '../http1/syntax.ts';
import { type BodyTaking, type TakenBody, takeBody } from './body-taking.ts';
import type { Answer, BodyVerdict, Ending, ExchangeOwner, Handler, Limits, Take, Verdict } from './contract.ts';
import { Deadline } from './deadline.ts';
import { resetAtOnce, startReading } from './direct-io.ts';
import { Exchange } from './exchange.ts';
import { type Asked, type HeldRequest, heldRequest, holdPart, sendable } from './held-body.ts';
import type { ConnectionSet, ConnectionWork } from './open-connections.ts';
import { answered, answerOf, closingOf, refusalOf, refusedBody, textOf, tooMuch } from './own-answer.ts';
import type { UpstreamPool } from './upstream-pool.ts';
import { websocketProblem } from './websocket.ts';

/** Serves `socket` until it ends; it is in `set.members` meanwhile. */
export class ClientConnection implements ExchangeOwner {
  readonly socket: Socket;
  private readonly handler: Handler<Verdict>;
  private readonly pool: UpstreamPool;
  private readonly limits: Limits;
  private readonly set: ConnectionSet;
  private readonly memory = openRequestMemory();
  private pending: Buffer | null = null;
  private exchange: Exchange | null = null;
  /** A body that is read whole, before it is answered or before anything is sent on. */
  private taking: (BodyTaking & Asked & { readonly verdict: Take }) | null = null;
  private held: HeldRequest | null = null;
  private ending = false;
  /** An answer of our own, or a decision, waits for something. */
  private answering = false;
  inputEnded = false;
  private pumping = false;
  private readonly deadline: Deadline;
  /** What makes the next request cheaper is remembered. */
  private remembers = false;

  constructor(socket: Socket, handler: Handler<Verdict>, pool: UpstreamPool, limits: Limits, set: ConnectionSet) {
    this.socket = socket;
    this.handler = handler;
    this.pool = pool;
    this.limits = limits;
    this.set = set;
    this.deadline = new Deadline(limits, set);
    set.members.add(this);
    socket.on('drain', () => {
      if (this.exchange === null) this.proceed();
      else this.exchange.clientDrain();
    });
    socket.on('end', () => this.onEnd());
    socket.on('error', () => {});
    socket.on('close', () => {
      set.members.delete(this);
      this.exchange?.abandon('client-gone', null);
      this.exchange = null;
      const left = this.held ?? this.taking;
      if (left !== null) this.tellAnswered(left, left.verdict, 0, 'client-gone');
      this.held = null;
      this.pending = null;
    });
    startReading(socket, (bytes) => {
      try {
        this.onData(bytes);
      } catch (error) {
        handler.fault(error);
        this.cut('a fault of this proxy');
      }
    });
  }

  get closing(): boolean {
    return this.set.draining || (this.inputEnded && this.pending === null);
  }

  get work(): ConnectionWork {
    const tunnels = this.exchange?.tunnel ? 1 : 0;
    const open = this.exchange !== null || this.held !== null || this.taking !== null;
    return { connections: 1, requests: open ? 1 - tunnels : 0, tunnels };
  }

  /** Resets it at once, in the middle of whatever is under way: the client gets not even what was already written. */
  reset(reason: string): void {
    const done = resetAtOnce(this.socket);
    if (done && this.exchange === null) {
      // Its `close` does the rest; until then it must not go on with what it has read.
      this.ending = true;
      this.pending = null;
    } else this.cut(reason);
  }

  /** Ends it at once, in the middle of whatever is under way. */
  cut(reason: string): void {
    this.exchange?.abandon('cut', reason);
    this.exchange = null;
    this.socket.destroy();
  }

  /** Ends it as soon as it is idle: now, or after its present answer. */
  drain(): void {
    if (this.work.requests + this.work.tunnels === 0 && !this.answering && this.pending === null) this.end();
  }

  /** Ends what has outstayed its limit; who waits must not hold much. Called for every connection a few times a second. */
  sweep(now: number): void {
    if (this.remembers && this.deadline.rests(now)) {
      this.remembers = false;
      forgetHeads(this.memory);
      this.handler.rest();
    }
    if (!this.deadline.passed(now)) return;
    if (this.ending) this.socket.destroy();
    else if (this.exchange !== null) {
      // A tunnel may be silent for days; one that a side has left may not.
      if (this.exchange.tunnel?.leaving !== false) this.exchange.stalled(this.limits.stall);
    } else if (this.deadline.is === 'head' && this.pending !== null) {
      this.write(answerOf(408, `no whole request head within ${this.limits.head} ms`), true);
    } else this.end();
  }

  moved(): void {
    this.deadline.expect('stall');
  }

  takePending(): Buffer | null {
    const pending = this.pending;
    this.pending = null;
    return pending;
  }

  exchangeDone(keep: boolean): void {
    this.exchange = null;
    if (keep && !this.closing) {
      this.deadline.expect('idle');
      // What the same read brought behind this answer would be taken for that to what is sent on now.
      if (this.pending !== null) setImmediate(() => this.proceed());
      else this.proceed();
    } else this.end();
  }

  exchangeAnswered(answer: Answer, withBody: boolean): void {
    this.exchange = null;
    this.write(answer, withBody);
    this.proceed();
  }

  /** Something has to end before the next request is read: the present one, its record, or the reading of its answer. */
  private get busy(): boolean {
    if (this.exchange !== null) return this.exchange.requestComplete;
    return this.answering || this.socket.writableNeedDrain;
  }

  /** Goes on with what the client has sent meanwhile, and reads on unless that has to wait. */
  private proceed(): void {
    this.pump();
    if (!this.ending && !(this.pending !== null && this.busy)) this.socket.resume();
  }

  private onData(bytes: Buffer): void {
    if (this.ending) return;
    if (this.exchange !== null || this.held !== null) this.deadline.expect('stall');
    if (this.exchange?.tunnel) {
      this.exchange.clientData(bytes);
      return;
    }
    this.pending = this.pending === null ? bytes : Buffer.concat([this.pending, bytes]);
    this.pump();
    // The next read overwrites what is still to be worked through.
    if (this.pending?.buffer === bytes.buffer) this.pending = Buffer.from(this.pending);
  }

  /** Works through what the client has sent: bodies into the present exchange, heads into new ones. */
  private pump(): void {
    if (this.pumping) return;
    this.pumping = true;
    while (this.pending !== null && !this.ending && !this.socket.destroyed) {
      if (this.busy) {
        this.socket.pause();
        break;
      }
      const bytes: Buffer = this.pending;
      const { exchange, taking, held } = this;
      let at: number;
      if (exchange !== null || taking !== null || held !== null) {
        this.pending = null;
        at = exchange?.clientData(bytes) ?? taking?.add(bytes) ?? (held === null ? 0 : this.hold(held, bytes, 0));
      } else {
        const head = readRequestHead(bytes, 0, this.limits, this.memory);
        if (head === null) {
          if (this.deadline.is !== 'head') this.deadline.expect('head');
          break;
        }
        this.pending = null;
        if (!head.ok) {
          this.refuse(head);
          break;
        }
        // After the client's end: what it cut short is not begun, and what is behind a whole request stays pending.
        const end = this.inputEnded ? endOfBody(head.bodyLength, bytes, head.size) : bytes.length;
        if (end === null) break;
        if (end < bytes.length) this.pending = bytes.subarray(end);
        at = this.begin(head, bytes);
      }
      if (at < bytes.length && !this.ending) this.pending = bytes.subarray(at);
    }
    this.pumping = false;
    // What came whole before the client's end is answered first (RFC 9112 §9.3.2); the rest never will be.
    if (this.inputEnded && this.exchange === null && !this.busy) this.end();
  }

  private begin(head: RequestHead, bytes: Buffer): number {
    const problem = websocketProblem(head);
    if (problem !== null) {
      this.refuse(problem);
      return bytes.length;
    }
    this.deadline.expect('stall');
    this.remembers = true;
    const startedAt = performance.now();
    const verdict = this.handler.decide(head);
    this.held = heldRequest(head, verdict, startedAt);
    if (this.held !== null) return this.hold(this.held, bytes, head.size);
    if (verdict.kind === 'forward') {
      this.exchange = new Exchange(this, head, verdict, this.handler, this.pool, this.limits, startedAt);
      return this.exchange.start(bytes, head.size);
    }
    if (verdict.kind === 'take') return this.take(head, verdict, startedAt);
    this.tellAnswered({ head, startedAt }, verdict, verdict.status, 'complete');
    const close = verdict.close || head.close || head.bodyLength !== 0 || head.upgrade !== null;
    this.answerWith(head, verdict, close);
    return close ? bytes.length : head.size;
  }

  /** More of a body that is held; when it is whole, what was made of it is sent on or answered. */
  private hold(held: HeldRequest, bytes: Buffer, from: number): number {
    const to = holdPart(held, bytes, from);
    if (!held.body.done) return to;
    const said = held.inspect(held.bytes);
    if (said instanceof Promise) this.later(said, (one) => this.actOn(held, one));
    else this.actOn(held, said);
    return to;
  }

  /** Sends on what was held, or answers it. */
  private actOn(held: HeldRequest, said: BodyVerdict): void {
    // Whoever has left meanwhile is told of by the end of the socket.
    if (this.held !== held || this.ending) return;
    this.held = null;
    if (said.kind === 'answer') {
      this.tellAnswered(held, said, said.status, 'complete');
      this.answerWith(held.head, said, said.close || held.head.close);
    } else {
      const { head, verdict } = sendable(held, said);
      this.exchange = new Exchange(this, head, verdict, this.handler, this.pool, this.limits, held.startedAt);
      this.exchange.start(said.body, 0);
    }
  }

  private tellAnswered(asked: Asked, verdict: Verdict, status: number, ending: Ending, bytes = 0): void {
    this.handler.finished(asked.head, verdict, answered(status, bytes, asked.startedAt, ending));
  }

  /** Gives an answer of our own once it is on record. */
  private answerWith(head: RequestHead, verdict: Answer, close: boolean): void {
    const give = (): void => {
      if (this.socket.destroyed || this.ending) return;
      const closing = closingOf(head, verdict);
      if (closing !== null) {
        this.socket.write(closing);
        this.end();
      } else this.write(close ? { ...verdict, close } : verdict, head.method !== 'HEAD');
    };
    const recorded = verdict.recorded?.catch(() => {});
    if (recorded === undefined) give();
    else {
      this.handler.recordAwaited(verdict);
      this.later(recorded, give);
    }
  }

  /** Answers what bytes of the request have been dealt with. */
  private take(head: RequestHead, verdict: Take, startedAt: number): number {
    const give = (answer: Answer, bytes: number): void => {
      this.tellAnswered({ head, startedAt }, verdict, answer.status, 'complete', bytes);
      if (!this.socket.destroyed && !this.ending) this.write({ ...answer, close: answer.close || head.close }, true);
    };
    const taken = (body: TakenBody): void => {
      this.taking = null;
      this.deadline.expect('stall');
      const said = typeof body === 'string' ? refusedBody(body, verdict, this.handler) : verdict.answer(body);
      this.later(said, (answer) => give(answer, typeof body === 'string' ? 0 : body.length));
    };
    const refusal = tooMuch(head, verdict);
    if (refusal !== null) give(refusal, 0);
    else {
      this.deadline.expect('head');
      if (head.expectsContinue) this.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
      this.taking = { ...takeBody(head.bodyLength, verdict.most, taken), head, verdict, startedAt };
      if (head.bodyLength === 0) this.taking.add(Buffer.alloc(0));
    }
    return head.size;
  }

  /** Acts on what comes of `work`, and reads on after it. What fails is a fault of ours; this connection alone pays. */
  private later<T>(work: Promise<T>, act: (value: T) => void): void {
    this.answering = true;
    const go = (value: T): void => {
      this.answering = false;
      act(value);
      this.proceed();
    };
    work.then(go).catch((error: unknown) => {
      this.handler.fault(error);
      this.cut('a fault of this proxy');
    });
  }

  private refuse(problem: Malformed): void {
    this.write(refusalOf(problem, this.handler), true);
  }

  private write(answer: Answer, withBody: boolean): void {
    const close = answer.close || this.closing;
    this.socket.write(textOf(answer, close, withBody), 'latin1');
    if (close) this.end();
    else this.deadline.expect('idle');
  }

  /** Ends our direction and waits a moment for the client to read what was written and to end its own. */
  private end(): void {
    if (this.ending) return;
    this.ending = true;
    this.pending = null;
    // A slow reader gets the time that any answer has; the moment begins when all has been written.
    this.deadline.expect('stall');
    this.socket.end(() => this.deadline.expect('linger'));
    this.socket.resume();
  }

  private onEnd(): void {
    this.inputEnded = true;
    if (this.exchange !== null) this.exchange.clientEnd();
    else this.pump();
  }
}
