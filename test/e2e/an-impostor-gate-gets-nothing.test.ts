import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { expect, test } from 'vitest';
import { credentialsIn, makeHouse } from './harness/house.ts';
import { atEnd, folder, house } from './harness/scenario.ts';

test('a sidecar sends nothing to a gate that another CA vouches for, nor to a client of its own CA that poses as the gate, and says so', async () => {
  const home = await house();
  const identity = await home.issue('worker/etl-1');
  const other = await makeHouse(await folder());
  const ours = await credentialsIn(identity);
  // Another CA's certificate with the right address in it, and our own CA's certificate for a client.
  const foreign = await credentialsIn(await other.issue('worker/gate', '--ip', '127.0.0.1', '--dns', 'localhost'));
  const colleague = await credentialsIn(await home.issue('worker/posing', '--ip', '127.0.0.1'));

  for (const { cert, key } of [foreign, colleague]) {
    let received = 0;
    const impostor = createServer(
      { cert, key, ca: ours.ca, requestCert: true, rejectUnauthorized: false },
      (socket) => {
        socket.on('error', () => {});
        socket.on('data', (bytes) => {
          received += bytes.length;
          socket.end('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged');
        });
      },
    );
    impostor.on('tlsClientError', () => {});
    impostor.listen(0, '127.0.0.1');
    await once(impostor, 'listening');
    atEnd(async () => void impostor.close());
    const { port } = impostor.address() as AddressInfo;

    const sidecar = await home.connect({ port }, identity);
    const response = await fetch(`${sidecar.url}/api/hello`, { headers: { authorization: 'Basic c2VjcmV0' } });
    expect(response.status).toBe(502);
    expect(await response.json()).toEqual({ detail: expect.stringContaining("can't be trusted") as string });
    expect(received).toBe(0);
  }
});
