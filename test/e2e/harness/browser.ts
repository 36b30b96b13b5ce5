// Chromium as a person has it: a profile whose store holds the CA's root and, when it is given, a certificate of the person's
// own, which it presents to the gate by a policy of a mount of this process's own, so that nothing of the machine changes.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { House } from './house.ts';
import { cleanEnvironment, finish } from './processes.ts';
import { folder } from './scenario.ts';

export const PASSWORD = 'pä ss ☃';

/** Why there is no such browser here; null when there is. */
export function noBrowser(): string | null {
  const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
  const missing = ['chromium', 'certutil', 'pk12util', 'unshare'].filter((program) => !has(program));
  if (missing.length > 0) return `no ${missing.join(', ')} here: scripts/setup browser`;
  return existsSync('/etc/chromium') && spawnSync('unshare', ['--mount', 'true']).status === 0
    ? null
    : 'no /etc/chromium here, or no right to a mount of our own (root has it)';
}

/** What `url` shows, after `ms` of the page's own time, to who has the certificate in `pkcs12` for the gate at `port`. */
export async function pageOf(
  { dir }: Pick<House, 'dir'>,
  port: number,
  url: string,
  pkcs12: string | null,
  ms = 0,
): Promise<string> {
  const profile = await folder();
  const store = join(profile, '.pki/nssdb');
  const env = cleanEnvironment({ HOME: profile });
  const run = async (program: string, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await finish(program, args, { env, cwd: dir });
    if (code !== 0) throw new Error(`${program} ${args.join(' ')}\n${stdout}\n${stderr}`);
    return stdout;
  };
  await mkdir(store, { recursive: true });
  await run('certutil', '-N', '-d', `sql:${store}`, '--empty-password');
  if (pkcs12 !== null) await run('pk12util', '-i', pkcs12, '-d', `sql:${store}`, '-W', PASSWORD);
  const root = ['-n', 'root', '-t', 'C,,', '-i', join(dir, 'certs/root.crt')];
  await run('certutil', '-A', ...root, '-d', `sql:${store}`);
  const policies = join(profile, 'policies/managed');
  await mkdir(policies, { recursive: true });
  const pattern = `https://localhost:${port}`;
  const policy = { AutoSelectCertificateForUrls: [JSON.stringify({ pattern, filter: {} })] };
  await writeFile(join(policies, 'certgate.json'), JSON.stringify(policy));
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${join(profile, 'chromium')}`];
  if (ms > 0) flags.push(`--virtual-time-budget=${ms}`);
  const command = ['chromium', ...flags, '--dump-dom', url];
  const mounted = 'mount --bind "$0" /etc/chromium && exec "$@"';
  return await run('unshare', '--mount', 'sh', '-c', mounted, profile, ...command);
}
