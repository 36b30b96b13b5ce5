// Whether a contestant answers rightly, asked before anything is measured: a figure for a wrong answer is worth nothing.
// Each check throws with what was seen where what was expected. A contestant that reads no HTTP is let off the checks of
// the identity header, and of those alone.

import { createHash } from 'node:crypto';
import type { Certificates } from './certificates.ts';
import { checkTunnel } from './check-websocket.ts';
import type { Contestant } from './contestants/contestant.ts';
import { exchange, forgedLines, hasIdentity } from './exchange.ts';
import { answers, ECHO_QUERY, type EchoedRequest, type Request, requestBytes, TUNNEL_TARGET, works } from './works.ts';

interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

/** The answer in `bytes`, or null while some of it is missing. */
function readAnswer(bytes: Buffer): Answer | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = bytes.toString('latin1', 0, end);
  const length = Number(/\r\ncontent-length:[ \t]*(\d+)/i.exec(head)?.[1] ?? Number.NaN);
  if (Number.isNaN(length)) throw new Error(`an answer without content-length: ${JSON.stringify(head)}`);
  const body = bytes.subarray(end + 4);
  if (body.length > length) throw new Error(`${body.length - length} bytes more than the answer's content-length`);
  return body.length < length ? null : { status: Number(head.split(' ')[1]), body };
}

export const ask = (port: number, certificates: Certificates, request: Buffer, asClient = true): Promise<Answer> =>
  exchange(port, certificates, request, readAnswer, asClient);

function sameBytes(what: string, seen: Buffer, expected: Buffer): void {
  if (!seen.equals(expected))
    throw new Error(`${what}: ${seen.length} bytes that differ from the ${expected.length} expected`);
}

async function answersRightly(port: number, certificates: Certificates, request: Request): Promise<void> {
  const { method, target } = request;
  const answer = await ask(port, certificates, requestBytes(request));
  if (answer.status !== 200)
    throw new Error(`${method} ${target} was answered with ${answer.status}: ${answer.body.toString()}`);
  sameBytes(`the body of ${method} ${target}`, answer.body, answers.get(target) ?? Buffer.alloc(0));
}

/** The upstream gets the request's method, target and body as sent, and the identity of the connection. */
async function passesRightly(
  contestant: Contestant,
  port: number,
  certificates: Certificates,
  request: Request,
): Promise<void> {
  const target = `${request.target}${ECHO_QUERY}`;
  const answer = await ask(port, certificates, requestBytes({ ...request, target }, forgedLines(contestant)));
  if (answer.status !== 200)
    throw new Error(`${request.method} ${target} was answered with ${answer.status}: ${answer.body.toString()}`);
  const seen = JSON.parse(answer.body.toString()) as EchoedRequest;
  if (seen.method !== request.method || seen.target !== target) {
    throw new Error(`the upstream got ${seen.method} ${seen.target}, not ${request.method} ${target}`);
  }
  hasIdentity(contestant, seen);
  const body = request.body ?? Buffer.alloc(0);
  const sha256 = createHash('sha256').update(body).digest('hex');
  if (seen.bodyLength !== body.length || seen.bodySha256 !== sha256) {
    throw new Error(`the upstream got a body of ${seen.bodyLength} bytes that is not the one of ${body.length} sent`);
  }
}

/** Without a certificate there is a failed connection or a 4xx, and never an answer of the upstream's. */
async function refusesStrangers(port: number, certificates: Certificates, request: Request): Promise<void> {
  const answer = await ask(port, certificates, requestBytes(request), false).catch(() => null);
  if (answer === null || (answer.status >= 400 && answer.status < 500)) return;
  throw new Error(`a client without a certificate was answered with ${answer.status}`);
}

const distinct = new Map(
  works.flatMap(({ requests }) => requests).map((request) => [`${request.method} ${request.target}`, request]),
);
const requests = [...distinct.values()].filter(({ target }) => target !== TUNNEL_TARGET);

/** Resolves when the contestant did everything right; else throws with what it did. */
export async function checkContestant(contestant: Contestant, port: number, certificates: Certificates): Promise<void> {
  for (const request of requests) {
    await answersRightly(port, certificates, request);
    await passesRightly(contestant, port, certificates, request);
  }
  await checkTunnel(contestant, port, certificates);
  const [first] = requests;
  if (first !== undefined) await refusesStrangers(port, certificates, first);
}

/** Whether it answers at all by now, the end of its start: null when it does, else what happened instead. */
export async function notYetAnswering(port: number, certificates: Certificates): Promise<string | null> {
  const [first] = requests;
  if (first === undefined) return null;
  return ask(port, certificates, requestBytes(first)).then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}
