// A certificate that is there and cannot be read at one moment, for want of a descriptor: it is not taken for missing, nor for
// one that was renewed meanwhile.
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { newToken, writeToken } from '../../src/enroll/token.ts';
import { openCa } from '../authority/fixture.ts';
import { HOUR } from '../store/fixture.ts';
import { type Ran, runIn } from './run-in.ts';

/** What cannot be opened the next so many times. */
const refused = vi.hoisted(() => ({ path: '', times: 0 }));
const failing = vi.hoisted(() => (path: unknown): Error | null => {
  if (path !== refused.path || refused.times-- <= 0) return null;
  const words = `EMFILE: too many open files, open '${path}'`;
  return Object.assign(new Error(words), { code: 'EMFILE', syscall: 'open', path });
});

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const readFileSync = (path: string, options: BufferEncoding): string => {
    const error = failing(path);
    if (error !== null) throw error;
    return real.readFileSync(path, options);
  };
  return { ...real, readFileSync };
});

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const readFile = async (path: string, options: BufferEncoding): Promise<string> => {
    const error = failing(path);
    if (error !== null) throw error;
    return real.readFile(path, options);
  };
  return { ...real, readFile };
});

/** An identity in a folder, and a gate that lets nobody finish. */
async function scene() {
  const { authority, dir: cwd } = await openCa();
  const out = join(cwd, 'id');
  const names = { identity: 'worker/etl-1', profile: 'client', ttlMs: HOUR, actor: 'test' } as const;
  await issueToDirectory(authority, { ...names, out });
  let asked = 0;
  const gate = createServer((socket) => {
    asked++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => {
    gate.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => void gate.close());
  const address = gate.address();
  const url = `https://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const ran = (...argv: string[]): Promise<Ran> => runIn(cwd, argv);
  return { ran, url, out, asked: () => asked };
}

test('no token is used in place of a key that is there', async () => {
  const { ran, url, out, asked } = await scene();
  const token = writeToken(newToken({ subject: 'worker/etl-1', gate: url, rootFingerprint: 'ab'.repeat(32) }));
  Object.assign(refused, { path: join(out, 'tls.key'), times: 5 });
  const { code, said } = await ran('renew', '--gate', url, '--identity', out, '--token', token);
  expect(code).not.toBe(0);
  expect(said).toContain(`${join(out, 'tls.key')}: too many open files [CG_CREDENTIALS]`);
  expect(asked()).toBe(0);
});

test('a renewal that did not come about is not told as one', async () => {
  const { ran, url, out, asked } = await scene();
  Object.assign(refused, { path: join(out, 'tls.crt'), times: 1 });
  const { code, said } = await ran('renew', '--gate', url, '--identity', out);
  expect(code).not.toBe(0);
  expect(said).toContain('CG_RENEWAL');
  expect(asked()).toBeGreaterThan(0);
});
