// The outbound sidecar put together, in this process, before a gate that is not there: whatever its clients do, it
// serves on and says that the gate can't be reached.

import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAuthority } from '../../src/authority/create.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { storeFile } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { filesOf } from '../../src/cli/sidecar-options.ts';
import { loadConfig } from '../../src/config/load.ts';
import { openLog } from '../../src/observe/log.ts';
import { type RunningSidecar, type SidecarOptions, startSidecar } from '../../src/outbound/sidecar.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { quietLog } from '../observe/quiet-log.ts';
import { connectRaw, LIMITS } from '../proxy/plain-proxy.ts';

let folder: string;
let login: RunningSidecar;
let loginSaid: string[];
let loginEnds: number;
let sidecar: RunningSidecar;
let port: number;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'certgate-sidecar-'));
  const [certsDir, stateDir] = [join(folder, 'certs'), join(folder, 'state')];
  const made = { certsDir, stateDir, trustDomain: 'test.internal', actor: 'test' };
  await createAuthority({ ...made, clock: () => Date.now() - 300_000 });
  const store = openSqliteStore(storeFile(stateDir));
  const authority = await loadAuthority({ certsDir, store, trustDomain: 'test.internal' });
  const request = { identity: 'worker/etl-1', profile: 'client', ttlMs: 3_600_000, actor: 'test' } as const;
  await issueToDirectory(authority, { ...request, out: join(folder, 'worker') });
  // A login of five minutes whose end is near.
  loginEnds = Math.floor(Date.now() / 1000) * 1000 + 4_000;
  const earlier = await loadAuthority({
    certsDir,
    store,
    trustDomain: 'test.internal',
    clock: () => loginEnds - 300_000,
  });
  const person = { ...request, identity: 'user/alice', ttlMs: 300_000, out: join(folder, 'login') };
  await issueToDirectory(earlier, person);
  await store.close();
  // As after `issue --csr`: the key stays where it was made.
  renameSync(join(folder, 'worker', 'tls.key'), join(folder, 'elsewhere.key'));
  const flags = { 'connect.identityDir': 'worker', 'connect.key': 'elsewhere.key' };
  const options: SidecarOptions = {
    listen: { host: '127.0.0.1', port: 0 },
    gate: new URL('https://127.0.0.1:1'),
    files: filesOf(loadConfig({ file: undefined, env: {}, flags, cwd: folder })),
    trust: { interval: 60_000, write: true },
    renewIn: null,
    again: null,
    enrollAgain: null,
    serverName: null,
    allowedHosts: [],
    log: quietLog,
    accessLog: false,
    limits: { ...LIMITS, upstreamIdle: 60_000, upstreamConnect: 5_000 },
  };
  sidecar = await startSidecar(options);
  loginSaid = [];
  login = await startSidecar({
    ...options,
    files: filesOf(loadConfig({ file: undefined, env: {}, flags: { 'connect.identityDir': 'login' }, cwd: folder })),
    again: 'certgate login',
    log: openLog({ level: 'warn', destination: { write: (line) => void loginSaid.push(line) } }),
  });
  port = Number(new URL(sidecar.url).port);
});
afterAll(async () => {
  await Promise.all([sidecar.drain(0), login.drain(0)]);
  rmSync(folder, { recursive: true });
});

describe('the outbound sidecar serves on after', () => {
  it.each([
    ['a client that asks as it should', 'GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n', 'HTTP/1.1 503 '],
    ['bytes that are no request', '\x16\x03\x01\x00\xa5\x01\r\n\r\n', 'HTTP/1.1 400 '],
    [
      'two lengths',
      'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
      'HTTP/1.1 400 ',
    ],
    ['a head without end', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(40_000)}`, 'HTTP/1.1 431 '],
    ['another host', 'GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n', 'HTTP/1.1 421 '],
    [
      'a WebSocket',
      'GET /api/events/in HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      'HTTP/1.1 101 ',
    ],
  ])('%s', async (_what, bytes, answer) => {
    const client = await connectRaw(port);
    client.send(bytes);
    expect(await client.until('\r\n\r\n')).toContain(answer);
    client.socket.resetAndDestroy();
    const next = await connectRaw(port);
    next.send('GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(await next.until('\r\n\r\n')).toMatch(/503 [\s\S]*retry-after: \d+\r\nprefect-maintenance: true/);
    next.socket.destroy();
  });
});

describe('a login that ends while a sidecar serves by it', () => {
  const ask = async (): Promise<string> => {
    const client = await connectRaw(Number(new URL(login.url).port));
    client.send('GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const text = await client.until('"}');
    client.socket.destroy();
    return text;
  };

  it('is answered with what to do from its end on, and not before; the log says it ahead', async () => {
    // The gate is not there: until then that is what is wrong.
    expect(await ask()).toMatch(/ 503 [\s\S]*can't be reached/u);
    while (Date.now() < loginEnds) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await ask()).toMatch(
      / 403 [\s\S]*"certgate: the login ended at [^"]+Z: log in again with certgate login, on the machine of this sidecar"/u,
    );
    expect(loginSaid.find((line) => line.includes('the certificate expires soon'))).toContain(
      '"look":"certgate login"',
    );
  });
});
