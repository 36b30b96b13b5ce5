// How the tables of this folder attack: one connection, one odd message with an innocent-looking request behind it, and
// then a probe by another client that must be the only thing upstream ever heard of.

import { expect } from 'vitest';
import { type GateFixture, openGateHouse } from './gate-fixture.ts';
import { type Believed, type LenientUpstream, startLenientUpstream } from './lenient-upstream.ts';

/** What must never be spoken upstream. */
export const SMUGGLED = 'GET /api/smuggled HTTP/1.1\r\nHost: gate.test\r\n\r\n';

export interface Scene {
  readonly gate: GateFixture;
  readonly upstream: LenientUpstream;
  /** Sends `text` (latin1); it must be refused with `status`, and nothing of it or behind it reach upstream. */
  refused(text: string, status?: number): Promise<void>;
  /** Sends `text`; it must be these requests upstream, and as many answers. Answers what upstream believes. */
  passes(text: string, ...targets: readonly string[]): Promise<readonly Believed[]>;
  close(): Promise<void>;
}

let probes = 0;

export async function openScene(): Promise<Scene> {
  const upstream = await startLenientUpstream();
  const house = await openGateHouse();
  const gate = await house.start(upstream.port);

  /** A plain request of somebody else: its answer shows that all that came before it has been dealt with. */
  const probe = async (): Promise<readonly Believed[]> => {
    const target = `/api/probe-${++probes}`;
    const client = await gate.connect();
    client.send(`GET ${target} HTTP/1.1\r\nHost: gate.test\r\n\r\n`);
    const text = await client.until(target);
    client.socket.destroy();
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
    const heard = upstream.take();
    expect(heard.at(-1)?.target).toBe(target);
    return heard.slice(0, -1);
  };

  return {
    gate,
    upstream,
    async refused(text, status = 400) {
      const client = await gate.connect();
      client.send(Buffer.from(text + SMUGGLED, 'latin1'));
      const { text: answers } = await client.ended();
      client.socket.destroy();
      expect({ text, heard: (await probe()).map((one) => one.raw) }).toEqual({ text, heard: [] });
      expect({ text, statuses: statusesOf(answers) }).toEqual({ text, statuses: [status] });
      expect(answers).toMatch(/^connection: close\r$/im);
    },
    async passes(text, ...targets) {
      const client = await gate.connect();
      client.send(Buffer.from(text, 'latin1'));
      await client.until((answers) => statusesOf(answers).length >= targets.length);
      client.socket.end();
      const { text: answers } = await client.ended();
      client.socket.destroy();
      const heard = await probe();
      expect({ text, heard: heard.map((one) => one.target) }).toEqual({ text, heard: targets });
      expect({ text, statuses: statusesOf(answers) }).toEqual({ text, statuses: targets.map(() => 200) });
      return heard;
    },
    async close() {
      await gate.close();
      await house.close();
      upstream.close();
    },
  };
}

/** The statuses of all answers in what a client got; no answer of ours or of the lenient upstream has one in its body. */
export function statusesOf(answers: string): number[] {
  return [...answers.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
}

/** A request of `lines` and `body` behind a request line and a Host that are beyond reproach. */
export function post(lines: string, body = ''): string {
  return `POST /api/flows/filter HTTP/1.1\r\nHost: gate.test\r\n${lines}\r\n${body}`;
}
