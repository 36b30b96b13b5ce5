import { expect, test } from 'vitest';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

test('the health of a gate with workers has the sum of what all of them count', async () => {
  const home = await house();
  const credentials = await credentialsIn(await home.issue('worker/etl-1'));
  const upstream = await echo({ answer: (request) => request.url === '/api/slow' });
  const gate = await home.serve({ upstream: upstream.url, flags: ['--workers', '2'] });
  const wires = await Promise.all(Array.from({ length: 6 }, async () => await openTls(gate.port, credentials)));
  for (const wire of wires) for (let i = 0; i < 5; i++) await ask(wire, get('/api/hello'));
  for (const wire of wires.slice(0, 3)) wire.send(get('/api/slow'));
  while (upstream.heads.filter(({ url }) => url === '/api/slow').length < 3) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { stdout } = await home.certgate(['health', '--json', '--config', home.config]);
  expect(JSON.parse(stdout)).toMatchObject({
    status: 'ok',
    store: true,
    audit: true,
    upstream: true,
    connections: 6,
    metrics: { connections: 6, handshakes: 6, requests: 33, requestsOpen: 3, tunnels: 0, workersLost: 0 },
  });
  for (const wire of wires) wire.socket.destroy();
});
