import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { expect, test } from 'vitest';
import { certgateCommand, credentialsIn, makeHouse } from './harness/house.ts';
import { cleanEnvironment, finish } from './harness/processes.ts';
import { atEnd, folder, house } from './harness/scenario.ts';

/** What others' programs by Node are run with where a proxy looks into their TLS: it is no word to certgate. */
const UNVERIFIED = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };

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

    for (const env of [{}, UNVERIFIED]) {
      const sidecar = await home.connect({ port }, identity, [], env);
      const response = await fetch(`${sidecar.url}/api/hello`, { headers: { authorization: 'Basic c2VjcmV0' } });
      expect(response.status).toBe(502);
      expect(await response.json()).toEqual({ detail: expect.stringContaining("can't be trusted") as string });
      expect(received).toBe(0);
    }
  }
});

test('whoever enrols, logs in or renews shows an impostor no token, also where the environment has Node verify nobody', async () => {
  const home = await house();
  const dir = await folder();
  const identity = await home.issue('worker/etl-1');
  const ca = join(home.dir, 'certs/ca.crt');
  const { cert, key } = await credentialsIn(
    await (await makeHouse(await folder())).issue('worker/gate', '--ip', '127.0.0.1'),
  );
  const bundle = await readFile(ca, 'utf8');
  const received: string[] = [];
  const impostor = createServer({ cert, key, requestCert: true, rejectUnauthorized: false }, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      received.push(bytes.toString('latin1').split('\r\n')[0] ?? '');
      // What anybody may have: it is public.
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${bundle.length}\r\nconnection: close\r\n\r\n${bundle}`);
    });
  });
  impostor.on('tlsClientError', () => {});
  impostor.listen(0, '127.0.0.1');
  await once(impostor, 'listening');
  atEnd(async () => void impostor.close());
  const gate = `https://127.0.0.1:${(impostor.address() as AddressInfo).port}`;
  const token = await home.certgate(['token', 'create', 'worker/b', '--gate', gate, '--config', home.config]);
  await writeFile(join(dir, 'jwt'), 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln\n');
  const root = new X509Certificate(await readFile(join(home.dir, 'certs/root.crt'))).fingerprint256;
  const byJwt = ['enroll', '--out', 'c', '--identity-token-file', 'jwt', '--gate', gate];
  const ways: ReadonlyArray<readonly [args: readonly string[], env: NodeJS.ProcessEnv]> = [
    [['enroll', '--out', 'a'], { CERTGATE_TOKEN: token.stdout.trim() }],
    [[...byJwt, '--fingerprint', root], {}],
    [[...byJwt, '--ca', ca], {}],
    [['login', gate, '--ca', ca], {}],
    [['renew', '--gate', gate, '--identity', identity], {}],
    [['doctor', '--gate', gate, '--identity', identity], {}],
  ];
  for (const [args, env] of ways) {
    const ran = await finish(...certgateCommand(args), {
      env: cleanEnvironment({ HOME: dir, ...UNVERIFIED, ...env }),
      cwd: dir,
    });
    expect(ran.code, args.join(' ')).not.toBe(0);
  }
  // By a fingerprint it is asked for its bundle, and for nothing else.
  expect(received).toEqual(Array.from({ length: 2 }, () => 'GET /.well-known/certgate/bundle HTTP/1.1'));
});
