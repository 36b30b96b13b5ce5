import { beforeAll, expect, test } from 'vitest';
import type { Echo } from './harness/echo.ts';
import { echo, house } from './harness/scenario.ts';
import { type Answer, ask, openTcp } from './harness/wire.ts';

let upstream: Echo;
let port: number;

beforeAll(async () => {
  const home = await house();
  upstream = await echo();
  const gate = await home.serve({ upstream: upstream.url });
  port = (await home.connect(gate, await home.issue('worker/etl-1'))).port;
});

async function send(method: string, ...lines: string[]): Promise<Answer> {
  const wire = await openTcp(port);
  const answer = await ask(wire, [`${method} /api/logs/ HTTP/1.1`, ...lines, '', ''].join('\r\n'));
  wire.socket.destroy();
  return answer;
}
const upgrade = [
  ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
];

test.each([
  ['a name that was rebound to loopback', 421, ['GET', 'Host: evil.example']],
  ['that name with the sidecar’s port', 421, ['POST', 'Host: evil.example:4210', 'Content-Length: 0']],
  [
    'a page of another origin that writes',
    403,
    ['POST', 'Host: localhost', 'Origin: https://evil.example', 'Content-Length: 0'],
  ],
  ['a page of another origin that reads', 403, ['GET', 'Host: localhost', 'Sec-Fetch-Site: cross-site']],
  ['a sandboxed page', 403, ['POST', 'Host: localhost', 'Origin: null', 'Content-Length: 0']],
  ['a page’s WebSocket', 403, ['GET', 'Host: localhost', 'Origin: http://evil.example', ...upgrade]],
] as const)('%s is refused by the sidecar, and nothing reaches the gate', async (_, status, [method, ...lines]) => {
  const before = upstream.heads.length;
  const answer = await send(method, ...lines);
  expect(answer.status).toBe(status);
  expect(JSON.parse(answer.body.toString())).toHaveProperty('detail');
  expect(upstream.heads.length).toBe(before);
});

test('Prefect’s own UI, loaded through the sidecar, may do all it does', async () => {
  const origin = `localhost:${port}`;
  const own = [`Host: ${origin}`, `Origin: http://${origin}`, 'Sec-Fetch-Site: same-origin', 'Content-Length: 0'];
  expect((await send('POST', ...own)).status).toBe(200);
  expect((await send('GET', 'Host: 127.0.0.1', 'Sec-Fetch-Site: none')).status).toBe(200);
});
