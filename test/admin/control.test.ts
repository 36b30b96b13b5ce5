import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
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

const CHUNKED_HEAD = 'POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n';

function chunked(body: string): string {
  return `${CHUNKED_HEAD}${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
}

/** All that is said to who sends `parts` and ends its side. */
async function said(path: string, parts: readonly string[]): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true });
  socket.on('error', () => {});
  const read: Buffer[] = [];
  socket.on('data', (part: Buffer) => read.push(part));
  for (const part of parts) await new Promise((resolve) => socket.write(part, resolve));
  socket.end();
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(read).toString('latin1');
}

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

  it('says whose it is to who may not ask', async () => {
    const path = join(folder, 'control.sock');
    const control = await serveControl(path, { 'GET /health': async () => health });
    chmodSync(folder, 0o755);
    const client = new URL('../../src/admin/control-client.ts', import.meta.url).href;
    const asking = `import { askHealth } from ${JSON.stringify(client)};
      if (process.getuid() === 0) process.setuid(65534);
      await askHealth(${JSON.stringify(path)}).catch((error) => console.log(error.message + '; ' + error.hint));`;
    chmodSync(path, 0);
    const child = spawn(process.execPath, ['--input-type=module', '-e', asking], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let told = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      told += text;
    });
    await once(child, 'close');
    expect(told).toContain(
      `did not answer: permission denied; run this as the user that runs the gate: ls -ld ${path}`,
    );
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

  it.each([
    ['what it does not know', 'GET /keys HTTP/1.1\r\nhost: x\r\n\r\n', 404, 'no such question'],
    ['what is no request', 'hello\r\n\r\n', 400, /request line/],
    ['a body in chunks', chunked('{"causes":["ab"]}'), 200, 'ab'],
    ['a chunk that is none', `${CHUNKED_HEAD}zz\r\n`, 400, /chunk/],
    ['a body that is no JSON', 'POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n{,}', 503, /JSON/],
    [
      'a head that comes in parts',
      ['POST /echo HTTP/1.1\r\nho', 'st: x\r\ncontent-length: 2\r\n\r', '\n{', '}'],
      200,
      '',
    ],
  ])('answers %s, once, to who has ended its own side', async (_what, asked, status, detail) => {
    const path = join(folder, 'control.sock');
    const control = await serveControl(path, { 'POST /echo': async (body) => ({ detail: causesIn(body).join(' ') }) });
    const [head = '', body = ''] = (await said(path, [asked].flat())).split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    const { detail: told } = JSON.parse(body) as { detail: string };
    if (detail instanceof RegExp) expect(told).toMatch(detail);
    else expect(told).toBe(detail);
    await control.close();
  });

  it('reads no question of more than 16 MiB', async () => {
    const path = join(folder, 'control.sock');
    const control = await serveControl(path, { 'POST /echo': async () => ({}) });
    const answer = await said(path, [CHUNKED_HEAD, `${(17 * 2 ** 20).toString(16)}\r\n`, 'x'.repeat(17 * 2 ** 20)]);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    await control.close();
  });

  it('lets go of who asks nothing when it is closed', async () => {
    const path = join(folder, 'control.sock');
    const control = await serveControl(path, {});
    const socket = connect(path);
    await new Promise((resolve) => socket.once('connect', resolve));
    const gone = new Promise((resolve) => socket.once('close', resolve));
    await control.close();
    await gone;
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
