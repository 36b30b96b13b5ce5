// For connections that are not let in, but may ask one thing of the gate itself: who has no certificate, to enrol; who has
// one that has just expired, to renew it, where that is allowed. A request's first line begins, octet for octet, as one of
// those that are answered here; anything else is refused as if this room did not exist, and not a byte of it is read on.
// After a success the connection may be used again, a bounded number of times; any other answer ends it. Nothing of it ever
// goes on to Prefect.

import type { TLSSocket } from 'node:tls';
import { readRequestHead } from '../http1/request.ts';
import type { RequestHead } from '../http1/request-head.ts';
import { CHUNKED } from '../http1/syntax.ts';
import { writeAnswer, writeOwnAnswer } from '../http1/write.ts';
import { type BodyTaking, type TakenBody, takeBody } from '../proxy/body-taking.ts';
import { dateLine } from '../proxy/own-answer.ts';
import type { StatusAnswer } from './status/answer.ts';
import { sendAnswer } from './status/send.ts';

const LIMITS = { headBytes: 8_192, headerLines: 50 } as const;
/** Requests of one connection: whoever brings in a fleet need not shake hands for each machine. */
const MOST_REQUESTS = 100;
/**
 * ms; `first`: for a first line, as long as a refused peer has to say something; `whole`: for the request; `linger`: to
 * read the answer; `write`: to take one that may be long.
 */
const WAITS = { first: 2_000, whole: 10_000, linger: 5_000, write: 60_000 } as const;

const NOTHING: Buffer = Buffer.alloc(0);

/** All methods that the reader of heads knows, for who answers to each of them below a path. */
export const METHODS = ['GET', 'POST', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

/** What is answered here. */
export interface AnteroomRequest {
  /** How its first line begins, octet for octet; `requestLine` for all of it. */
  readonly begins: string;
  /** What a request that begins so comes to, by its head. */
  readonly visit: (head: RequestHead) => AnteroomAnswer | AnteroomTake;
}

export type AnteroomAnswer =
  | {
      readonly status: number;
      readonly type: string;
      /** ASCII. */
      readonly text: string;
      /** Header lines, each with its CRLF. */
      readonly extra: string;
    }
  /** Written already; it says that the connection ends. */
  | StatusAnswer;

/** The body is wanted first. */
export interface AnteroomTake {
  /** Bytes; in chunks with their framing. */
  readonly most: number;
  readonly chunks?: boolean;
  readonly answer: (body: Buffer) => Promise<AnteroomAnswer> | AnteroomAnswer;
}

/** The whole first line of one request, for `begins`. */
export function requestLine(method: 'GET' | 'POST', path: string): string {
  return `${method} ${path} HTTP/1.1\r\n`;
}

/** Serves `socket` what it asks for of `requests`; `other` is called when it asks for anything else, or for nothing in time. */
export function receive(socket: TLSSocket, requests: readonly AnteroomRequest[], other: () => void): void {
  const longest = Math.max(...requests.map(({ begins }) => begins.length));
  let bytes = NOTHING;
  let taking: BodyTaking | null = null;
  /** Whether something came behind the request that is being answered. */
  let more = false;
  /** Whether that is under way: nothing is read meanwhile. */
  let answering = false;
  /** Whether the client has ended its side meanwhile. */
  let hasEnded = false;
  let answered = 0;
  /** Whether a part of a request has come, and the rest is waited for. */
  let hasBegun = false;
  /** How often something came, or it was over. */
  let heard = 0;
  let deadline = awaitRequest();
  socket.on('data', read);
  socket.on('end', finished);
  socket.on('close', leave);

  function awaitRequest(): NodeJS.Timeout {
    return setTimeout(timeIsUp, WAITS.first).unref();
  }
  function timeIsUp(): void {
    const before = heard;
    // A busy process runs its timers before it reads what came in time.
    setImmediate(() => {
      if (heard === before) turnAway();
    });
  }
  function leave(): void {
    heard++;
    clearTimeout(deadline);
    socket.off('data', read);
    socket.off('end', finished);
    socket.off('close', leave);
  }
  function finished(): void {
    hasEnded = true;
    if (!answering) turnAway();
  }
  function turnAway(): void {
    leave();
    // Who has had an answer, and says nothing more, has done nothing wrong.
    if (answered > 0 && bytes.length === 0) end({ head: '', body: null });
    else other();
  }
  function end(answer: StatusAnswer): void {
    leave();
    socket.on('data', () => {});
    const lingering = setTimeout(() => socket.destroy(), answer.body === null ? WAITS.linger : WAITS.write).unref();
    // Else it would keep what belongs to the connection for as long, and a fleet that enrols makes thousands of them.
    socket.once('close', () => clearTimeout(lingering));
    if (answer.head === '') {
      socket.end();
      return;
    }
    sendAnswer(socket, answer).then(
      () => socket.end(),
      () => socket.destroy(),
    );
  }
  function refuse(status: number, detail: string): void {
    end({ head: writeAnswer(status, `certgate: ${detail}`, true, true, dateLine()), body: null });
  }
  function read(part: Buffer): void {
    heard++;
    if (answering) {
      more = true;
      return;
    }
    if (taking !== null) {
      more = taking.add(part) < part.length;
      return;
    }
    bytes = bytes.length === 0 ? part : Buffer.concat([bytes, part]);
    const text = bytes.toString('latin1', 0, longest);
    const request = requests.find(({ begins }) => begins.startsWith(text.slice(0, begins.length)));
    if (request === undefined) {
      turnAway();
      return;
    }
    const head = readRequestHead(bytes, 0, LIMITS);
    if (head === null) awaitRest();
    else if (head.ok) visit(request, head);
    else refuse(head.status, head.reason);
  }
  /** From a request's beginning on; most come whole, and have nothing to wait for. */
  function awaitRest(): void {
    if (hasBegun) return;
    hasBegun = true;
    clearTimeout(deadline);
    deadline = setTimeout(() => socket.destroy(), WAITS.whole);
  }
  function visit(request: AnteroomRequest, head: RequestHead): void {
    const said = request.visit(head);
    if (!('most' in said)) {
      tell(head, said);
      return;
    }
    const { most, chunks = false, answer } = said;
    const tooLong = `a body of at most ${most} bytes${chunks ? '' : ', its length announced,'} is wanted`;
    if (head.bodyLength === CHUNKED ? !chunks : head.bodyLength > most) {
      refuse(413, tooLong);
      return;
    }
    let whole = false;
    const taken = (body: TakenBody): void => {
      whole = true;
      if (typeof body === 'string') {
        if (body === 'too long') refuse(413, tooLong);
        else refuse(400, 'the body has a malformed chunk');
        return;
      }
      clearTimeout(deadline);
      answering = true;
      void give(head, answer, body);
    };
    if (head.expectsContinue && bytes.length === head.size) socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
    taking = takeBody(head.bodyLength, most, taken);
    const rest = bytes.subarray(head.size);
    more = taking.add(rest) < rest.length;
    if (!whole) awaitRest();
  }
  async function give(head: RequestHead, answer: AnteroomTake['answer'], body: Buffer): Promise<void> {
    try {
      tell(head, await answer(body));
    } catch {
      socket.destroy();
    }
  }
  function tell({ method, close, size, bodyLength }: RequestHead, answer: AnteroomAnswer): void {
    if ('head' in answer) {
      end(answer);
      return;
    }
    const { status, type, text, extra } = answer;
    // What came behind the request before it was answered is not read, nor a body that nobody asked for: what is read after
    // it would be taken for a request, and a proxy in front would have sent it as a body (RFC 9112 §11.2).
    const hasMore = more || (taking === null && (bodyLength !== 0 || bytes.length > size));
    const ends = close || hasMore || hasEnded || status !== 200 || ++answered >= MOST_REQUESTS;
    const head = writeOwnAnswer(status, { type, text }, ends, method !== 'HEAD', dateLine() + extra);
    if (ends) {
      end({ head, body: null });
      return;
    }
    clearTimeout(deadline);
    if (socket.destroyed) return;
    bytes = NOTHING;
    taking = null;
    hasBegun = false;
    answering = false;
    socket.write(head, 'latin1');
    deadline = awaitRequest();
  }
}
