import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { answersHalf } from './harness/echo.ts';
import { eventually, within } from './harness/eventually.ts';
import { credentialsIn } from './harness/house.ts';
import { monitorOf, read, samplesIn } from './harness/monitor.ts';
import { freePort } from './harness/ports.ts';
import { echo, house } from './harness/scenario.ts';
import { ask, get, openTls } from './harness/wire.ts';

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test.each([1, 2])(
  'of a gate with %i workers: that it lives, can be used, and what all of it counted',
  async (workers) => {
    const home = await house();
    const credentials = await credentialsIn(await home.issue('worker/etl-1'));
    const upstream = await echo();
    const flags = ['--workers', `${workers}`, '--metrics-listen', '127.0.0.1:0'];
    const gate = await home.serve({ upstream: upstream.url, flags });
    const monitor = await monitorOf(gate);
    const wires = await Promise.all(Array.from({ length: 3 }, async () => await openTls(gate.port, credentials)));
    const last = await openTls(gate.port, credentials);
    for (const wire of [...wires, last]) for (let i = 0; i < 5; i++) await ask(wire, get('/api/hello'));
    expect((await ask(last, get('/api/%00'))).status).toBe(400);

    expect(await read(`${monitor}/livez`)).toMatchObject({ status: 200, text: 'ok\n' });
    expect(await read(`${monitor}/readyz`)).toMatchObject({
      status: 200,
      text: '[+]store ok\n[+]record ok\n[+]upstream ok\n[+]workers ok\n[+]serving ok\n',
    });
    const { status, type, text } = await eventually('what the last request counted', async () => {
      const now = await read(`${monitor}/metrics`);
      return now.text.includes('certgate_request_duration_seconds_count 21\n') ? now : undefined;
    });
    expect([status, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
    expect(text).not.toContain('etl-1');
    const samples = await samplesIn(text);
    expect(Object.fromEntries(samples)).toMatchObject({
      certgate_connections: 4,
      certgate_requests_in_flight: 0,
      certgate_handshakes_total: 4,
      certgate_requests_total: 21,
      certgate_requests_refused_total: 1,
      certgate_workers_lost_total: 0,
      'certgate_limited_total{limit="requests"}': 0,
      'certgate_responses_total{class="2xx"}': 20,
      'certgate_responses_total{class="4xx"}': 1,
      'certgate_responses_total{class="none"}': 0,
      'certgate_request_duration_seconds_bucket{le="+Inf"}': 21,
      'certgate_healthy{part="upstream"}': 1,
      certgate_locks: 0,
    });
    const soon = Date.now() / 1000 + 3600;
    for (const certificate of ['gate', 'issuer', 'root']) {
      const name = `certgate_certificate_expiration_timestamp_seconds{certificate="${certificate}"}`;
      expect(samples.get(name)).toBeGreaterThan(soon);
    }
    expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(2 ** 24);

    expect(await read(`${monitor}/`)).toMatchObject({ status: 404, text: '' });
    expect((await fetch(`${monitor}/metrics`, { method: 'POST' })).status).toBe(405);
    expect(await (await fetch(`${monitor}/metrics`, { method: 'HEAD' })).text()).toBe('');
    // On the gate's own port such a path is Prefect's.
    expect((await ask(last, get('/metrics'))).status).toBe(200);
    expect(upstream.heads.at(-1)?.url).toBe('/metrics');
    for (const wire of [...wires, last]) wire.socket.destroy();
  },
);

test('a gate without its Prefect lives, and is not ready until that is back', async () => {
  const home = await house();
  const port = await freePort();
  const gate = await home.serve({ upstream: `http://127.0.0.1:${port}`, flags: ['--metrics-listen', '127.0.0.1:0'] });
  const monitor = await monitorOf(gate);
  expect(await read(`${monitor}/readyz`)).toMatchObject({
    status: 503,
    text: '[+]store ok\n[+]record ok\n[-]upstream failed\n[+]workers ok\n[+]serving ok\n',
  });
  expect((await read(`${monitor}/livez`)).status).toBe(200);
  expect((await samplesIn((await read(`${monitor}/metrics`)).text)).get('certgate_healthy{part="upstream"}')).toBe(0);
  await echo({ port });
  await eventually('it is ready', async () => ((await read(`${monitor}/readyz`)).status === 200 ? true : undefined));
});

test.each([1, 2])(
  'a gate with %i workers that was told to stop is not ready, and tells monitors so until its last answer is given',
  async (workers) => {
    const home = await house();
    const credentials = await credentialsIn(await home.issue('worker/etl-1'));
    const held = Promise.withResolvers<ServerResponse>();
    const upstream = await echo({ answer: answersHalf('first ', (response) => held.resolve(response)) });
    const flags = ['--workers', `${workers}`, '--drain', '5m', '--metrics-listen', '127.0.0.1:0'];
    const gate = await home.serve({ upstream: upstream.url, flags });
    const monitor = await monitorOf(gate);
    const wire = await openTls(gate.port, credentials);
    wire.send(get('/api/slow'));
    const response = await held.promise;
    const pids = gate.log().flatMap(({ msg, pid }) => (msg === 'worker started' ? [Number(pid)] : []));
    gate.running.signal('SIGTERM');
    await gate.logged(({ msg }) => msg === 'draining');
    if (workers > 1)
      await eventually('the idle worker has ended', async () => (pids.every(isThere) ? undefined : true));
    const { status, text } = await read(`${monitor}/readyz`);
    expect([status, text]).toEqual([
      503,
      '[+]store ok\n[+]record ok\n[+]upstream ok\n[+]workers ok\n[-]serving failed\n',
    ]);
    expect((await read(`${monitor}/livez`)).status).toBe(200);
    expect((await read(`${monitor}/metrics`)).text).toMatch(/^certgate_requests_total 1$/m);
    response.end('and last');
    expect((await wire.answer()).body.toString()).toBe('first and last');
    expect(await within('the gate ends', gate.running.exited)).toEqual({ code: 0, signal: null });
  },
);

test('a worker that hangs is told of in time, what it had counted stands, and without it the gate still lives', async () => {
  const home = await house();
  const credentials = await credentialsIn(await home.issue('worker/etl-1'));
  const upstream = await echo();
  const flags = ['--workers', '2', '--metrics-listen', '127.0.0.1:0'];
  const gate = await home.serve({ upstream: upstream.url, flags });
  const monitor = await monitorOf(gate);
  const wires = [await openTls(gate.port, credentials), await openTls(gate.port, credentials)];
  for (const wire of wires) await ask(wire, get('/api/hello'));
  const counted = (text: string) => text.match(/^certgate_(requests|handshakes)_total .*$/gm);
  const all = ['certgate_handshakes_total 2', 'certgate_requests_total 2'];
  expect(counted((await read(`${monitor}/metrics`)).text)).toEqual(all);
  const pid = Number(gate.log().find(({ msg }) => msg === 'worker started')?.['pid']);
  process.kill(pid, 'SIGSTOP');
  const now = await eventually('the gate misses a worker', async () => {
    const { status, text } = await read(`${monitor}/readyz`);
    return status === 503 ? text : undefined;
  });
  expect(now).toBe('[+]store ok\n[+]record ok\n[+]upstream ok\n[-]workers failed\n[+]serving ok\n');
  expect((await read(`${monitor}/livez`)).status).toBe(200);
  const { status, text } = await read(`${monitor}/metrics`);
  expect([status, counted(text)]).toEqual([200, all]);
  const { stdout } = await home.certgate(['health', '--config', home.config], 1);
  expect(stdout).toContain('degraded: store ok, record ok, upstream ok, workers FAILED, ');
  process.kill(pid, 'SIGCONT');
  await eventually('all is well', async () => ((await read(`${monitor}/readyz`)).status === 200 ? true : undefined));
  for (const wire of wires) wire.socket.destroy();
});

test('an address that is taken is named with its flag', async () => {
  const home = await house();
  const { port } = await echo();
  const serve = ['serve', '--config', home.config, '--listen', '127.0.0.1:0', '--metrics-listen', `127.0.0.1:${port}`];
  const { stderr } = await home.certgate(serve, 7);
  expect(stderr).toContain(`127.0.0.1:${port}`);
  expect(stderr).toContain('--metrics-listen');
});
