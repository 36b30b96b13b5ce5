import { createSocket } from 'node:dgram';
import type { lookup as Lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { expect, onTestFinished, test, vi } from 'vitest';
import { datagramSender } from '../../src/cli/audit/syslog-sender.ts';

/** What `collector.example` resolves to. */
let addresses: ReadonlyArray<{ readonly address: string; readonly family: number }> = [];
vi.mock('node:dns/promises', async (original) => ({
  ...(await original<object>()),
  lookup: (async (_host: string, { order }: { order?: string }) =>
    addresses.toSorted((a, b) => (order === 'ipv4first' ? a.family - b.family : 0))[0]) as typeof Lookup,
}));

test.each([
  ['IPv6 alone', [{ address: '::1', family: 6 }], '::1'],
  [
    'both',
    [
      { address: '::1', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ],
    '127.0.0.1',
  ],
])('a datagram reaches a name with addresses of %s', async (_what, resolved, at) => {
  addresses = resolved;
  const socket = createSocket(at === '::1' ? 'udp6' : 'udp4').bind(0, at);
  onTestFinished(() => void socket.close());
  await once(socket, 'listening');
  const place = { host: 'collector.example', port: socket.address().port, tls: null };
  const sender = datagramSender(place, { host: 'gate', sdId: 'certgate@32473', longest: 2048 });
  onTestFinished(() => sender.close());
  const got = once(socket, 'message');
  expect(await sender.send([{ time: 0, kind: 'act', severity: 'info', fields: {}, text: 'one' }])).toEqual({
    kind: 'sent',
  });
  const [message] = (await got) as [Buffer];
  expect(message.toString()).toContain('one');
});
