import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { streamSender } from '../../src/cli/audit/syslog-sender.ts';
import type { ExportEntry } from '../../src/observe/export-entry.ts';
import { bind } from '../../src/proxy/connection-set.ts';

afterEach(() => void vi.useRealTimers());

const entry: ExportEntry = { time: 1, kind: 'act', severity: 'info', fields: {}, text: 'x'.repeat(8_000) };

/** A receiver that reads when it is told to. */
async function receiver() {
  const path = join(mkdtempSync(join(tmpdir(), 'certgate-syslog-')), 'sock');
  const server = createServer({ pauseOnConnect: true });
  await bind(server, { path });
  const peer = once(server, 'connection').then(([socket]) => socket as Socket);
  let received = 0;
  return {
    path,
    /** Reads about as much more, or what there is. */
    async read(octets: number): Promise<void> {
      const socket = await peer;
      const until = received + octets;
      const take = (bytes: Buffer): void => {
        received += bytes.length;
      };
      socket.on('data', take).resume();
      for (let turn = 0; turn < 200 && received < until; turn++) await new Promise(setImmediate);
      socket.pause().off('data', take);
    },
    async close() {
      (await peer).destroy();
      server.close();
    },
  };
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
}

test('a receiver that reads slowly gets all of a batch, however long it takes; one that does not read is given up', async () => {
  const at = await receiver();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const sender = streamSender({ path: at.path }, { host: 'gate', sdId: 'certgate@32473', longest: 8_192 });
  let ended: string | null = null;
  const send = (): void => {
    ended = null;
    void sender.send(Array.from({ length: 1_000 }, () => entry)).then((sent) => {
      ended = sent.kind === 'sent' ? 'sent' : sent.reason;
    });
  };
  send();
  while (ended === null) {
    await turns();
    vi.advanceTimersByTime(6_000);
    await at.read(1_000_000);
  }
  expect(ended).toBe('sent');
  send();
  await turns();
  vi.advanceTimersByTime(10_000);
  await turns();
  expect(ended).toBe('the receiver does not read');
  sender.close();
  await at.close();
});
