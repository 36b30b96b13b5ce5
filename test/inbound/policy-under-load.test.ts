// A policy that changes while the gate is busy: each answer is by one policy or the other, whole, and none is lost; what is open
// and stays permitted stays open.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadPolicy } from '../../src/config/policy-load.ts';
import { bind } from '../../src/proxy/connection-set.ts';
import { acceptKey } from '../../src/proxy/websocket.ts';
import { portOf } from '../proxy/plain-proxy.ts';
import { openGateHouse } from '../security/gate-fixture.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const WEBSOCKET =
  'GET /api/logs/out HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Protocol: prefect\r\n\r\n`;
const WRITE = 'POST /api/flows/ HTTP/1.1\r\nHost: localhost\r\ncontent-length: 0\r\n\r\n';
const bound = (role: string): string => `bindings: [{role: ${role}, identity: worker/etl-1}]\n`;

test('sixty policies, a third of them wrong, taken while eight connections write lose no answer and close no WebSocket', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'certgate-policy-load-'));
  const file = join(folder, 'policy.yaml');
  writeFileSync(file, bound('Worker'));
  const upgraded = `upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${acceptKey(KEY)}\r\n\r\n`;
  const upstream = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      if (/\r\nupgrade: /i.test(bytes.toString('latin1')))
        socket.write(`HTTP/1.1 101 Switching Protocols\r\n${upgraded}`);
      else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  await bind(upstream, { host: '127.0.0.1', port: 0 });
  const house = await openGateHouse();
  const policy = { path: file, cwd: folder, loaded: loadPolicy(file, folder) };
  const gate = await house.start(portOf(upstream), { policy });
  const [open, ...busy] = await Promise.all(Array.from({ length: 9 }, async () => await gate.connect()));
  if (open === undefined) throw new Error('nine were opened');
  open.send(WEBSOCKET);
  await open.until('HTTP/1.1 101');

  let going = true;
  let holds = { role: 'Worker' };
  const counts = new Map<string, number>();
  const writing = busy.map(async (peer) => {
    let answers = 0;
    while (going) {
      // Taken at once: what is asked from here on is answered by this one, or by one that is taken meanwhile.
      const asked = holds;
      peer.send(WRITE);
      answers++;
      const text = await peer.until(
        (all) => (all.match(/HTTP\/1\.1 \d/g) ?? []).length === answers && /(?:ok|\})$/.test(all),
      );
      const status = text.slice(text.lastIndexOf('HTTP/1.1 ')).slice(9, 12);
      if (asked === holds) expect(status).toBe(asked.role === 'Worker' ? '200' : '403');
      counts.set(status, (counts.get(status) ?? 0) + 1);
    }
  });
  for (let i = 0; i < 60; i++) {
    const right = i % 3 !== 2;
    const role = i % 2 === 0 ? 'Viewer' : 'Worker';
    writeFileSync(file, `# ${i}\n${right ? bound(role) : 'bindings: [{role: Worker'}`);
    gate.reloadPolicy();
    if (right) holds = { role };
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  going = false;
  await Promise.all(writing);
  expect(Math.min(...counts.values()), JSON.stringify([...counts])).toBeGreaterThan(0);
  expect([...counts.keys()].toSorted()).toEqual(['200', '403']);
  expect((await gate.health()).metrics).toMatchObject({
    policyReloads: 40,
    policyReloadFailures: 20,
    cut: 0,
    tunnels: 1,
  });
  expect(open.socket.destroyed).toBe(false);
  await gate.close();
  await house.close();
  upstream.close();
  rmSync(folder, { recursive: true });
});
