// A real Chromium for a scenario: a profile of its own with what it trusts and the certificates that were imported into it, and
// a policy that answers for us which certificate to show, in a mount of this process's own, so that nothing of the machine
// changes. It can be asked for a page, or be led through one over its debugging protocol.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from './eventually.ts';
import { cleanEnvironment, finish, start } from './processes.ts';
import { atEnd, folder } from './scenario.ts';

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const missing = ['chromium', 'certutil', 'pk12util', 'unshare'].filter((program) => !has(program));

/** Why there is no Chromium to test with; null when there is one. */
export const noChromium =
  missing.length > 0
    ? `no ${missing.join(', ')} here: scripts/setup browser`
    : existsSync('/etc/chromium') && spawnSync('unshare', ['--mount', 'true']).status === 0
      ? null
      : 'no /etc/chromium here, or no right to a mount of our own (root has it)';

/** The provider's pages name a font of somebody else's. */
const OFFLINE = '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost';

export interface Profile {
  /** Certificates (PEM files) of servers' authorities. */
  readonly trusted: readonly string[];
  /** A PKCS#12 file and its password; null for none. */
  readonly pkcs12: { readonly file: string; readonly password: string } | null;
  /** Where the certificate is shown without a question. */
  readonly origin: string;
}

export interface Browser {
  /** The page at `url`, after `ms` of its own time. */
  dump(url: string, ms?: number): Promise<string>;
  /** Opens `url`; what it answers leads it on. */
  lead(url: string): Promise<Tab>;
}

export interface Tab {
  /** The value of an expression in the page, once it is something. */
  value(expression: string): Promise<unknown>;
}

export async function browserWith({ trusted, pkcs12, origin }: Profile): Promise<Browser> {
  const profile = await folder();
  const store = join(profile, '.pki/nssdb');
  const env = cleanEnvironment({ HOME: profile });
  const run = async (program: string, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await finish(program, args, { env, cwd: profile });
    expect(code, `${program} ${args.join(' ')}\n${stdout}\n${stderr}`).toBe(0);
    return stdout;
  };
  await mkdir(store, { recursive: true });
  await run('certutil', '-N', '-d', `sql:${store}`, '--empty-password');
  if (pkcs12 !== null) await run('pk12util', '-i', pkcs12.file, '-d', `sql:${store}`, '-W', pkcs12.password);
  for (const [i, file] of trusted.entries()) {
    await run('certutil', '-A', '-n', `trusted ${i}`, '-t', 'CP,,', '-i', file, '-d', `sql:${store}`);
  }
  const policies = join(profile, 'policies/managed');
  await mkdir(policies, { recursive: true });
  const policy = { AutoSelectCertificateForUrls: [JSON.stringify({ pattern: origin, filter: {} })] };
  await writeFile(join(policies, 'certgate.json'), JSON.stringify(policy));
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${join(profile, 'chromium')}`];
  const mounted = ['--mount', 'sh', '-c', 'mount --bind "$0" /etc/chromium && exec "$@"', profile];
  return {
    dump(url, ms = 0) {
      const time = ms > 0 ? [`--virtual-time-budget=${ms}`] : [];
      return run('unshare', ...mounted, 'chromium', ...flags, ...time, '--dump-dom', url);
    },
    async lead(url) {
      const command = [...mounted, 'chromium', ...flags, '--remote-debugging-port=0', OFFLINE, url];
      const running = start('unshare', command, { env, cwd: profile });
      atEnd(() => running.stop());
      const line = await running.line((text) => text.includes('DevTools listening on ws://'));
      const { host } = new URL(line.slice(line.indexOf('ws://')));
      return { value: (expression) => eventually(expression, () => evaluate(host, expression)) };
    },
  };
}

/** In the page that is open; undefined while there is none, or its value is not yet anything. */
async function evaluate(host: string, expression: string): Promise<unknown> {
  const targets = (await (await fetch(`http://${host}/json/list`)).json()) as Record<string, string>[];
  const page = targets.find(({ type }) => type === 'page')?.['webSocketDebuggerUrl'];
  if (page === undefined) return undefined;
  const socket = new WebSocket(page);
  try {
    return await new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('open', () => {
        const params = { expression, returnByValue: true };
        socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params }));
      });
      socket.on('message', (bytes: Buffer) => {
        const { id, result } = JSON.parse(bytes.toString()) as {
          id?: number;
          result?: { result?: { value?: unknown } };
        };
        if (id === 1) resolve(result?.result?.value ?? undefined);
      });
    });
  } finally {
    socket.close();
  }
}
