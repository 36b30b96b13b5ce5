// For connections that are not let in, but may ask one thing of the gate itself: who has no certificate, to enrol; who has
// one that has just expired, to renew it, where that is allowed. A request's first line is, octet for octet, one of those
// that are answered here; anything else is refused as if this room did not exist, and not a byte of it is read on. After a
// success the connection may be used again, a bounded number of times; any other answer ends it. Nothing of it ever goes on
// to Prefect.

import type { TLSSocket } from 'node:tls';
import { MOST_REQUEST_BYTES } from '../enroll/wire.ts';
import { readRequestHead } from '../http1/request.ts';
import { CHUNKED } from '../http1/syntax.ts';
import { writeAnswer, writeOwnAnswer } from '../http1/write.ts';

const LIMITS = { headBytes: 8_192, headerLines: 50 } as const;
/** Requests of one connection: whoever brings in a fleet need not shake hands for each machine. */
const MOST_REQUESTS = 100;
/** ms; `first`: for a first line, as long as a refused peer has to say something; `whole`: for the request; `linger`: to read the answer. */
const WAITS = { first: 2_000, whole: 10_000, linger: 5_000 } as const;

/** What is answered here. */
export interface AnteroomRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly answer: (body: string) => Promise<AnteroomAnswer> | AnteroomAnswer;
}

export interface AnteroomAnswer {
  readonly status: number;
  readonly type: string;
  /** ASCII. */
  readonly text: string;
  /** Header lines, each with its CRLF. */
  readonly extra: string;
}

/** Serves `socket` what it asks for of `requests`; `other` is called when it asks for anything else, or for nothing at all in time. */
export function receive(socket: TLSSocket, requests: readonly AnteroomRequest[], other: () => void): void {
  const lines = requests.map(({ method, path }) => `${method} ${path} HTTP/1.1\r\n`);
  let bytes: Buffer = Buffer.alloc(0);
  let answered = 0;
  let deadline = listen();

  function listen(): NodeJS.Timeout {
    socket.on('data', read);
    socket.on('end', turnAway);
    socket.on('close', leave);
    return setTimeout(turnAway, WAITS.first).unref();
  }

  function leave(): void {
    clearTimeout(deadline);
    socket.off('data', read);
    socket.off('end', turnAway);
    socket.off('close', leave);
  }
  function turnAway(): void {
    leave();
    // Who has had an answer, and says nothing more, has done nothing wrong.
    if (answered > 0 && bytes.length === 0) end('');
    else other();
  }
  function end(text: string): void {
    leave();
    socket.on('data', () => {});
    socket.end(text, 'latin1');
    setTimeout(() => socket.destroy(), WAITS.linger).unref();
  }
  function refuse(status: number, detail: string): void {
    end(writeAnswer(status, `certgate: ${detail}`, true, true, ''));
  }
  function read(part: Buffer): void {
    const begun = bytes.length === 0;
    bytes = Buffer.concat([bytes, part]);
    const text = bytes.toString('latin1', 0, Math.max(...lines.map(({ length }) => length)));
    const at = lines.findIndex((line) => line.startsWith(text.slice(0, line.length)));
    const request = requests[at];
    if (request === undefined) {
      turnAway();
      return;
    }
    if (begun) {
      clearTimeout(deadline);
      deadline = setTimeout(() => socket.destroy(), WAITS.whole);
    }
    const head = readRequestHead(bytes, 0, LIMITS);
    if (head === null) return;
    if (!head.ok) refuse(head.status, head.reason);
    else if (head.bodyLength === CHUNKED || head.bodyLength > MOST_REQUEST_BYTES) {
      refuse(413, `a body of at most ${MOST_REQUEST_BYTES} bytes, its length announced, is wanted`);
    } else if (bytes.length >= head.size + head.bodyLength) {
      leave();
      socket.pause();
      const last = head.close || ++answered >= MOST_REQUESTS;
      const body = bytes.toString('utf8', head.size, head.size + head.bodyLength);
      bytes = bytes.subarray(head.size + head.bodyLength);
      void give(request, body, last);
    } else if (head.expectsContinue && bytes.length === head.size) {
      socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
    }
  }
  async function give(request: AnteroomRequest, body: string, last: boolean): Promise<void> {
    try {
      const { status, type, text, extra } = await request.answer(body);
      const close = last || status !== 200;
      const answer = writeOwnAnswer(status, { type, text }, close, true, extra);
      if (close) {
        end(answer);
        socket.resume();
        return;
      }
      if (socket.destroyed) return;
      socket.write(answer, 'latin1');
      deadline = listen();
      socket.resume();
      const further = bytes;
      bytes = Buffer.alloc(0);
      if (further.length > 0) read(further);
    } catch {
      socket.destroy();
    }
  }
}
