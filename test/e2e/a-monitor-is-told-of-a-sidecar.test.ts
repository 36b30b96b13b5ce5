import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { answersHalf } from './harness/echo.ts';
import { eventually, within } from './harness/eventually.ts';
import { gateUrl } from './harness/house.ts';
import { monitorOf, read, samplesIn } from './harness/monitor.ts';
import { freePort } from './harness/ports.ts';
import { echo, house } from './harness/scenario.ts';

const MONITOR = ['--metrics-listen', '127.0.0.1:0'];

test('that it lives, can be used, what it counted, and when its certificate ends', async () => {
  const home = await house();
  const identity = await home.issue('worker/etl-1', '--ttl', '90m');
  const upstream = await echo();
  const gate = await home.serve({ upstream: upstream.url });
  const sidecar = await home.connect(gate, identity, MONITOR);
  const monitor = await monitorOf(sidecar);
  expect(await read(`${monitor}/livez`)).toMatchObject({ status: 200, text: 'ok\n' });
  const { text: ready } = await eventually('it is ready', async () => {
    const now = await read(`${monitor}/readyz`);
    return now.status === 200 ? now : undefined;
  });
  expect(ready).toBe('[+]certificate ok\n[+]trust ok\n[+]gate ok\n[+]serving ok\n');
  for (let i = 0; i < 3; i++) expect((await fetch(`${sidecar.url}/api/hello`)).status).toBe(200);
  const foreign = await fetch(`${sidecar.url}/api/hello`, { headers: { origin: 'https://evil.test' } });
  expect(foreign.status).toBe(403);

  const { status, type, text } = await eventually('what was asked is counted', async () => {
    const now = await read(`${monitor}/metrics`);
    return now.text.includes('certgate_request_duration_seconds_count 4\n') ? now : undefined;
  });
  expect([status, type]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  expect(text).not.toContain('etl-1');
  const samples = await samplesIn(text);
  expect(Object.fromEntries(samples)).toMatchObject({
    'certgate_healthy{part="certificate"}': 1,
    'certgate_healthy{part="trust"}': 1,
    'certgate_healthy{part="gate"}': 1,
    certgate_requests_in_flight: 0,
    certgate_requests_total: 4,
    certgate_requests_refused_total: 1,
    certgate_upstream_failures_total: 0,
    'certgate_responses_total{class="2xx"}': 3,
    'certgate_responses_total{class="4xx"}': 1,
    'certgate_gate_connection_failures_total{reason="handshake"}': 0,
    'certgate_gate_connection_failures_total{reason="unreachable"}': 0,
    certgate_renewals_total: 0,
    certgate_renewal_failures_total: 0,
    certgate_identity_files_refused: 0,
  });
  expect(samples.get('certgate_gate_handshakes_total')).toBeGreaterThan(1);
  const now = Date.now() / 1000;
  const ends = samples.get('certgate_certificate_expiration_timestamp_seconds{certificate="identity"}') ?? 0;
  expect(Math.abs(ends - now - 5_400)).toBeLessThan(120);
  expect(samples.get('certgate_trust_bundle_confirmed_timestamp_seconds')).toBeGreaterThan(now - 120);
  expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(2 ** 24);
  // The sidecar's own port is its clients'.
  expect((await fetch(`${sidecar.url}/metrics`)).status).toBe(200);
  expect(upstream.heads.at(-1)?.url).toBe('/metrics');
});

test('before a gate that is not there it lives, and is not ready until that is; a lock is told as well', async () => {
  const home = await house();
  const identity = await home.issue('worker/etl-1');
  const upstream = await echo();
  const port = await freePort();
  const sidecar = await home.connect({ port }, identity, MONITOR);
  const monitor = await monitorOf(sidecar);
  const readiness = async () => await read(`${monitor}/readyz`);
  const unready = { status: 503, text: '[+]certificate ok\n[+]trust ok\n[-]gate failed\n[+]serving ok\n' };
  expect(await readiness()).toMatchObject(unready);
  expect((await read(`${monitor}/livez`)).status).toBe(200);
  expect((await fetch(`${sidecar.url}/api/hello`)).status).toBe(503);
  const text = await eventually('that is counted', async () => {
    const now = (await read(`${monitor}/metrics`)).text;
    return now.includes('\ncertgate_upstream_failures_total 1\n') ? now : undefined;
  });
  const failed = await samplesIn(text);
  expect(failed.get('certgate_gate_connection_failures_total{reason="unreachable"}')).toBeGreaterThan(0);
  expect(failed.get('certgate_gate_handshakes_total')).toBe(0);

  await home.serve({ upstream: upstream.url, port });
  // No client asks anything: that monitors do is enough.
  await eventually('it is ready', async () => ((await readiness()).status === 200 ? true : undefined));
  await home.certgate(['lock', 'identity', 'worker/etl-1', '--config', home.config, '--reason', 'a test']);
  expect((await fetch(`${sidecar.url}/api/hello`)).status).toBe(403);
  await eventually('it is not ready', async () => ((await readiness()).status === 503 ? true : undefined));
  expect(await readiness()).toMatchObject(unready);
});

test('one that was told to stop is not ready, and tells monitors so until its last answer is given', async () => {
  const home = await house();
  const identity = await home.issue('worker/etl-1');
  const held = Promise.withResolvers<ServerResponse>();
  const upstream = await echo({ answer: answersHalf('first ', (response) => held.resolve(response)) });
  const gate = await home.serve({ upstream: upstream.url });
  const sidecar = await home.connect(gate, identity, ['--drain', '5m', ...MONITOR]);
  const monitor = await monitorOf(sidecar);
  await eventually('it is ready', async () => ((await read(`${monitor}/readyz`)).status === 200 ? true : undefined));
  const answer = await fetch(`${sidecar.url}/api/slow`);
  const response = await held.promise;
  sidecar.running.signal('SIGTERM');
  await sidecar.logged(({ msg }) => msg === 'draining');
  expect(await read(`${monitor}/readyz`)).toMatchObject({
    status: 503,
    text: '[+]certificate ok\n[+]trust ok\n[+]gate ok\n[-]serving failed\n',
  });
  expect((await read(`${monitor}/livez`)).status).toBe(200);
  await eventually('it tells of that request', async () =>
    (await read(`${monitor}/metrics`)).text.includes('\ncertgate_requests_in_flight 1\n') ? true : undefined,
  );
  response.end('and last');
  expect(await answer.text()).toBe('first and last');
  expect(await within('the sidecar ends', sidecar.running.exited)).toEqual({ code: 0, signal: null });
});

test('an address that is none is refused with what it must be, and one that is taken is named with its flag', async () => {
  const home = await house();
  const identity = await home.issue('worker/etl-1');
  const { port } = await echo();
  const connect = ['connect', '--gate', gateUrl({ port }), '--identity', identity, '--listen', '127.0.0.1:0'];
  const bad = await home.certgate([...connect, '--metrics-listen', 'unix:/run/metrics.sock'], 5);
  expect(bad.stderr).toContain('--metrics-listen');
  expect(bad.stderr).toContain('host:port or [ipv6]:port');
  const taken = await home.certgate([...connect, '--metrics-listen', `127.0.0.1:${port}`], 7);
  expect(taken.stderr).toContain(`cannot listen on 127.0.0.1:${port}`);
  expect(taken.stderr).toContain('--metrics-listen');
});
