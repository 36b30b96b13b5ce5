// What the gate itself asks Prefect, to decide about others: by connections of its own, with the server's own password where
// it has one, and as nobody's client. An answer is bounded in time and size; whatever is not plainly an answer is a failure,
// and a failure is never taken for a yes.

import { randomUUID } from 'node:crypto';
import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { membersOf } from '../policy/json-members.ts';
import type { Question } from '../policy/scope-refs.ts';
import { takeTurns } from './turns.ts';

export type Upstream = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Asks; answers the JSON, or null when there is no such thing (404). Rejects when Prefect does not say. `whose`: the identity for
 * which it is asked; each has its turn.
 */
export type AskPrefect = (question: Question, whose?: string) => Promise<unknown>;

export interface PrefectAsker {
  readonly ask: AskPrefect;
  close(): void;
}

const LONGEST_ANSWER = 4_194_304;
const MOST_CONNECTIONS = 8;
/** Below upstream's own time for kept connections (uvicorn: 5 s), ms. */
const KEPT = 4_000;
/** When Prefect says 503, as it does when two transactions of its SQLite collide, it is asked again after these ms. */
const AGAIN = [50, 200, 800];

interface Said {
  readonly status: number;
  readonly text: string;
}

/** `timeout` is for a whole answer, ms. */
export function openAsker(
  { upstream, apiPath }: { readonly upstream: Upstream; readonly apiPath: string },
  authString: string | null,
  timeout: number,
): PrefectAsker {
  let agent: Agent | null = null;
  let token: { readonly client: string; readonly value: string } | null = null;
  const where = 'path' in upstream ? { socketPath: upstream.path } : { host: upstream.host, port: upstream.port };
  const base: Record<string, string> = {
    host: 'localhost',
    accept: 'application/json',
    'user-agent': 'certgate',
    ...(authString !== null && { authorization: `Basic ${Buffer.from(authString, 'utf8').toString('base64')}` }),
  };

  // As many as have a connection: what waits in the agent waits in the order in which it came.
  const turns = takeTurns(MOST_CONNECTIONS);
  const send = async (question: Question, whose: string): Promise<Said> => {
    await turns.take(whose);
    try {
      return await sendNow(question);
    } finally {
      turns.give();
    }
  };

  const sendNow = async ({ method, path, body }: Question): Promise<Said> => {
    // Loaded when it is first wanted: a gate without scopes asks nothing.
    const http = process.getBuiltinModule('node:http');
    agent ??= new http.Agent({ keepAlive: true, maxSockets: MOST_CONNECTIONS, timeout: KEPT });
    const text = body === null ? '' : JSON.stringify(body);
    const headers = {
      ...base,
      ...(body !== null && { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) }),
      ...(token !== null && { 'prefect-csrf-client': token.client, 'prefect-csrf-token': token.value }),
    };
    const request = http.request({ ...where, agent, method, path: apiPath + path, headers });
    return await answerOf(request, text, timeout);
  };

  /** Prefect's CSRF protection wants a token for what is not a GET; a server that has none says 422. */
  const fetchToken = async (whose: string): Promise<void> => {
    const client = randomUUID();
    const { status, text } = await send({ method: 'GET', path: `/csrf-token?client=${client}`, body: null }, whose);
    const parsed: unknown = status === 200 ? JSON.parse(text) : null;
    const value = typeof parsed === 'object' && parsed !== null && 'token' in parsed ? parsed.token : null;
    token = typeof value === 'string' ? { client, value } : null;
  };

  return {
    async ask(question, whose = '') {
      let said = await send(question, whose);
      if (said.status === 403 && question.method !== 'GET') {
        await fetchToken(whose);
        said = await send(question, whose);
      }
      for (const wait of AGAIN) {
        if (said.status !== 503) break;
        await sleep(wait);
        said = await send(question, whose);
      }
      if (said.status === 404) return null;
      if (said.status !== 200)
        throw new Error(`Prefect answered ${said.status} to ${question.method} ${question.path}`);
      const { wants } = question;
      return wants === undefined ? (JSON.parse(said.text) as unknown) : membersOf(said.text, wants);
    },
    close: () => agent?.destroy(),
  };
}

function answerOf(request: ClientRequest, body: string, timeout: number): Promise<Said> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeout} ms`)), timeout);
    const end = (): void => clearTimeout(timer);
    request.on('error', (error) => {
      end();
      reject(error);
    });
    request.on('response', (response: IncomingMessage) => {
      const parts: Buffer[] = [];
      let length = 0;
      response.on('data', (part: Buffer) => {
        length += part.length;
        if (length > LONGEST_ANSWER) request.destroy(new Error(`the answer is longer than ${LONGEST_ANSWER} bytes`));
        else parts.push(part);
      });
      response.on('error', (error) => {
        end();
        reject(error);
      });
      response.on('end', () => {
        end();
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') });
      });
    });
    request.end(body);
  });
}
