// What an upstream that has gone bad can have the proxy pay: an answer that is held whole comes in single octets, all connections
// that wait end at once.

import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import type { RequestHead } from '../../src/http1/request-head.ts';
import { AnswerStream } from '../../src/proxy/answer-stream.ts';
import type { AnswerRewriter } from '../../src/proxy/contract.ts';
import { openUpstreamPool, type UpstreamUser } from '../../src/proxy/upstream-pool.ts';

afterEach(() => void vi.restoreAllMocks());

const LIMITS = { headBytes: 32_768, headerLines: 100 } as ConstructorParameters<typeof AnswerStream>[2];

test('an answer that is held takes one place, in however many parts it comes', () => {
  const octets = 5_000;
  const seen: string[] = [];
  const written: string[] = [];
  const socket = Object.assign(new EventEmitter(), {
    writableNeedDrain: false,
    write: (bytes: Uint8Array) => written.push(Buffer.from(bytes).toString('latin1')) > 0,
  }) as unknown as Socket;
  const rewriter: AnswerRewriter = {
    most: 10_000,
    must: true,
    hold: () => true,
    rewrite: (body) => {
      seen.push(body.toString('latin1'));
      return Buffer.from('changed');
    },
    instead: () => {
      throw new Error('it can be read');
    },
  };
  const request = { method: 'GET', upgrade: null } as RequestHead;
  const stream = new AnswerStream(socket, request, LIMITS, '', rewriter);
  const body = Array.from({ length: octets }, (_, i) => String.fromCharCode(97 + (i % 26))).join('');
  stream.take(Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${octets}\r\n\r\n${body.slice(0, 3)}`), false, null);
  const copies = [vi.spyOn(Buffer, 'from'), vi.spyOn(Buffer, 'concat')];
  const part = Buffer.alloc(1);
  const steps = Array.from({ length: octets - 3 }, (_, i) => {
    part.write(body.charAt(i + 3), 'latin1');
    return stream.take(part, false, null);
  });
  expect(copies.reduce((sum, { mock }) => sum + mock.calls.length, 0)).toBeLessThan(10);
  expect([seen, steps.at(-1)?.kind, written.join('').endsWith('\r\n\r\nchanged')]).toEqual([[body], 'whole', true]);
});

test('connections that all end at once are taken out of those that wait together', () => {
  const sockets: Socket[] = [];
  const pool = openUpstreamPool({
    connect: () => {
      const destroyed = { destroyed: false, readableEnded: false };
      const socket = Object.assign(new EventEmitter(), destroyed, {
        setNoDelay: () => {},
        resume: () => {},
        destroy: () => {},
      }) as unknown as Socket;
      sockets.push(socket);
      return socket;
    },
    readyEvent: 'connect',
    idle: 60_000,
    connectTimeout: 60_000,
  });
  const user: UpstreamUser = { upstreamData() {}, upstreamDrain() {}, upstreamEnd() {}, upstreamClosed() {} };
  const many = 1_000;
  const opened = Array.from({ length: many }, () => pool.acquire(user, true, 0));
  for (const connection of opened) pool.release(connection, performance.now());
  let looked = 0;
  const plain = Array.prototype.filter;
  vi.spyOn(Array.prototype, 'filter').mockImplementation(function (this: unknown[], ...args) {
    looked += this.length;
    return Reflect.apply(plain, this, args) as unknown[];
  });
  const end = (socket: Socket): void => {
    Object.assign(socket, { destroyed: true });
    socket.emit('close');
  };
  const rest = sockets.splice(0, 2);
  for (const socket of sockets) end(socket);
  vi.restoreAllMocks();
  expect(looked).toBeLessThan(4 * many);
  expect(pool.size()).toEqual({ open: 2, idle: 2 });
  // None that has ended is given out.
  expect(rest).toContain(pool.acquire(user, false, performance.now()).socket);
  expect(rest).toContain(pool.acquire(user, false, performance.now()).socket);
  expect(opened.map(({ socket }) => socket)).not.toContain(pool.acquire(user, false, performance.now()).socket);
  pool.close();
  for (const socket of [...rest, ...sockets.slice(-1)]) end(socket);
});
