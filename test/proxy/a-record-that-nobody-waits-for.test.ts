// A request that is held may be over before anybody waits for its record: the client leaves, or what is said of its body takes the
// place of what was said of its head. That the record then can't be written is no fault of the proxy's, and ends nothing.

import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BodyVerdict, Forward } from '../../src/proxy/contract.ts';
import { proxyBetween } from './between.ts';
import { answer, connectRaw, forward } from './plain-proxy.ts';

const between = proxyBetween();
const faults: unknown[] = [];
const fault = (reason: unknown): void => void faults.push(reason);
beforeEach(() => {
  faults.length = 0;
  process.on('unhandledRejection', fault);
});
afterEach(() => void process.off('unhandledRejection', fault));

const failing = (): Promise<void> => Promise.reject(new Error('no room on the disk'));
const POST = 'POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n';
const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A proxy that holds each body, with a record of the head that fails, and says `of` of the body. */
async function holding(of: (held: Forward) => BodyVerdict | Promise<BodyVerdict>): Promise<void> {
  await between.restart({
    decide: (head) => {
      const held = forward(head, failing());
      return { ...held, inspectBody: () => of(held) };
    },
  });
}

test('as the client leaves within the body', async () => {
  await holding(({ head }) => ({ kind: 'send', head, body: Buffer.from('body') }));
  const client = await connectRaw(between.proxy.port);
  client.send(`${POST}bo`);
  await turns();
  client.socket.destroy();
  await turns();
  expect([faults, between.proxy.faults]).toEqual([[], []]);
});

test('as the body is refused', async () => {
  await holding(() => answer(403, 'not that'));
  const client = await connectRaw(between.proxy.port);
  client.send(`${POST}body`);
  await client.until('not that');
  await turns();
  expect([faults, between.proxy.faults]).toEqual([[], []]);
});

test('as the client leaves while it is thought of, whatever is said then', async () => {
  for (const said of ['send', 'answer'] as const) {
    const thought = Promise.withResolvers<void>();
    let asked = false;
    await holding(async ({ head }) => {
      asked = true;
      await thought.promise;
      if (said === 'answer') return { ...answer(403, 'not that'), recorded: failing() };
      return { kind: 'send', head, body: Buffer.from('body'), recorded: failing() };
    });
    const client = await connectRaw(between.proxy.port);
    client.send(`${POST}body`);
    while (!asked) await turns();
    client.socket.resetAndDestroy();
    while (between.proxy.set.members.size > 0) await turns();
    thought.resolve();
    await turns();
  }
  expect([faults, between.proxy.faults]).toEqual([[], []]);
});
