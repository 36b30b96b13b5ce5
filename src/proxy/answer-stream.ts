// Upstream's answer on its way to the client: read whole into a head, written anew, its body streamed exactly to where
// its framing says it ends. Interim answers are counted and only `100 Continue` is passed on, to a client that waits
// for it. One answer may instead be held and changed as a whole before it goes on (Forward.rewriteAnswer). A chunk's size, and
// the end behind the last chunk, go on whole or not at all: of one that breaks off in its size Python's http.client takes the
// first digits for all of it, and a `0` for the end.

import type { Socket } from 'node:net';
import { type Body, followBody, openBody } from '../http1/body.ts';
import type { RequestHead } from '../http1/request-head.ts';
import { type ResponseHead, type ResponseMemory, readResponseHead } from '../http1/response.ts';
import { UNTIL_CLOSE } from '../http1/syntax.ts';
import { beginResponseHead, endResponseHead, lengthLine } from '../http1/write.ts';
import type { Answer, AnswerRewriter, Limits, Withheld } from './contract.ts';
import { chunkOf, headAndBody, LAST_CHUNK, writeTransient } from './framing.ts';

/** Interim answers (1xx) that upstream may send before its answer. */
const MOST_INTERIM = 16;

export type Progress =
  /** More is to come; without `room` upstream should pause. */
  | { readonly kind: 'more'; readonly room: boolean }
  /** The answer is whole; `reusable` when upstream's connection ended it cleanly and stays open. */
  | { readonly kind: 'whole'; readonly reusable: boolean; readonly close: boolean }
  | { readonly kind: 'switched'; readonly head: ResponseHead; readonly rest: Buffer }
  /** Nothing of the answer was written if `begun` is still false. */
  | { readonly kind: 'broken'; readonly problem: string }
  /** It must be changed, and could not be: `answer` goes in its place. */
  | { readonly kind: 'withheld'; readonly answer: Answer; readonly problem: string };

const NOTHING: Buffer = Buffer.alloc(0);
const MORE: Progress = { kind: 'more', room: true };
const NO_ROOM: Progress = { kind: 'more', room: false };
const WITHHELD: Readonly<Record<Withheld, string>> = {
  unreadable: "upstream's answer can't be read, and must be changed",
  'no room': "upstream's answer must be changed, and there is no room to hold it",
};

export class AnswerStream {
  head: ResponseHead | null = null;
  /** Bytes of body written to the client. */
  bytes = 0;
  interim = 0;
  private held: Buffer | null = null;
  /** What has come of the size of a chunk, or of the end behind the last, that is not whole. */
  private line: Buffer | null = null;
  private body: Body | null = null;
  private close = false;
  /** What has come of an answer that is held, in a place for all of it. */
  private rewriting: { bytes: Buffer; size: number } | null = null;
  private readonly socket: Socket;
  private readonly request: RequestHead;
  private readonly limits: Limits;
  private readonly extra: string;
  private readonly rewriter: AnswerRewriter | null;

  constructor(socket: Socket, request: RequestHead, limits: Limits, extra: string, rewriter: AnswerRewriter | null) {
    this.socket = socket;
    this.request = request;
    this.limits = limits;
    this.extra = extra;
    this.rewriter = rewriter;
  }

  /** Something of the final answer has been written to the client. */
  get begun(): boolean {
    return this.head !== null;
  }

  /** It was held whole, and the client has not taken all of it. */
  get untaken(): boolean {
    return this.rewriting !== null && this.socket.writableNeedDrain;
  }

  /** Some of the answer has arrived, though perhaps not a whole head. */
  get silent(): boolean {
    return this.head === null && this.held === null && this.interim === 0;
  }

  /**
   * Takes the next bytes from upstream, good only until it returns. `mustClose` says whether the client's connection ends
   * after this answer; `memory` is that of the connection they came by.
   */
  take(bytes: Buffer, mustClose: boolean, memory: ResponseMemory | null): Progress {
    if (this.head !== null) return this.passBody(bytes);
    const all = this.held === null ? bytes : Buffer.concat([this.held, bytes]);
    this.held = null;
    let at = 0;
    for (;;) {
      const head = readResponseHead(all, at, this.request.method, this.limits, memory);
      if (head === null) {
        this.held = Buffer.from(at === 0 ? all : all.subarray(at));
        return MORE;
      }
      if (!head.ok) return { kind: 'broken', problem: `upstream's answer can't be read: ${head.reason}` };
      at += head.size;
      if (head.status === 101) return { kind: 'switched', head, rest: all.subarray(at) };
      if (head.status >= 200) {
        // Prefect's client loses events on such an answer to a WebSocket, but comes back after a close (websocket.ts).
        if (this.request.upgrade === 'websocket' && head.status >= 502 && head.status <= 504) {
          return { kind: 'broken', problem: `upstream answered ${head.status} to a WebSocket` };
        }
        this.close = mustClose;
        return this.begin(head, all, at, memory);
      }
      if (++this.interim > MOST_INTERIM) return { kind: 'broken', problem: 'upstream sent too many interim answers' };
      if (head.status === 100 && this.request.expectsContinue) {
        this.socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
      }
    }
  }

  /** Upstream has ended its direction: whole if its answer was one that ends so. */
  end(): Progress | null {
    if (this.head?.bodyLength !== UNTIL_CLOSE) return null;
    this.socket.write(LAST_CHUNK);
    return { kind: 'whole', reusable: false, close: this.close };
  }

  private begin(head: ResponseHead, bytes: Buffer, from: number, memory: ResponseMemory | null): Progress {
    const body = openBody(head.bodyLength);
    const to = followBody(body, bytes, from);
    if (body.bad) return { kind: 'broken', problem: "upstream's answer has a malformed chunk" };
    const { rewriter } = this;
    const fits = rewriter !== null && head.bodyLength > 0 && head.bodyLength <= rewriter.most;
    const holds = fits && rewriter.hold(head.bodyLength);
    if (rewriter?.must === true && !holds && head.bodyLength !== 0) {
      return withheld(rewriter, fits ? 'no room' : 'unreadable');
    }
    this.head = head;
    this.body = body;
    if (holds) {
      // As long as it was announced: upstream may send it in single octets.
      this.rewriting = { bytes: Buffer.allocUnsafeSlow(head.bodyLength), size: 0 };
      this.holdPart(this.rewriting, bytes, from, to);
      return body.done ? this.rewritten(head, to === bytes.length) : MORE;
    }
    const stop = this.holdLine(body, bytes, to);
    this.bytes += stop - from;
    const begun = begunOf(head, memory);
    const end = this.endOf(head);
    let room: boolean;
    if (from < to && head.bodyLength === UNTIL_CLOSE) {
      writeTransient(this.socket, headAndBody(begun, end, bytes, from, from));
      room = this.socket.write(chunkOf(bytes.subarray(from, to)));
    } else room = writeTransient(this.socket, headAndBody(begun, end, bytes, from, stop));
    return body.done ? this.whole(to === bytes.length) : room ? MORE : NO_ROOM;
  }

  private passBody(bytes: Buffer): Progress {
    const body = this.body;
    if (body === null) return MORE;
    const to = followBody(body, bytes, 0);
    if (body.bad) return { kind: 'broken', problem: "upstream's answer has a malformed chunk" };
    if (this.rewriting !== null && this.head !== null) {
      this.holdPart(this.rewriting, bytes, 0, to);
      return body.done ? this.rewritten(this.head, to === bytes.length) : MORE;
    }
    const part = this.withLine(body, bytes, to);
    if (part.length === 0) return MORE;
    this.bytes += part.length;
    const room = body.length === UNTIL_CLOSE ? this.socket.write(chunkOf(part)) : writeTransient(this.socket, part);
    return body.done ? this.whole(to === bytes.length) : room ? MORE : NO_ROOM;
  }

  /** Keeps what is unfinished before `bytes[to]` for the next read; answers where that begins. */
  private holdLine(body: Body, bytes: Buffer, to: number): number {
    const stop = to - body.unfinished;
    this.line = stop === to ? null : Buffer.from(bytes.subarray(stop, to));
    return stop;
  }

  /** What goes on of the body now that `bytes[0…to]` has come of it. */
  private withLine(body: Body, bytes: Buffer, to: number): Buffer {
    const { line } = this;
    if (line === null && body.unfinished === 0) return to === bytes.length ? bytes : bytes.subarray(0, to);
    const all = line === null ? bytes.subarray(0, to) : Buffer.concat([line, bytes.subarray(0, to)]);
    return all.subarray(0, this.holdLine(body, all, all.length));
  }

  private holdPart(held: { bytes: Buffer; size: number }, bytes: Buffer, from: number, to: number): void {
    held.size += bytes.copy(held.bytes, held.size, from, to);
  }

  private rewritten(head: ResponseHead, clean: boolean): Progress {
    const { rewriter } = this;
    const original = this.rewriting?.bytes ?? NOTHING;
    this.rewriting = { bytes: NOTHING, size: 0 };
    const changed = rewriter?.rewrite(original, head) ?? null;
    const body = changed ?? original;
    if (rewriter?.must === true && (changed === null || !rewriter.hold(body.length))) {
      this.head = null;
      return withheld(rewriter, changed === null ? 'unreadable' : 'no room');
    }
    const sized: ResponseHead = { ...head, bodyLength: body.length, announcedLength: body.length };
    this.bytes += body.length;
    writeTransient(this.socket, headAndBody(begunOf(sized, null), this.endOf(sized), body, 0, body.length));
    return this.whole(clean);
  }

  private endOf(head: ResponseHead): string {
    return lengthLine(head, this.request.method) + endResponseHead(this.close, this.extra);
  }

  private whole(clean: boolean): Progress {
    // Whether upstream, against the rules, sends a body to HEAD can't be known before the next answer would be due.
    const reusable = clean && this.head?.close === false && this.request.method !== 'HEAD';
    return { kind: 'whole', reusable, close: this.close };
  }
}

function withheld(rewriter: AnswerRewriter, why: Withheld): Progress {
  return { kind: 'withheld', answer: rewriter.instead(why), problem: WITHHELD[why] };
}

function begunOf(head: ResponseHead, memory: ResponseMemory | null): Buffer {
  if (memory?.head !== head) return Buffer.from(beginResponseHead(head), 'latin1');
  memory.begun ??= Buffer.from(beginResponseHead(head), 'latin1');
  return memory.begun;
}
