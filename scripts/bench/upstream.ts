// The bench's upstream, a process of its own: a lenient HTTP/1.1 server over node:net that answers with bytes
// made beforehand, so that it costs less than any contestant in front of it (measured: as much as nginx's `return 200`).
// It reads Content-Length bodies and chunked ones, echoes the text frames of WebSockets, and never closes a connection.
// usage: node upstream.ts          prints its port on stdout

import { createHash } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { acceptOf, frameOf, LOAD_MASK, readFrame } from './frames.ts';
import { answers, delays, ECHO_QUERY, type EchoedRequest, framePayload, TUNNEL_TARGET } from './works.ts';

function answerBytes(body: Buffer): Buffer {
  const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), body]);
}

const readyAnswers = new Map([...answers].map(([target, body]) => [target, answerBytes(body)]));
const notFound = Buffer.from('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n', 'latin1');
const headEnd = Buffer.from('\r\n\r\n', 'latin1');

/** Where a message ends in `bytes`, and its body; null while bytes are missing. */
function readBody(bytes: Buffer, head: string, bodyStart: number): { end: number; body: () => Buffer } | null {
  if (head.startsWith('GET ')) return { end: bodyStart, body: () => Buffer.alloc(0) };
  const length = /\r\ncontent-length:[ \t]*(\d+)/i.exec(head)?.[1];
  if (length !== undefined) {
    const end = bodyStart + Number(length);
    return bytes.length < end ? null : { end, body: () => bytes.subarray(bodyStart, end) };
  }
  if (!/\r\ntransfer-encoding:[ \t]*chunked/i.test(head)) return { end: bodyStart, body: () => Buffer.alloc(0) };
  const chunks: Buffer[] = [];
  for (let at = bodyStart; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    const next = lineEnd + 2 + size + 2;
    if (bytes.length < next) return null;
    if (size === 0) return { end: next, body: () => Buffer.concat(chunks) };
    chunks.push(bytes.subarray(lineEnd + 2, next - 2));
    at = next;
  }
}

function seenIn(head: string, body: Buffer): Buffer {
  const [requestLine = '', ...lines] = head.split('\r\n');
  const [method = '', target = ''] = requestLine.split(' ');
  const headers = lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
  const bodySha256 = createHash('sha256').update(body).digest('hex');
  const echoed: EchoedRequest = { method, target, headers, bodyLength: body.length, bodySha256 };
  return Buffer.from(JSON.stringify(echoed));
}

// The load generator's frames all look alike: the echo of many is a slice of bytes made beforehand.
const MOST_FRAMES = 128;
const usualEcho = frameOf(framePayload);
const usualEchoes = Buffer.concat(Array<Buffer>(MOST_FRAMES).fill(usualEcho));
const usualSent = frameOf(framePayload, LOAD_MASK);

/** Echoes whole frames. @returns the bytes of one that has not come whole */
function echoFrames(socket: Socket, bytes: Buffer): Buffer | null {
  let usual = 0;
  const flush = (): void => {
    if (usual > 0) socket.write(usualEchoes.subarray(0, usual * usualEcho.length));
    usual = 0;
  };
  let at = 0;
  while (at < bytes.length) {
    const end = at + usualSent.length;
    if (end <= bytes.length && bytes.compare(usualSent, 0, usualSent.length, at, end) === 0) {
      at = end;
      if (++usual === MOST_FRAMES) flush();
      continue;
    }
    const frame = readFrame(bytes, at);
    if (frame === null) break;
    flush();
    socket.write(frameOf(frame.payload()));
    at += frame.length;
  }
  flush();
  return at < bytes.length ? Buffer.from(bytes.subarray(at)) : null;
}

/** Answers an upgrade; asked so by ECHO_QUERY, says in a first frame what it received. */
function openTunnel(socket: Socket, head: string, target: string): void {
  const key = /\r\nsec-websocket-key:[ \t]*(\S+)/i.exec(head)?.[1] ?? '';
  const protocol = /\r\nsec-websocket-protocol:[ \t]*(\S+)/i.exec(head)?.[1];
  const lines = ['HTTP/1.1 101 Switching Protocols', 'upgrade: websocket', 'connection: Upgrade'];
  lines.push(`sec-websocket-accept: ${acceptOf(key)}`);
  if (protocol !== undefined) lines.push(`sec-websocket-protocol: ${protocol}`);
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  if (target.endsWith(ECHO_QUERY)) socket.write(frameOf(seenIn(head, Buffer.alloc(0))));
}

function answerTo(target: string, head: string, body: () => Buffer): Buffer {
  return target.endsWith(ECHO_QUERY) ? answerBytes(seenIn(head, body())) : notFound;
}

/** At once, or after `ms`: nobody asks again before. */
function give(socket: Socket, bytes: Buffer, ms: number): void {
  if (ms === 0) socket.write(bytes);
  else setTimeout(() => socket.write(bytes), ms);
}

function serve(socket: Socket): void {
  let held: Buffer | null = null;
  let isTunnel = false;
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    let bytes = held === null ? chunk : Buffer.concat([held, chunk]);
    held = null;
    while (bytes.length > 0) {
      if (isTunnel) {
        held = echoFrames(socket, bytes);
        return;
      }
      const headLength = bytes.indexOf(headEnd);
      const head = headLength < 0 ? '' : bytes.toString('latin1', 0, headLength);
      const message = headLength < 0 ? null : readBody(bytes, head, headLength + 4);
      if (message === null) {
        held = bytes;
        return;
      }
      const from = head.indexOf(' ') + 1;
      const target = head.slice(from, head.indexOf(' ', from));
      bytes = bytes.subarray(message.end);
      isTunnel = target.startsWith(TUNNEL_TARGET);
      if (isTunnel) openTunnel(socket, head, target);
      else give(socket, readyAnswers.get(target) ?? answerTo(target, head, message.body), delays.get(target) ?? 0);
    }
  });
}

const server = createServer({ noDelay: true }, serve);
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.stdout.write(`${address.port}\n`);
});
process.on('disconnect', () => process.exit(0));
