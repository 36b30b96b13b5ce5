import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { echo, house } from './harness/scenario.ts';

/** How a ClientHello begins: a record of 256 bytes to come. */
const HALF_A_HELLO = Buffer.from([0x16, 0x03, 0x01, 0x01, 0x00, 0x01, 0x00]);

test.each(['1', '2'])(
  'a peer that resets in the midst of its handshake is logged with its address (workers: %s)',
  async (workers) => {
    const upstream = await echo({});
    const gate = await (await house()).serve({ upstream: upstream.url, env: { CERTGATE_SERVE_WORKERS: workers } });
    // Again and again: one that resets before it is accepted has begun no handshake.
    const trying = setInterval(() => {
      const peer = connect({ port: gate.port, host: '127.0.0.1' });
      peer.on('error', () => {});
      peer.write(HALF_A_HELLO, () => setTimeout(() => peer.resetAndDestroy(), 100));
    }, 50);
    try {
      const line = await gate.logged(({ msg }) => msg === 'tls handshake failed');
      expect(line).toMatchObject({ address: '127.0.0.1', reason: 'ECONNRESET' });
    } finally {
      clearInterval(trying);
    }
  },
);
