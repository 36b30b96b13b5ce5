import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { platform, userInfo } from 'node:os';
import { expect, onTestFinished, test } from 'vitest';
import { userAtOtherEnd, userOfSocket } from '../../src/enroll/loopback-peer.ts';

const SERVER = { address: '127.0.0.1', port: 0x9a13 };
const line = (from: string, to: string, user: number): string =>
  `   2: ${from} ${to} 01 00000000:00000000 00:00000000 00000000 ${String(user).padStart(5)}        0 57367 2 0 20 0 0 10 -1\n`;
const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const TABLE = [
  HEAD,
  line('00000000:9A13', '00000000:0000', 1),
  // Its other end, then another address, then another port: none of them is who asks.
  line('0100007F:9A13', '0100007F:9A24', 2),
  line('0200007F:9A24', '0100007F:9A13', 3),
  line('0100007F:9A24', '0100007F:9A14', 4),
  line('0100007F:9A24', '0100007F:9A13', 65_534),
].join('');

test('the user of a connection is the one of the socket with both its ends, and of no other', () => {
  expect(userOfSocket(TABLE, { address: '127.0.0.1', port: 0x9a24 }, SERVER)).toBe(65_534);
  expect(userOfSocket(TABLE, { address: '127.0.0.2', port: 0x9a24 }, SERVER)).toBe(3);
  expect(userOfSocket(TABLE, { address: '127.0.0.1', port: 0x9a25 }, SERVER)).toBeNull();
  expect(userOfSocket('', { address: '127.0.0.1', port: 0x9a24 }, SERVER)).toBeNull();
});

test('an IPv4 address may stand in the table of IPv6', () => {
  const mapped = (hex: string): string => `0000000000000000FFFF0000${hex}`;
  const table = HEAD + line(mapped('0100007F:9A24'), mapped('0100007F:9A13'), 1000);
  expect(userOfSocket(table, { address: '127.0.0.1', port: 0x9a24 }, SERVER)).toBe(1000);
});

const elsewhere = platform() === 'linux' ? '' : ' [skipped: this is no Linux]';
test.skipIf(elsewhere !== '')(
  `Linux tells who is at the other end of a connection over loopback${elsewhere}`,
  async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const client = connect(port, '127.0.0.1');
    const [socket] = (await once(server, 'connection')) as [Socket];
    onTestFinished(() => {
      client.destroy();
      socket.destroy();
      server.close();
    });
    expect(userAtOtherEnd(socket)).toBe(userInfo().uid);
  },
);
