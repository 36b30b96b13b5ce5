import { expect, test } from 'vitest';
import { eventually } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

test('limits on the connections of an address and of an identity, and on requests in flight, hold over all workers', async () => {
  const home = await house();
  const [worker, alice] = await Promise.all([
    home.issue('worker/etl-1').then(credentialsIn),
    home.issue('user/alice').then(credentialsIn),
  ]);
  const upstream = await echo({ answer: (request) => request.url === '/api/slow' });
  const gate = await home.serve({
    upstream: upstream.url,
    flags: ['--workers', '2'],
    env: {
      CERTGATE_SERVE_LIMITS_CONNECTIONS_PER_ADDRESS: '8',
      CERTGATE_SERVE_LIMITS_CONNECTIONS_PER_IDENTITY: '5',
      CERTGATE_SERVE_LIMITS_REQUESTS_PER_IDENTITY: '3',
    },
  });
  const open = async (credentials: typeof alice) => {
    const wire = await openTls(gate.port, credentials);
    return { wire, answer: await ask(wire, get('/api/hello')) };
  };

  const held = [];
  for (let i = 0; i < 5; i++) held.push(await open(worker));
  expect(held.map(({ answer }) => answer.status)).toEqual([200, 200, 200, 200, 200]);
  const sixth = await open(worker);
  expect(sixth.answer).toMatchObject({ status: 429, headers: { 'retry-after': '2', 'prefect-maintenance': 'true' } });
  await sixth.wire.ended;
  // Another identity is not concerned, until the address has as many as it may.
  const others = [await open(alice), await open(alice)];
  expect(others.map(({ answer }) => answer.status)).toEqual([200, 200]);
  await eventually('the address is full', async () => {
    try {
      others.push(await open(alice));
      return undefined;
    } catch (error) {
      return error;
    }
  });
  // One more, unless the place of the sixth was not free yet.
  expect(others.length).toBeLessThanOrEqual(3);
  await gate.logged(({ code, address }) => code === 'CG_LIMIT_ADDRESS' && address === '127.0.0.1');

  // Two in flight in one worker, one in the other: the next is refused wherever it comes, within the tenth of a second
  // in which the workers tell each other.
  const [a, b, c, next, last] = held.map(({ wire }) => wire);
  for (const wire of [a, b, c]) wire?.send(get('/api/slow'));
  for (const wire of [next, last]) {
    if (wire === undefined) throw new Error('unreachable');
    await eventually('a request is refused', async () => {
      const { status } = await ask(wire, get('/api/hello'));
      return status === 429 ? true : undefined;
    });
  }
  // What ends is given back: the requests with their connections, and the connections to identity and address.
  for (const wire of [a, b, c]) wire?.reset();
  await eventually('requests pass again', async () => {
    if (next === undefined) return undefined;
    return (await ask(next, get('/api/hello'))).status === 200 ? true : undefined;
  });
  const fresh = await eventually('a connection is let in again', async () => {
    const one = await open(worker);
    return one.answer.status === 200 ? one : undefined;
  });
  const said = JSON.parse((await home.certgate(['health', '--json', '--config', home.config])).stdout) as {
    metrics: Record<string, number>;
  };
  expect(said.metrics['limitedRequests']).toBeGreaterThanOrEqual(2);
  expect(said.metrics['limitedConnections']).toBeGreaterThanOrEqual(2);
  for (const { wire } of [...held, ...others, fresh]) wire.socket.destroy();
});
