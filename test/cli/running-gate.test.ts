// What a command tells of a gate is what the gate that runs on this machine says of itself, and the configuration's where
// none runs. The gate is played; test/e2e/commands-speak-of-the-gate-as-it-runs.test.ts has a real one.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type ControlRoutes, type ControlServer, serveControl } from '../../src/admin/control.ts';
import { runIn } from './run-in.ts';

let folder: string;
let control: ControlServer | null = null;

const ran = async (...argv: string[]): Promise<string> => (await runIn(folder, argv)).all;
const answers = async (routes: ControlRoutes): Promise<void> => {
  control = await serveControl(join(folder, 'state', 'control.sock'), routes);
};
const settings = (of: { readonly policy: string | null; readonly passed?: string | null }) => ({
  'GET /settings': async () => ({
    listen: '127.0.0.1:9443',
    upstream: 'http://127.0.0.1:1',
    names: ['gate.example'],
    ...of,
  }),
});

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'certgate-running-'));
  await ran('init', '--name', 'gate.example');
  writeFileSync(join(folder, 'flags.yaml'), 'bindings:\n  - {role: Viewer, identity: user/alice}\n');
});
afterEach(async () => {
  await control?.close();
  control = null;
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('a gate that runs with flags of its own', () => {
  const policy = () => join(folder, 'flags.yaml');

  test('is the one that a token leads to, and whose policy --pool is held against', async () => {
    await answers(settings({ policy: policy() }));
    const said = await ran('token', 'create', 'worker/etl-1', '--pool', 'etl');
    expect(said).toContain('its machine must reach https://gate.example:9443');
    expect(said).toContain('by the gate that runs here, not by the configuration: serve.listen 127.0.0.1:9443\n');
    expect(said).toContain('put this into the policy, at flags.yaml:');
  });

  test('is the one that doctor judges, and doctor says so', async () => {
    await answers(settings({ policy: policy() }));
    const said = await ran('doctor');
    expect(said).toContain('ok    policy: flags.yaml is enforced');
    expect(said).toContain("fail  upstream: http://127.0.0.1:1 can't be reached");
    expect(said).toContain(
      `ok    own gate: is checked as it runs, not as it is configured: serve.listen 127.0.0.1:9443, serve.upstream http://127.0.0.1:1, serve.policy ${policy()}`,
    );
  });

  test('is the one whose decisions are explained', async () => {
    await answers(settings({ policy: policy() }));
    const said = await ran('policy', 'explain', 'user/alice', 'GET', '/api/flows/x');
    expect(said).toContain('the policy of the gate that runs here, not of the configuration: flags.yaml');
    expect(said).toContain('has Viewer, bound at flags.yaml:2:5');
  });
});

describe('a gate whose port systemd keeps', () => {
  const listen = (at: string) =>
    writeFileSync(
      join(folder, 'passed.yaml'),
      `serve: {listen: '${at}', names: [gate.example], upstream: 'http://127.0.0.1:1'}\n`,
    );
  const token = () => ran('token', 'create', 'worker/etl-1', '--config', 'passed.yaml');

  test('says where that is, and is no other than configured', async () => {
    listen('systemd:gate');
    await answers(settings({ policy: null, passed: 'systemd:gate' }));
    const said = await token();
    expect(said).toContain('its machine must reach https://gate.example:9443');
    expect(said).not.toContain('not by the configuration');
    expect(await ran('doctor', '--config', 'passed.yaml')).not.toContain('not as it is configured');
  });

  test.each([
    ['127.0.0.1:8443', 'systemd:gate'],
    ['systemd:gate', 'systemd:other'],
    ['systemd:gate', null],
  ])('is another than configured: %s, and passed is %s', async (configured, passed) => {
    listen(configured);
    await answers(settings({ policy: null, passed }));
    expect(await token()).toContain(
      'by the gate that runs here, not by the configuration: serve.listen 127.0.0.1:9443',
    );
  });

  test('that does not run leaves open where a token leads to, and no guess is made', async () => {
    listen('systemd:gate');
    const said = await token();
    expect(said).toContain(
      'serve.listen is systemd:gate, which says no port, and no gate runs here that could tell it',
    );
    expect(said).not.toContain('cgt1_');
    const named = await ran(
      'token',
      'create',
      'worker/etl-1',
      '--config',
      'passed.yaml',
      '--gate',
      'https://g.example:443',
    );
    expect(named).toContain('its machine must reach https://g.example;');
  });
});

test.each([
  ['none runs', null],
  ['it is older than the question', { 'GET /health': async () => null }],
])('what is configured counts where %s', async (_case, routes) => {
  if (routes !== null) await answers(routes);
  const said = await ran('token', 'create', 'worker/etl-1');
  expect(said).toContain('its machine must reach https://gate.example:8443');
  expect(said).not.toContain('the gate that runs here');
  expect(await ran('policy', 'explain', 'user/alice', 'GET', '/api/flows/x')).toContain('[CG_POLICY_NONE]');
});
