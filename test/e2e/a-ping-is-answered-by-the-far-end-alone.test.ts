import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { within } from './harness/eventually.ts';
import { echo, house } from './harness/scenario.ts';

test('a ping is answered by the far end alone, with its own payload: neither sidecar answers for it', async () => {
  const home = await house();
  // This upstream answers a ping only when it is told to; what a text says is repeated at once.
  const upstream = await echo({
    webSocket: (socket) => {
      const pings: Buffer[] = [];
      socket.on('ping', (payload) => pings.push(payload));
      socket.on('message', (data: Buffer) => {
        const text = data.toString();
        if (text === 'answer the pings')
          for (const payload of pings) socket.pong(Buffer.concat([payload, Buffer.from('!')]));
        socket.send(text);
      });
    },
  });
  const gate = await home.serve({ upstream: upstream.url });
  const sidecar = await home.connect(gate, await home.issue('worker/etl-1'));

  const seen: string[] = [];
  const socket = new WebSocket(`${sidecar.url.replace('http', 'ws')}/api/events/in`, 'prefect', { autoPong: false });
  const done = new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('pong', (payload) => seen.push(`pong ${payload.toString()}`));
    socket.on('message', (data: Buffer) => {
      seen.push(data.toString());
      if (seen.at(-1) === 'answer the pings') resolve();
      else socket.send('answer the pings');
    });
    socket.on('open', () => {
      socket.ping('are you there');
      socket.send('first');
    });
  });
  await within('the last answer', done);

  expect(seen).toEqual(['first', 'pong are you there!', 'answer the pings']);
  socket.terminate();
});
