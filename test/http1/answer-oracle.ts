// The promise about answers, for any bytes that an upstream sends, in whatever pieces, and then ends: the client gets one
// answer that every parser reads the same, with the status, headers and body that upstream meant; or our own 502; or,
// where upstream's had begun, something that no parser takes for a whole answer. Real sockets, through the proxy.

import { readResponseHead } from '../../src/http1/response.ts';
import { CHUNKED, UNTIL_CLOSE } from '../../src/http1/syntax.ts';
import { isHopByHop } from '../../src/http1/write.ts';
import { connectRaw, startPlainProxy, startRawUpstream } from '../proxy/plain-proxy.ts';
import type { AllParsers } from './parsers/all.ts';
import type { SeenAnswer } from './parsers/seen.ts';
import { LIMITS, latin1 } from './read.ts';
import { contentOf } from './request-oracle.ts';

const NEXT = 'HTTP/1.1 202 Next\r\ncontent-length: 4\r\n\r\nnext';
const NEXT_SEEN: SeenAnswer = { status: 202, headers: [['content-length', '4']], body: 'next' };

export interface Exchanges {
  /** What the client gets for `pieces` from upstream, to a request of `method`, until upstream ends. */
  exchange(method: string, pieces: readonly Buffer[]): Promise<{ readonly text: string; readonly whole: boolean }>;
  close(): Promise<void>;
}

/** A proxy and an upstream for one exchange after another. */
export async function openExchanges(): Promise<Exchanges> {
  const upstream = await startRawUpstream();
  const proxy = await startPlainProxy(upstream.port, { upstreamIdle: 0 });
  return {
    async exchange(method, pieces) {
      const seen = proxy.outcomes.length;
      const client = await connectRaw(proxy.port);
      client.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
      const up = await upstream.accept();
      await up.until('\r\n\r\n');
      for (const piece of pieces) {
        up.send(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
      up.socket.end();
      while (proxy.outcomes.length === seen) await new Promise((resolve) => setImmediate(resolve));
      client.socket.end();
      const { text } = await client.ended();
      client.socket.destroy();
      up.socket.destroy();
      const outcome = proxy.outcomes[seen];
      if (proxy.faults.length > 0) throw new Error('a fault of the proxy', { cause: proxy.faults[0] });
      return { text, whole: outcome?.ending === 'complete' };
    },
    async close() {
      await proxy.close();
      upstream.close();
    },
  };
}

/** `accepted` when the client gets upstream's answer whole, `refused` when it gets ours, else `broken`. */
export async function answerVerdict(
  exchanges: Exchanges,
  method: string,
  bytes: Buffer,
): Promise<'accepted' | 'refused' | 'broken'> {
  const { text, whole } = await exchanges.exchange(method, [bytes]);
  return whole ? 'accepted' : text.startsWith('HTTP/1.1 502 ') ? 'refused' : 'broken';
}

/** What is wrong with what the client gets; null when the promise holds. */
export async function answerProblem(
  parsers: AllParsers,
  exchanges: Exchanges,
  method: string,
  pieces: readonly Buffer[],
): Promise<string | null> {
  const { text, whole } = await exchanges.exchange(method, pieces);
  const raw = Buffer.concat(pieces).toString('latin1');
  const say = (what: string): string => `${what}: upstream sent ${JSON.stringify(raw)}, we ${JSON.stringify(text)}`;
  const expected = meantBy(raw, method);
  if (whole && expected === null) return say('a whole answer of what is none');
  if (!whole && !text.startsWith('HTTP/1.1 502 ')) {
    for (const [parser, read] of parsers.answers) {
      const seen = await read(
        [method],
        [latin1(text)].filter((piece) => piece.length > 0),
      );
      if (seen !== null && seen.answers.length > 0) return say(`${parser} takes a broken answer for a whole one`);
    }
    return null;
  }
  const closes = /\r\nconnection: close\r\n/.test(text.slice(0, text.indexOf('\r\n\r\n') + 2));
  for (const [parser, read] of parsers.answers) {
    const alone = parser === 'llhttp' || closes;
    const seen = await read([method, 'GET'], [latin1(text + (alone ? '' : NEXT))]);
    if (seen === null) continue;
    const [first, ...others] = seen.answers;
    if (seen.refused !== null || first === undefined) return say(`${parser} refuses it: ${seen.refused}`);
    if (JSON.stringify(others) !== JSON.stringify(alone ? [] : [NEXT_SEEN])) {
      return say(`${parser} sees ${JSON.stringify(others)} behind it`);
    }
    if (!whole) continue;
    const plain = { ...first, headers: first.headers.filter(([name]) => !isHopByHop(name)) };
    if (JSON.stringify(plain) !== JSON.stringify(expected)) {
      return say(`${parser} sees ${JSON.stringify(plain)}, not ${JSON.stringify(expected)}`);
    }
  }
  return null;
}

/** The answer that upstream meant, less what is of one hop, by a reading of its body of its own; null for none. */
function meantBy(raw: string, method: string): SeenAnswer | null {
  const bytes = latin1(raw);
  let at = 0;
  for (;;) {
    const head = readResponseHead(bytes, at, method, LIMITS);
    if (head === null || !head.ok || head.status === 101) return null;
    at += head.size;
    if (head.status < 200) continue;
    const headers = head.names
      .map((name, i) => [name, head.values[i] ?? ''] as const)
      .filter(([name]) => !isHopByHop(name) && !head.connectionNames?.includes(name));
    const rest = raw.slice(at);
    if (head.bodyLength === UNTIL_CLOSE) return { status: head.status, headers, body: rest };
    const body = head.bodyLength === CHUNKED ? contentOf(CHUNKED, rest) : rest.slice(0, head.bodyLength);
    return { status: head.status, headers, body };
  }
}
