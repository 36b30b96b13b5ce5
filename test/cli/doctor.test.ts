import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveControl } from '../../src/admin/control.ts';
import { checkEnvironment } from '../../src/cli/doctor/environment.ts';
import { checkIdentityFiles } from '../../src/cli/doctor/machine.ts';
import { checkNode } from '../../src/cli/doctor/node.ts';
import { checkClock } from '../../src/cli/doctor/reach.ts';
import { loadConfig } from '../../src/config/load.ts';
import { type Ran, runIn } from './run-in.ts';

let folder: string;
const ran = (...argv: string[]): Promise<Ran> => runIn(folder, argv);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'certgate-doctor-'));
  await ran('init', '--dir', '.');
  await ran('issue', 'worker/etl-1');
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('node', () => {
  it.each([
    ['v22.22.0', 'fail'],
    ['v24.14.9', 'fail'],
    ['v24.15.0', 'warn'],
    ['v24.22.3', 'ok'],
    ['v25.9.0', 'warn'],
    ['v26.13.0', 'warn'],
    ['v26.13.1', 'ok'],
    ['v26.14.0', 'ok'],
    ['v27.0.0', 'ok'],
  ])('%s is %s', (version, level) => {
    expect(checkNode(version)).toMatchObject({ level });
  });
});

describe('the environment of a Prefect client', () => {
  const gate = 'https://gate.test:8443';
  it('is fine when nothing is set', () => {
    expect(checkEnvironment({}, gate).map(({ level }) => level)).toEqual(['ok']);
  });

  it.each([
    ['an API URL around the sidecar', { PREFECT_API_URL: 'http://prefect.test:4200/api' }, 'fail'],
    ['an API URL that is the gate', { PREFECT_API_URL: 'https://gate.test:8443/api' }, 'fail'],
    ['an API URL that is none', { PREFECT_API_URL: 'gate' }, 'fail'],
    ['an API URL without /api', { PREFECT_API_URL: 'http://127.0.0.1:4210' }, 'warn'],
    ['an API key', { PREFECT_API_KEY: 'pnu_x' }, 'warn'],
    ['verification switched off', { PREFECT_API_TLS_INSECURE_SKIP_VERIFY: 'true' }, 'warn'],
    ['headers that the gate removes', { PREFECT_CLIENT_CUSTOM_HEADERS: '{"X-Forwarded-For":"1"}' }, 'warn'],
    ['a proxy that would get loopback requests', { HTTP_PROXY: 'http://proxy.test:3128' }, 'fail'],
    [
      'the same, with an empty no_proxy, which Python goes by',
      { HTTP_PROXY: 'http://proxy.test:3128', NO_PROXY: '127.0.0.1,localhost', no_proxy: '' },
      'fail',
    ],
    ['the same beside a variable that is empty', { HTTP_PROXY: '', ALL_PROXY: 'http://proxy.test:3128' }, 'fail'],
  ])('is told about %s', (_what, env, level) => {
    const found = checkEnvironment(env, gate).filter((finding) => finding.level !== 'ok');
    expect(found.map((finding) => finding.level)).toEqual([level]);
    expect(found[0]?.remedy).not.toBe('');
  });

  it.each([
    [{ PREFECT_API_URL: 'http://127.0.0.1:4210/api' }],
    [{ HTTP_PROXY: 'http://proxy.test:3128', NO_PROXY: '127.0.0.1,localhost' }],
    [{ HTTP_PROXY: 'http://proxy.test:3128', NO_PROXY: '', no_proxy: '127.0.0.1,localhost' }],
    [{ HTTP_PROXY: 'http://proxy.test:3128', http_proxy: '' }],
    [{ PREFECT_CLIENT_CUSTOM_HEADERS: '{"X-Team":"etl"}' }],
    [{ PREFECT_CLIENT_CUSTOM_HEADERS: 'no json' }],
  ])('is fine with %j', (env) => {
    expect(checkEnvironment(env, gate).every(({ level }) => level === 'ok')).toBe(true);
  });

  it('never repeats a secret', () => {
    expect(JSON.stringify(checkEnvironment({ PREFECT_API_KEY: 'pnu_secret' }, gate))).not.toContain('pnu_secret');
  });
});

describe('the clock', () => {
  it('may differ a little from the gate’s, and is named when it is off', () => {
    expect(checkClock(1_000_000, 1_010_000).level).toBe('ok');
    expect(checkClock(1_000_000, 1_090_000)).toMatchObject({
      level: 'fail',
      found: 'this machine is 90 s ahead of the gate',
    });
    expect(checkClock(1_090_000, 1_000_000).found).toContain('behind');
  });
});

describe('a certificate that renews itself', () => {
  it.each([
    ['5m', 60, 'ok'],
    ['5m', 50, 'warn'],
    ['24h', 7_201, 'ok'],
    ['24h', 7_199, 'warn'],
    ['24h', 0, 'fail'],
  ])('of %s is late by how much of its life is left: with %i s it is %s', async (ttl, left, level) => {
    const out = `worker-${ttl}`;
    await ran('issue', `worker/of-${ttl}`, '--ttl', ttl, '--out', out, '--force');
    const dir = join(folder, out);
    const { validToDate } = new X509Certificate(readFileSync(join(dir, 'tls.crt')));
    const flags = { 'connect.gate': 'https://gate.test:8443', 'connect.identityDir': dir };
    const config = loadConfig({ cwd: folder, env: {}, flags });
    const found = checkIdentityFiles(config, validToDate.getTime() - left * 1000);
    const finding = found.find(({ check }) => check === 'identity certificate');
    expect(finding?.level).toBe(level);
    if (level === 'warn') {
      expect(finding?.remedy).toBe(`renew it: certgate renew --gate https://gate.test:8443 --identity ${dir}`);
    }
  });
});

describe('certgate doctor', () => {
  it('says of the CA that is here whether it is well, and where the rest is said', async () => {
    expect((await ran('doctor')).out).toContain('ok    CA: is well, by ');
    const key = join(folder, 'certs', 'issuer.key');
    chmodSync(key, 0o644);
    const { code, out } = await ran('doctor');
    chmodSync(key, 0o600);
    expect(code).toBe(1);
    const found = `failed: 1, warnings: 0, first file mode: ${key} is 0644: others can read it`;
    expect(out).toContain(`fail  CA: ${found}\n      → certgate ca check\n`);
  });

  it('says so where there is nothing to judge', async () => {
    writeFileSync(join(folder, 'empty.yaml'), 'certsDir: none\n');
    const { code, out } = await ran('doctor', '--config', 'empty.yaml');
    expect(code).toBe(0);
    const found = `there is no CA in ${join(folder, 'none')}, and no gate that this machine connects to`;
    expect(out).toContain(`warn  certgate: ${found}\n      → say what to check: --config FILE`);
    expect((await ran('doctor')).out).not.toContain('warn  certgate:');
  });

  it('says that no gate answers where the sidecar would look for it', async () => {
    // Taken for a moment and given back: nothing listens on it.
    const server = createServer();
    await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(null)));
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    await new Promise((resolve) => server.close(resolve));
    const { code, out } = await ran('doctor', '--gate', `https://127.0.0.1:${port}`, '--identity', 'worker-etl-1');
    expect(code).toBe(1);
    expect(out).toContain(`fail  gate: https://127.0.0.1:${port}:`);
    expect(out).toContain('ok    identity certificate:');
  });

  it('says that the gate of this machine runs', async () => {
    const locks = { standing: 0, everyone: false };
    const health = { status: 'ok', store: true, audit: true, upstream: true, connections: 0, metrics: {}, locks };
    const path = join(folder, 'state', 'control.sock');
    const control = await serveControl(path, { 'GET /health': async () => health });
    const { out } = await ran('doctor');
    await control.close();
    expect(out).toContain('ok    own gate: runs');
  });

  it('prints every finding as JSON', async () => {
    const { out } = await ran('doctor', '--json');
    const findings = JSON.parse(out) as Array<Record<string, string>>;
    expect(findings.map(({ check }) => check)).toContain('CA');
    for (const finding of findings) expect(Object.keys(finding)).toEqual(['check', 'level', 'found', 'remedy']);
  });
});

describe('the policy', () => {
  const said = async (text: string, mode = 0o644): Promise<string> => {
    writeFileSync(join(folder, 'policy.yaml'), text);
    chmodSync(join(folder, 'policy.yaml'), mode);
    writeFileSync(join(folder, 'with.yaml'), 'serve: {policy: policy.yaml}\n');
    const { out } = await ran('doctor', '--config', 'with.yaml');
    return /^.*policy: .*$/m.exec(out)?.[0] ?? '';
  };

  it('is missed where a gate may run', async () => {
    expect((await ran('doctor')).out).toContain('warn  policy: there is none: every admitted client');
  });

  it.each([
    ['bindings: [{role: Viewer, identity: user/a}]', 'ok    policy: policy.yaml is enforced'],
    ['mode: observe\nbindings: [{role: Viewer, identity: user/a}]', 'warn  policy: policy.yaml only observes'],
    ['bindings: []', 'warn  policy: policy.yaml gives nobody a role'],
    ['mode: x\nbindings: 1', 'fail  policy: policy.yaml:1:7: mode is "x" (and '],
  ])('%s: %s', async (text, found) => expect(await said(text)).toContain(found));

  it('that others can write is a failure', async () => {
    expect(await said('bindings: [{role: Viewer, identity: user/a}]', 0o666)).toContain('can be written by others');
  });
});
