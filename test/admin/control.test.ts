import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { causesIn, serveControl } from '../../src/admin/control.ts';
import { applyRecords, askHealth } from '../../src/admin/control-client.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'certgate-control-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const health = {
  status: 'ok',
  store: true,
  audit: true,
  upstream: true,
  connections: 3,
  locks: { standing: 0, everyone: false },
  metrics: {},
};

describe('the control socket', () => {
  it('answers what it is asked, and is for its owner alone', async () => {
    const path = join(folder, 'control.sock');
    const cut = { connections: 1, requests: 0, tunnels: 1 };
    const control = await serveControl(path, {
      'GET /health': async () => health,
      'POST /records/apply': async (body) => ({ revision: 7, cut, asked: causesIn(body) }),
    });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await askHealth(path)).toEqual(health);
    expect(await applyRecords(path, ['ab'])).toMatchObject({ revision: 7, cut, asked: ['ab'] });
    await control.close();
    expect(await askHealth(path)).toBeNull();
  });

  it('is null to ask where no gate runs', async () => {
    expect(await applyRecords(join(folder, 'none.sock'), [])).toBeNull();
  });

  it('replaces what a dead gate left, but never takes a running gate’s place', async () => {
    const path = join(folder, 'control.sock');
    const dead = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', dead]);
    expect(statSync(path).isSocket()).toBe(true);
    const control = await serveControl(path, { 'GET /health': async () => health });
    await expect(serveControl(path, {})).rejects.toMatchObject({ code: 'CG_GATE_RUNNING' });
    await control.close();
  });

  it('passes on that the gate could not do it', async () => {
    const path = join(folder, 'control.sock');
    const control = await serveControl(path, {
      'POST /records/apply': async () => {
        throw new Error('the store is gone');
      },
    });
    await expect(applyRecords(path, ['ab'])).rejects.toThrow('the store is gone');
    await control.close();
  });

  it('says when what answers is no gate', async () => {
    const path = join(folder, 'other.sock');
    const other = createServer((socket) => socket.end('hello\r\n'));
    await new Promise((resolve) => other.listen(path, () => resolve(null)));
    await expect(askHealth(path)).rejects.toMatchObject({ code: 'CG_GATE_ANSWER' });
    other.close();
  });

  it('refuses a path that is too long for a unix socket and says so', async () => {
    await expect(serveControl(`/tmp/${'x'.repeat(120)}`, {})).rejects.toMatchObject({ code: 'CG_LISTEN' });
  });
});
