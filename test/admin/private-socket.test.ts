import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { listenPrivately } from '../../src/admin/private-socket.ts';
import { failureOf, newFolder } from '../store/fixture.ts';

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  return {
    ...real,
    chmodSync: (path: string, mode: number) => {
      if (!path.endsWith('.sock')) return real.chmodSync(path, mode);
      throw Object.assign(new Error(`EPERM: operation not permitted, chmod '${path}'`), { code: 'EPERM', path });
    },
  };
});

test('a socket that cannot be made its owner’s alone is not listened on, and whoever waits for it is told', async () => {
  const path = join(newFolder(), 'control.sock');
  const server = createServer();
  const error = await failureOf('CG_LISTEN', () => listenPrivately(server, path));
  expect(error.message).toContain('operation not permitted');
  expect(server.listening).toBe(false);
  expect(existsSync(path)).toBe(false);
});
