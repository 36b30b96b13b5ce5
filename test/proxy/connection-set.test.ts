import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, fstatSync, mkdtempSync, openSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CertgateError } from '../../src/errors.ts';
import { bind, bindTcp, removeStale } from '../../src/proxy/connection-set.ts';

const hintOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => 'it listens',
    (error: unknown) => (error instanceof CertgateError ? `${error.code}: ${error.hint}` : String(error)),
  );

test('who cannot listen is told what to do about what is in the way', async () => {
  const there = createServer();
  await bind(there, { host: '127.0.0.1', port: 0 });
  const address = there.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  expect(await hintOf(bind(createServer(), { host: '127.0.0.1', port }))).toContain('ss -ltnp');
  there.close();
  // RFC 5737: no machine has it.
  expect(await hintOf(bind(createServer(), { host: '192.0.2.1', port: 0 }))).toContain('ip -brief address');
  expect(await hintOf(bind(createServer(), { path: '/nowhere/at/all.sock' }))).toContain('ls -ld /nowhere/at');
  const taken = { address: '/run/signer.sock', reason: 'another process answers there' };
  expect(new CertgateError('CG_LISTEN', taken).hint).toBe(
    'choose another with --listen unix:/PATH, or stop what listens there: ss -lxp',
  );
  const facts = { address: '0.0.0.0:443', reason: 'listen EACCES: permission denied 0.0.0.0:443' };
  expect(new CertgateError('CG_LISTEN', facts).hint).toContain('CAP_NET_BIND_SERVICE');
});

test('what was passed and is no socket is left alone: it may be a file or pipe of this process', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'certgate-passed-')), 'pipe');
  execFileSync('mkfifo', [path]);
  for (const fd of [openSync(path, 'r+'), openSync('/dev/null', 'r')]) {
    const passed = { fd, name: 'systemd:gate' };
    await expect(bind(createServer(), passed)).rejects.toThrow(
      `cannot listen on systemd:gate: descriptor ${fd} is no socket`,
    );
    expect(fstatSync(fd).isSocket()).toBe(false);
    closeSync(fd);
    await expect(bindTcp(createServer(), passed)).rejects.toThrow(`descriptor ${fd} is closed`);
  }
});

test('the unix socket of a process that is stopped, or has more waiting than it may have, is taken from nobody', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'certgate-stale-')), 'live.sock');
  const listen = `require('node:net').createServer().listen({ path: ${JSON.stringify(path)}, backlog: 1 }, () => console.log('up'))`;
  const other = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(other.stdout, 'data');
  other.kill('SIGSTOP');
  const waiting: Socket[] = [];
  for (let full = false; !full; ) {
    const socket = connect(path);
    waiting.push(socket);
    full = await new Promise((resolve) =>
      socket.once('connect', () => resolve(false)).once('error', () => resolve(true)),
    );
  }
  expect(await removeStale(path)).toBe('taken');
  expect(existsSync(path)).toBe(true);
  expect(await hintOf(bind(createServer(), { path }))).toContain('stop what listens there');
  other.kill('SIGKILL');
  await once(other, 'exit');
  for (const socket of waiting) socket.destroy();
  expect(await removeStale(path)).toBe('free');
  expect(existsSync(path)).toBe(false);
});
