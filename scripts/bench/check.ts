// Whether a contestant answers rightly, asked before anything is measured: a figure for a wrong answer is worth nothing.
// Each check throws with what was seen where what was expected.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { type Certificates, IDENTITY } from './certificates.ts';
import type { Contestant } from './contestants/contestant.ts';
import { answers, ECHO_QUERY, type EchoedRequest, requestBytes, type Work, works } from './works.ts';

interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

const TIMEOUT_MS = 10_000;

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

/**
 * One request over a new connection, with or without a client certificate.
 * @throws when the connection fails or ends before a whole answer came
 */
function ask(port: number, certificates: Certificates, request: Buffer, asClient = true): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const identity = asClient
    ? { cert: readFileSync(certificates.clientChain), key: readFileSync(certificates.clientKey) }
    : {};
  const ca = readFileSync(certificates.bundle);
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca, minVersion: 'TLSv1.3', ...identity });
  let bytes = Buffer.alloc(0);
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
  socket.on('secureConnect', () => socket.write(request));
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    try {
      const answer = readAnswer(bytes);
      if (answer !== null) resolve(answer);
    } catch (error) {
      reject(error);
    }
  });
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('the connection ended before a whole answer')));
  return promise.finally(() => socket.destroy());
}

function sameBytes(what: string, seen: Buffer, expected: Buffer): void {
  if (!seen.equals(expected))
    throw new Error(`${what}: ${seen.length} bytes that differ from the ${expected.length} expected`);
}

async function answersRightly(port: number, certificates: Certificates, work: Work): Promise<void> {
  const answer = await ask(port, certificates, requestBytes(work));
  if (answer.status !== 200)
    throw new Error(`${work.method} ${work.target} was answered with ${answer.status}: ${answer.body.toString()}`);
  sameBytes(`the body of ${work.method} ${work.target}`, answer.body, answers.get(work.target) ?? Buffer.alloc(0));
}

/** The upstream gets the request's method, target and body as sent, and the identity once, whatever the client claimed. */
async function passesRightly(
  contestant: Contestant,
  port: number,
  certificates: Certificates,
  work: Work,
): Promise<void> {
  const target = `${work.target}${ECHO_QUERY}`;
  const claim = `${contestant.identityHeader}: ${contestant.identityValue('user/forged')}`;
  const answer = await ask(port, certificates, requestBytes({ ...work, target }, [claim]));
  if (answer.status !== 200)
    throw new Error(`${work.method} ${target} was answered with ${answer.status}: ${answer.body.toString()}`);
  const seen = JSON.parse(answer.body.toString()) as EchoedRequest;
  if (seen.method !== work.method || seen.target !== target) {
    throw new Error(`the upstream got ${seen.method} ${seen.target}, not ${work.method} ${target}`);
  }
  const identities = seen.headers.filter(([name]) => name.toLowerCase() === contestant.identityHeader);
  if (identities.length !== 1 || identities[0]?.[1].includes(contestant.identityValue(IDENTITY)) !== true) {
    throw new Error(`the upstream got ${JSON.stringify(identities)} for the identity ${IDENTITY}`);
  }
  const body = work.body ?? Buffer.alloc(0);
  const sha256 = createHash('sha256').update(body).digest('hex');
  if (seen.bodyLength !== body.length || seen.bodySha256 !== sha256) {
    throw new Error(`the upstream got a body of ${seen.bodyLength} bytes that is not the one of ${body.length} sent`);
  }
}

/** Without a certificate there is a failed connection or a 4xx, and never an answer of the upstream's. */
async function refusesStrangers(port: number, certificates: Certificates, work: Work): Promise<void> {
  const answer = await ask(port, certificates, requestBytes(work), false).catch(() => null);
  if (answer === null || (answer.status >= 400 && answer.status < 500)) return;
  throw new Error(`a client without a certificate was answered with ${answer.status}`);
}

/** Resolves when the contestant did everything right; else throws with what it did. */
export async function checkContestant(contestant: Contestant, port: number, certificates: Certificates): Promise<void> {
  for (const work of works) {
    await answersRightly(port, certificates, work);
    await passesRightly(contestant, port, certificates, work);
  }
  const [first] = works;
  if (first !== undefined) await refusesStrangers(port, certificates, first);
}

/** Whether it answers at all by now, the end of its start: null when it does, else what happened instead. */
export async function notYetAnswering(port: number, certificates: Certificates): Promise<string | null> {
  const [first] = works;
  if (first === undefined) return null;
  return ask(port, certificates, requestBytes(first)).then(
    () => null,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}
