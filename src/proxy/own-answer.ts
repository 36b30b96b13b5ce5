// Answers that are the proxy's own: their text, and those that it decides by itself.

import type { RequestHead } from '../http1/request-head.ts';
import { CHUNKED, type Malformed } from '../http1/syntax.ts';
import { writeAnswer, writeOwnAnswer } from '../http1/write.ts';
import type { Answer, Ending, Handler, Outcome, Take } from './contract.ts';
import { acceptAndClose, SERVICE_RESTART, SPOKEN } from './websocket.ts';

/** What is wrong with a body in chunks whose framing can't be followed. */
export const BAD_CHUNK: Malformed = { ok: false, status: 400, reason: 'the body has a malformed chunk' };

/** When an answer of our own is made (RFC 9110 §6.6.1): who gets it learns what time it is here. */
export function dateLine(): string {
  return `date: ${new Date().toUTCString()}\r\n`;
}

/** `answer` as it is sent: with or without its body, in latin1. */
export function textOf({ status, detail, body = null, extra }: Answer, close: boolean, withBody: boolean): string {
  return body === null
    ? writeAnswer(status, detail, close, withBody, dateLine() + extra)
    : writeOwnAnswer(status, body, close, withBody, dateLine() + extra);
}

/** A refusal after which the connection ends. */
export function answerOf(status: number, detail: string): Answer {
  return { kind: 'answer', status, detail, extra: '', close: true, recorded: null };
}

/** The refusal of what can't be read, after which the connection ends. */
export function refusalOf(problem: Malformed, handler: Pick<Handler, 'refuseMalformed'>): Answer {
  const answer = handler.refuseMalformed(problem);
  return { ...answer, extra: problem.status === 426 ? answer.extra + SPOKEN : answer.extra, close: true };
}

/** The refusal of a body that is longer than `most` bytes, or not announced where it has to be; null for one that may come. */
export function tooMuch({ bodyLength }: RequestHead, take: Pick<Take, 'most' | 'chunks'>): Answer | null {
  const may = bodyLength === CHUNKED ? take.chunks === true : bodyLength <= take.most;
  return may ? null : tooLong(take);
}

/** The answer to a body in chunks that can't be taken. */
export async function refusedBody(
  why: 'malformed' | 'too long',
  take: Take,
  handler: Pick<Handler, 'refuseMalformed'>,
): Promise<Answer> {
  return why === 'too long' ? tooLong(take) : refusalOf(BAD_CHUNK, handler);
}

function tooLong({ most, chunks }: Pick<Take, 'most' | 'chunks'>): Answer {
  return answerOf(413, `a body of at most ${most} bytes${chunks === true ? '' : ', its length announced,'} is wanted`);
}

/** How a request went that had an answer of our own; `startedAt` of performance.now(). */
export function answered(status: number, requestBytes: number, startedAt: number, ending: Ending): Outcome {
  const milliseconds = performance.now() - startedAt;
  return { status, requestBytes, answerBytes: 0, milliseconds, ending, upgraded: false, problem: null };
}

/** The whole answer to a WebSocket that is accepted only to be closed; null where it is answered as any request is. */
export function closingOf(head: RequestHead, { status, closeWebSocket }: Answer): Buffer | null {
  const restart = { code: SERVICE_RESTART, reason: 'the gate is not available, try again' };
  const why = closeWebSocket ?? (status === 503 ? restart : null);
  return why === null || head.upgrade !== 'websocket' ? null : acceptAndClose(head, why.code, why.reason);
}
