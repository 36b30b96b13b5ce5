// A CA with one certificate, and beside it a running gate that the test plays: what it is asked over its control socket, and
// what it answers. New for each test of a file.

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach } from 'vitest';
import { openShell, type Shell } from './golden.ts';

export interface PlayedGate {
  readonly shell: Shell;
  /** `METHOD path body` of each question. */
  readonly questions: readonly string[];
  /** What it answers from now on; until then, that nothing was open. */
  answers(status: number, body: object): void;
}

/** What a gate answers that has cut these. */
export const cut = (connections: number, requests: number, tunnels: number): object => ({
  revision: 7,
  cut: { connections, requests, tunnels },
});

export function playedGate(): PlayedGate {
  let shell: Shell;
  let server: Server;
  let questions: string[];
  let answer: { readonly status: number; readonly body: object };
  beforeEach(async () => {
    shell = openShell();
    shell.run('certgate init && certgate issue worker/etl-1');
    questions = [];
    answer = { status: 200, body: cut(0, 0, 0) };
    server = createServer((request, response) => {
      void text(request).then((body) => {
        questions.push(`${request.method} ${request.url} ${body}`);
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body));
      });
    });
    server.listen(join(shell.dir, 'state', 'control.sock'));
    await once(server, 'listening');
  });
  afterEach(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    get shell() {
      return shell;
    },
    get questions() {
      return questions;
    },
    answers(status, body) {
      answer = { status, body };
    },
  };
}
