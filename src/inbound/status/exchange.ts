// One connection of the status listener: requests in, one after another, an answer to each. Everything has an end: a head
// and a body of 8 KiB each, ten seconds for a request to be whole, fifteen between two, a minute for an answer to be
// taken, a thousand requests. Bodies have a length or are refused. While a request is answered nothing more is read.
// Whatever goes wrong ends this connection and nothing else.
import type { Socket } from 'node:net';
import { readRequestHead } from '../../http1/request.ts';
import type { RequestHead } from '../../http1/request-head.ts';
import { CHUNKED } from '../../http1/syntax.ts';
import { answerBare, type StatusAnswer } from './answer.ts';
import { asHttp11 } from './http10.ts';
import { sendAnswer } from './send.ts';

const LIMITS = { headBytes: 8192, headerLines: 50 } as const;
const MOST_BODY_BYTES = 8192;
const MOST_REQUESTS = 1000;
/** ms; `linger`: after the last answer, for a peer that still sends, whom a reset would cost the answer. */
const WAITS = { request: 10_000, idle: 15_000, write: 60_000, linger: 3_000 } as const;

/** Answers one request; `body` has the octets that its head announces. `close`: it is the connection's last. */
export type AnswerRequest = (head: RequestHead, body: Buffer, close: boolean) => Promise<StatusAnswer>;

interface Request {
  readonly head: RequestHead;
  readonly body: Buffer;
  /** In HTTP/1.0: the connection ends with the answer. */
  readonly isOld: boolean;
}

/** Serves `socket` until it ends. `failed` is told of a fault in `answer`, which the peer gets as a 500. Never rejects. */
export async function serveStatus(
  socket: Socket,
  answer: AnswerRequest,
  failed: (error: unknown) => void,
): Promise<void> {
  socket.on('error', () => {}); // whoever reads or writes hears of it
  const deadline = startDeadline(socket);
  const incoming = readFrom(socket);
  try {
    for (let count = 1; ; count++) {
      const request = await nextRequest(incoming, deadline, socket);
      if (request === null) break;
      deadline.within(WAITS.write);
      if (typeof request === 'number') {
        await sendAnswer(socket, answerBare(request, true, Date.now()));
        break;
      }
      const isLast = request.head.close || request.isOld || count === MOST_REQUESTS;
      const reply = await answer(request.head, request.body, isLast).catch((error: unknown) => {
        failed(error);
        return answerBare(500, isLast, Date.now());
      });
      await sendAnswer(socket, reply);
      if (isLast) break;
    }
    socket.end();
    deadline.within(WAITS.linger);
    while (await incoming.more()) incoming.take(incoming.bytes().length);
  } catch {
    socket.destroy(); // the peer is gone, or out of time
  } finally {
    deadline.stop();
  }
}

/** The next request; null when there is none to come; the status that answers one that can't be accepted. */
async function nextRequest(incoming: Incoming, deadline: Deadline, socket: Socket): Promise<Request | number | null> {
  if (incoming.bytes().length === 0) {
    deadline.within(WAITS.idle);
    if (!(await incoming.more())) return null;
  }
  deadline.within(WAITS.request);
  let isOld = incoming.change(asHttp11);
  let head = readRequestHead(incoming.bytes(), 0, LIMITS);
  while (head === null) {
    if (!(await incoming.more())) return null;
    isOld = incoming.change(asHttp11);
    head = readRequestHead(incoming.bytes(), 0, LIMITS);
  }
  if (!head.ok) return head.status;
  if (head.bodyLength === CHUNKED) return 411;
  if (head.bodyLength > MOST_BODY_BYTES) return 413;
  const size = head.size + head.bodyLength;
  const waits = head.expectsContinue && !isOld && incoming.bytes().length < size;
  if (waits) socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
  while (incoming.bytes().length < size) if (!(await incoming.more())) return null;
  return { head, body: incoming.take(size).subarray(head.size), isOld };
}

interface Incoming {
  /** What has come and was not taken. */
  bytes(): Buffer;
  take(size: number): Buffer;
  /** Puts something else in its place; false where `change` answers null. */
  change(change: (bytes: Buffer) => Buffer | null): boolean;
  /** Waits for more; false at the end. Rejects when the connection is gone. */
  more(): Promise<boolean>;
}

function readFrom(socket: Socket): Incoming {
  const chunks = (socket as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let pending: Buffer = Buffer.alloc(0);
  return {
    bytes: () => pending,
    take(size) {
      const taken = pending.subarray(0, size);
      pending = pending.subarray(size);
      return taken;
    },
    change(change) {
      const changed = change(pending);
      pending = changed ?? pending;
      return changed !== null;
    },
    async more() {
      const next = await chunks.next();
      if (next.done === true) return false;
      pending = pending.length === 0 ? next.value : Buffer.concat([pending, next.value]);
      return true;
    },
  };
}

interface Deadline {
  /** From now on, ms. */
  within(ms: number): void;
  stop(): void;
}

function startDeadline(socket: Socket): Deadline {
  let timer: NodeJS.Timeout | undefined;
  return {
    within(ms) {
      clearTimeout(timer);
      timer = setTimeout(() => socket.destroy(), ms);
      timer.unref();
    },
    stop: () => clearTimeout(timer),
  };
}
