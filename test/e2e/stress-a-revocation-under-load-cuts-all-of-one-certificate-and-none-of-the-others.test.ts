import { expect, test } from 'vitest';
import { answersHalf } from './harness/echo.ts';
import { within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls, WEBSOCKET_OPENING, type Wire } from './harness/wire.ts';

const EACH = 1000;
const IN_FLIGHT = 300;
const TUNNELS = 300;
test('of 2,000 live connections, idle, with requests in flight and with WebSockets, a revocation cuts all of its certificate’s and no other', async () => {
  const home = await house();
  const [doomed, safe] = await Promise.all(
    ['worker/etl-1', 'user/alice'].map(async (name) => await credentialsIn(await home.issue(name))),
  );
  if (doomed === undefined || safe === undefined) throw new Error('unreachable');
  const upstream = await echo({
    answer: answersHalf('half'),
  });
  const gate = await home.serve({
    upstream: upstream.url,
    env: { CERTGATE_SERVE_LIMITS_HEAD: '2m', CERTGATE_LOG_ACCESS: 'false' },
  });
  const openAll = async (credentials: typeof doomed): Promise<Wire[]> =>
    await Promise.all(
      Array.from({ length: EACH }, async (_, at) => {
        const wire = await openTls(gate.port, credentials);
        if (at < IN_FLIGHT) {
          wire.send(get('/api/slow'));
          await wire.until('half an answer', (bytes) => (bytes.includes('half') ? true : undefined));
        } else if (at < IN_FLIGHT + TUNNELS) expect((await ask(wire, WEBSOCKET_OPENING)).status).toBe(101);
        else expect((await ask(wire, get('/api/hello'))).status).toBe(200);
        return wire;
      }),
    );
  const gone = await openAll(doomed);
  const stays = await openAll(safe);
  let ended = 0;
  for (const wire of stays) void wire.ended.then(() => ended++);

  const { stdout, stderr } = await home.certgate(['revoke', 'worker/etl-1', '--config', home.config]);
  expect(`${stdout}${stderr}`).toContain(`${EACH} connections`);
  await within('all of its connections end', Promise.all(gone.map(async (wire) => await wire.ended)));
  for (const wire of gone.slice(0, IN_FLIGHT)) {
    expect(wire.received().toString('latin1')).not.toMatch(/\r\n0\r\n\r\n$/);
  }
  for (const wire of stays.slice(IN_FLIGHT + TUNNELS)) expect((await ask(wire, get('/api/hello'))).status).toBe(200);
  expect(ended).toBe(0);
  for (const wire of [...gone, ...stays]) wire.socket.destroy();
});
