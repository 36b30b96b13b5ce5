// What a body must be to be read before it is sent on; and one of those that are, `POST /block_documents/filter`, which may
// ask for secrets, of a client that may not see them. It is held whole, 1 MiB at most, read as Prefect reads it, and sent on
// byte for byte unless the question is taken out, whatever the policy's `secrets` says: Prefect's client asks it always, and
// shows the list without them (`prefect block ls`). What can't be read in one way only is refused; in observe mode nothing
// is, and nothing is changed.

import type { RequestHead } from '../http1/request-head.ts';
import { CHUNKED } from '../http1/syntax.ts';
import type { Operation } from '../policy/operation.ts';
import { secretsInBody } from '../policy/secrets.ts';

/** Bytes of a body that is read. */
const LONGEST_BODY = 1_048_576;
/** Prefect's client sends logs in batches of 4 MB at most, of lines of 1 MB. */
const LONGEST_LOGS = 6_291_456;

/** The most bytes that the body of `operation` may have where it is read. */
export function mostOf(operation: Operation | null): number {
  return operation?.name === 'create_logs' ? LONGEST_LOGS : LONGEST_BODY;
}

/** Why a body is refused, or what to send in its place. */
export type DecidedBody =
  | { readonly kind: 'refuse'; readonly status: number; readonly detail: string }
  | { readonly kind: 'send'; readonly body: Buffer };

const JSON_TYPE = /^application\/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?$/;

/** Why the body that `head` announces can't be read; null when it can. */
export function bodyProblem(
  head: RequestHead,
  most = LONGEST_BODY,
): { readonly status: number; readonly detail: string } | null {
  if (head.bodyLength === CHUNKED) return { status: 411, detail: 'the body has to be read, and has no Content-Length' };
  if (head.bodyLength > most) {
    return { status: 413, detail: `the body has to be read, and is longer than ${most} bytes` };
  }
  for (let i = 0; i < head.names.length; i++) {
    const value = (head.values[i] ?? '').toLowerCase();
    if (head.names[i] === 'content-encoding' && value !== 'identity') {
      return { status: 415, detail: 'the body has to be read, and is compressed' };
    }
    // Of what is not said to be JSON FastAPI takes nothing, and a filter of nothing is one of everything.
    if (head.names[i] === 'content-type' && !JSON_TYPE.test(value)) {
      return { status: 415, detail: 'the body has to be read, and is not said to be application/json in UTF-8' };
    }
    if (head.names[i] === 'expect')
      return { status: 417, detail: 'the body has to be read before anyone can expect it' };
  }
  return null;
}

/** A body as text; null when it is not UTF-8. */
export function textOfBody(body: Buffer): string | null {
  try {
    // A byte order mark stays, and is not JSON.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return null;
  }
}

/** What becomes of a whole body. */
export function decideBody(body: Buffer): DecidedBody {
  const text = textOfBody(body);
  if (text === null) return { kind: 'refuse', status: 400, detail: 'the body is not UTF-8' };
  const said = secretsInBody(text);
  if (!said.ok) return { kind: 'refuse', status: 400, detail: `the body ${said.problem}` };
  return { kind: 'send', body: said.asks ? Buffer.from(said.hidden, 'utf8') : body };
}
