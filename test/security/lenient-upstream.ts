// An upstream that reads as leniently as any that was ever fooled: lines may end in LF, names may have blanks and
// underscores, any coding that mentions `chunked` is one, numbers are read as far as they go, a body of neither framing
// is none. Whatever could be taken for a second request, it takes for one, and answers it. It records what it believes
// it was asked, and every byte.

import { createServer, type Socket } from 'node:net';
import { bind } from '../../src/proxy/connection-set.ts';
import { portOf } from '../proxy/plain-proxy.ts';

export interface Believed {
  readonly method: string;
  readonly target: string;
  readonly head: string;
  readonly body: string;
  /** All its bytes, as they came. */
  readonly raw: string;
}

export interface LenientUpstream {
  readonly port: number;
  /** What it was asked since the last `take`, in order; forgets it. */
  take(): readonly Believed[];
  /** Every byte of every connection so far. */
  everything(): string;
  close(): void;
}

/** Starts one on a free loopback port. Each believed request is answered with 200 and its target as the body. */
export async function startLenientUpstream(): Promise<LenientUpstream> {
  let requests: Believed[] = [];
  let everything = '';
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let pending = '';
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (bytes: Buffer) => {
      everything += bytes.toString('latin1');
      pending += bytes.toString('latin1');
      for (;;) {
        const read = readLeniently(pending);
        if (read === null) return;
        pending = pending.slice(read.raw.length);
        requests.push(read);
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${read.target.length}\r\n\r\n${read.target}`, 'latin1');
      }
    });
  });
  await bind(server, { host: '127.0.0.1', port: 0 });
  return {
    port: portOf(server),
    take() {
      const taken = requests;
      requests = [];
      return taken;
    },
    everything: () => everything,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** The first request in `text` that a lenient reader would see; null while it waits for more. */
function readLeniently(text: string): Believed | null {
  const end = /\r?\n\r?\n/.exec(text);
  if (end === null) return null;
  const head = text.slice(0, end.index);
  const from = end.index + end[0].length;
  const [line = ''] = head.split('\n');
  const [method = '', target = ''] = line.trim().split(/\s+/);
  const length = bodyEnd(head, text, from);
  if (length === null) return null;
  return { method, target, head, body: text.slice(from, length), raw: text.slice(0, length) };
}

function bodyEnd(head: string, text: string, from: number): number | null {
  if (/^\s*transfer[-_ ]encoding\s*:[^\n]*chunked/im.test(head)) {
    let at = from;
    for (;;) {
      const line = text.indexOf('\n', at);
      if (line < 0) return null;
      const size = Number.parseInt(text.slice(at, line), 16);
      at = line + 1;
      if (!(size > 0)) break;
      const end = text.indexOf('\n', at + size);
      if (end < 0) return null;
      at = end + 1;
    }
    const last = /(?:^|\n)\r?\n/.exec(text.slice(at));
    return last === null ? null : at + last.index + last[0].length;
  }
  const size = Number.parseInt(/^\s*content[-_ ]length\s*:\s*(\S+)/im.exec(head)?.[1] ?? '0', 10);
  const to = from + Math.max(Number.isNaN(size) ? 0 : size, 0);
  return text.length < to ? null : to;
}
