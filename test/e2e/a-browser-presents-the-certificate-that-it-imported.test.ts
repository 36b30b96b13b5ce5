// The way of a person: issue, export, import into the browser's store, open the page. Chromium asks which certificate to
// show; a policy answers for us, in a mount of this process's own, so that nothing of the machine changes.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import type { House, Serving } from './harness/house.ts';
import { cleanEnvironment, finish } from './harness/processes.ts';
import { echo, folder, house } from './harness/scenario.ts';

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const missing = ['chromium', 'certutil', 'pk12util', 'unshare'].filter((program) => !has(program));
const reason =
  missing.length > 0
    ? `no ${missing.join(', ')} here: scripts/setup browser`
    : existsSync('/etc/chromium') && spawnSync('unshare', ['--mount', 'true']).status === 0
      ? null
      : 'no /etc/chromium here, or no right to a mount of our own (root has it)';
const PASSWORD = 'pä ss ☃';

let home: House;
let gate: Serving;

beforeAll(async () => {
  if (reason !== null) return;
  home = await house();
  await home.issue('user/alice');
  gate = await home.serve({ upstream: (await echo()).url });
});

/** What the browser shows of the gate, with a profile that holds the root and, when it is given, a PKCS#12 file. */
async function page(pkcs12: string | null): Promise<string> {
  const profile = await folder();
  const store = join(profile, '.pki/nssdb');
  const env = cleanEnvironment({ HOME: profile });
  const run = async (program: string, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await finish(program, args, { env, cwd: home.dir });
    expect(code, `${program} ${args.join(' ')}\n${stdout}\n${stderr}`).toBe(0);
    return stdout;
  };
  await mkdir(store, { recursive: true });
  await run('certutil', '-N', '-d', `sql:${store}`, '--empty-password');
  if (pkcs12 !== null) await run('pk12util', '-i', pkcs12, '-d', `sql:${store}`, '-W', PASSWORD);
  const root = ['-n', 'root', '-t', 'C,,', '-i', join(home.dir, 'certs/root.crt')];
  await run('certutil', '-A', ...root, '-d', `sql:${store}`);
  const policies = join(profile, 'policies/managed');
  await mkdir(policies, { recursive: true });
  const pattern = `https://localhost:${gate.port}`;
  const policy = { AutoSelectCertificateForUrls: [JSON.stringify({ pattern, filter: {} })] };
  await writeFile(join(policies, 'certgate.json'), JSON.stringify(policy));
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${join(profile, 'chromium')}`];
  const command = ['chromium', ...flags, '--dump-dom', `${pattern}/api/hello`];
  const mounted = 'mount --bind "$0" /etc/chromium && exec "$@"';
  return await run('unshare', '--mount', 'sh', '-c', mounted, profile, ...command);
}

beforeEach((context) => {
  if (reason === null) return;
  process.stderr.write(`skipped: ${context.task.name}: ${reason}\n`);
  context.skip(reason);
});

test.each([
  ['modern', []],
  ['legacy', ['--legacy']],
])(
  'Chromium presents the certificate of a PKCS#12 file in the %s form, and the gate knows who it is',
  async (form, flags) => {
    await writeFile(join(home.dir, 'password'), PASSWORD);
    await home.certgate(['export', 'user-alice', '--out', `${form}.p12`, '--password-file', 'password', ...flags]);
    const shown = await page(join(home.dir, `${form}.p12`));
    expect(shown).toMatch(/x-certgate-identity[^a-z]+user\/alice/);
  },
);

test('Chromium without a certificate gets nothing', async () => {
  const shown = await page(null);
  expect(shown).toContain('certgate: a client certificate is required');
  expect(shown).not.toContain('x-certgate-identity');
});
