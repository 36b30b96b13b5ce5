import { once } from 'node:events';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { credentialsIn } from './harness/house.ts';
import { freePort } from './harness/ports.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

const MAINTENANCE = { status: 503, retry: '2', maintenance: 'true', type: 'application/json' };

test('while the Prefect server is down, HTTP is answered 503 with Retry-After and Prefect-Maintenance, a WebSocket is opened and closed with 1012; when it is back, all goes on', async () => {
  const home = await house();
  const port = await freePort();
  const identity = await home.issue('worker/etl-1');
  const gate = await home.serve({ upstream: `http://127.0.0.1:${port}` });
  const sidecar = await home.connect(gate, identity);
  const credentials = await credentialsIn(identity);
  const wire = await openTls(gate.port, credentials);

  // Degraded, and no reason to restart the gate.
  await home.certgate(['health', '--config', home.config], 1);
  await home.certgate(['health', '--live', '--config', home.config]);

  const overHttp = async (method: string) => {
    const response = await fetch(`${sidecar.url}/api/logs/`, { method, ...(method === 'POST' ? { body: '[]' } : {}) });
    return {
      status: response.status,
      retry: response.headers.get('retry-after'),
      maintenance: response.headers.get('prefect-maintenance'),
      type: response.headers.get('content-type'),
      body: await response.text(),
    };
  };
  const closeOf = async (
    url: string,
    options = {},
  ): Promise<readonly [protocol: string, code: number, reason: string]> => {
    const socket = new WebSocket(`${url}/api/events/in`, 'prefect', options);
    const closed = once(socket, 'close');
    await once(socket, 'open');
    const [code, reason] = (await closed) as [number, Buffer];
    return [socket.protocol, code, reason.toString()];
  };

  const direct = await ask(wire, get('/api/hello'));
  expect([direct.status, direct.headers['retry-after'], direct.headers['prefect-maintenance']]).toEqual([
    503,
    '2',
    'true',
  ]);
  expect(JSON.parse(direct.body.toString())).toEqual({
    detail: expect.stringMatching(/^certgate: the Prefect server can't be reached/) as string,
  });
  for (const method of ['GET', 'POST', 'DELETE']) expect(await overHttp(method)).toMatchObject(MAINTENANCE);
  expect((await closeOf(`wss://127.0.0.1:${gate.port}`, credentials)).slice(0, 2)).toEqual(['prefect', 1012]);
  expect((await closeOf(sidecar.url.replace('http', 'ws'))).slice(0, 2)).toEqual(['prefect', 1012]);

  await echo({ port });
  expect((await ask(wire, get('/api/hello'))).status).toBe(200);
  expect((await overHttp('GET')).status).toBe(200);
  wire.socket.destroy();

  // The same when it is the gate that the sidecar can't reach.
  await gate.stop();
  expect(await overHttp('GET')).toMatchObject(MAINTENANCE);
  expect((await closeOf(sidecar.url.replace('http', 'ws'))).slice(0, 2)).toEqual(['prefect', 1012]);
});
