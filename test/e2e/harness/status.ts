// A house that publishes revocations, and the programs of others that read them: OpenSSL, nginx, Go, Python. What is not
// on this machine is skipped, with the reason printed.

import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { get as httpsGet } from 'node:https';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'vitest';
import { parse, stringify } from 'yaml';
import { eventually } from './eventually.ts';
import type { House } from './house.ts';
import { freePort } from './ports.ts';
import { cleanEnvironment, finish, start } from './processes.ts';

/** Configures the listener at a free port. Answers its URL. */
export async function publishingFrom(home: House): Promise<string> {
  const port = await freePort();
  const config = parse(await readFile(home.config, 'utf8')) as { serve: object };
  const status = { listen: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}` };
  await writeFile(home.config, stringify({ ...config, serve: { ...config.serve, status } }));
  return status.url;
}

/** The path of `name`; the test is skipped when it is not here. */
export function program(context: TestContext, name: string, remedy: string): string {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  const path = folders.map((folder) => join(folder, name)).find((candidate) => existsSync(candidate));
  if (path === undefined) {
    process.stderr.write(`skipped: ${context.task.name}: no ${name} on this machine: ${remedy}\n`);
    context.skip(`no ${name} on this machine: ${remedy}`);
    throw new Error('skipped');
  }
  return path;
}

/** Runs a program in the house's folder; both of its streams, and whether it ended well. */
export async function ran(home: House, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const done = await finish(command, args, { cwd: home.dir, env: cleanEnvironment(env), boundMs: 240_000 });
  return { ok: done.code === 0, text: `${done.stdout}${done.stderr}`, stdout: done.stdout };
}

/** The issuer's key identifier, as `certgate inspect` says it. */
export async function issuerKeyId(home: House): Promise<string> {
  const { stdout } = await home.certgate(['inspect', join(home.dir, 'certs/issuer.crt'), '--json']);
  const keyId = /"subjectKeyId": "([0-9a-f]+)"/.exec(stdout)?.[1];
  if (keyId === undefined) throw new Error(`no key identifier in ${stdout}`);
  return keyId;
}

export interface Nginx {
  /** What it answers a client with the certificate in `identity` (a folder of `certgate issue`). */
  status(identity: string): Promise<number>;
  /** Has it read its files again, and answers when it has. */
  reload(): Promise<void>;
  stop(): Promise<unknown>;
}

/** nginx that wants client certificates of the house's CA, with `lines` in its server block. */
export async function startNginx(home: House, path: string, lines: readonly string[]): Promise<Nginx> {
  const port = await freePort();
  const dir = home.dir;
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-keyout', 'nginx.key'];
  await ran(home, 'openssl', ['req', '-x509', ...key, '-subj', '/CN=localhost', '-days', '2', '-out', 'nginx.crt']);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${dir}/${kind};`,
  );
  await writeFile(
    join(dir, 'nginx.conf'),
    `daemon off; pid ${dir}/nginx.pid; error_log stderr notice; worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 64; }
http {
  access_log off; ${temporary.join(' ')}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate nginx.crt; ssl_certificate_key nginx.key;
    ssl_client_certificate certs/ca.crt; ssl_verify_client on; ssl_verify_depth 2;
    ssl_session_cache off; ssl_session_tickets off;
    ${lines.join('\n    ')}
    location / { return 200 ok; }
  }
}
`,
  );
  const running = start(path, ['-e', 'stderr', '-p', dir, '-c', 'nginx.conf'], { cwd: dir, env: cleanEnvironment() });
  const workers = (): number => running.stderr().match(/start worker process \d+/g)?.length ?? 0;
  await eventually('nginx runs', () => (workers() > 0 ? true : undefined));
  return {
    status: async (identity) => {
      const [cert, leafKey] = await Promise.all(['tls.crt', 'tls.key'].map((name) => readFile(join(identity, name))));
      return new Promise((resolve, reject) => {
        const tls = { cert, key: leafKey, rejectUnauthorized: false, agent: false } as const;
        httpsGet({ host: '127.0.0.1', port, ...tls }, (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        }).once('error', reject);
      });
    },
    reload: async () => {
      const before = workers();
      running.signal('SIGHUP');
      await eventually('nginx has read its files again', () => {
        const exited = running.stderr().match(/worker process \d+ exited/g)?.length ?? 0;
        return workers() > before && exited >= before ? true : undefined;
      });
    },
    stop: async () => await running.stop('SIGTERM'),
  };
}
