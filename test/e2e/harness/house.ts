// A certgate installation in a temporary folder, made and used only by its own commands, as a person would: `init`,
// `issue`, `revoke`, `serve`, `connect`, `run`, in processes of their own. In the end-to-end tests these run what is built
// and published, which also starts in a third of the time that the sources take; the soak runs the sources.

import { mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { cleanEnvironment, type Exit, finish, type Running, start } from './processes.ts';

const SOURCES = resolve(import.meta.dirname, '../../../src/main.ts');
/** A test that ends its gate waits for nobody's WebSocket. */
const AT_ONCE = ['--drain', '0s'];

/** A line of certgate's log: JSON on stderr. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string };

/** A serving certgate. `port` and `address` are those it says it listens on. */
export interface Serving {
  readonly address: string;
  readonly port: number;
  readonly running: Running;
  /** Every log line so far. */
  log(): readonly LogLine[];
  /** The first log line, past or future, that `wanted` accepts. */
  logged(wanted: (line: LogLine) => boolean): Promise<LogLine>;
  stop(): Promise<Exit>;
}

/** What `serve` is told beyond its configuration file. */
export interface GateOptions {
  /** `http://127.0.0.1:PORT` or `unix:/path`. */
  readonly upstream: string;
  readonly port?: number;
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** How many file descriptors it may have. */
  readonly descriptors?: number;
  /** Where it is started, in place of the house. */
  readonly cwd?: string;
}

export interface House {
  readonly dir: string;
  readonly config: string;
  /** Runs a command to its end; fails unless its exit code is `code` (default 0). */
  certgate(args: readonly string[], code?: number): Promise<{ readonly stdout: string; readonly stderr: string }>;
  /** Issues a certificate and answers its folder: tls.crt, tls.key, ca.crt. */
  issue(name: string, ...flags: string[]): Promise<string>;
  serve(options: GateOptions): Promise<Serving>;
  /** `certgate connect`, on a free loopback port. */
  connect(
    gate: Pick<Serving, 'port'>,
    identity: string,
    flags?: readonly string[],
    extraEnv?: NodeJS.ProcessEnv,
  ): Promise<Serving & { readonly url: string }>;
  /** The command line of `certgate run` in front of `command`, for `start` and `finish`. */
  run(
    gate: Pick<Serving, 'port'>,
    identity: string,
    command: readonly string[],
  ): readonly [program: string, args: readonly string[]];
}

/** The program and arguments that run certgate: the build that E2E_CERTGATE names, or the sources. */
export function certgateCommand(args: readonly string[]): readonly [program: string, args: readonly string[]] {
  return [process.execPath, [process.env['E2E_CERTGATE'] ?? SOURCES, ...args]];
}

/** `certgate init` in `dir`, with `initEnv` besides. */
export async function makeHouse(dir: string, initEnv: NodeJS.ProcessEnv = {}): Promise<House> {
  await mkdir(dir, { recursive: true });
  const config = join(dir, 'certgate.yaml');
  const env = cleanEnvironment({ NO_COLOR: '1' });
  const run = async (args: readonly string[], code: number, extra: NodeJS.ProcessEnv = {}) => {
    const ran = await finish(...certgateCommand(args), { env: { ...env, ...extra }, cwd: dir });
    if (ran.code === code) return ran;
    throw new Error(
      `certgate ${args.join(' ')} ended with ${ran.code ?? ran.signal}, not ${code}\n${ran.stdout}\n${ran.stderr}`,
    );
  };
  const certgate: House['certgate'] = async (args, code = 0) => await run(args, code);
  await run(['init', '--dir', dir], 0, initEnv);
  return {
    dir,
    config,
    certgate,
    issue: async (name, ...flags) => {
      const out = join(dir, name.replaceAll('/', '-'));
      await certgate(['issue', name, '--config', config, '--out', out, ...flags]);
      return out;
    },
    serve: async ({ upstream, port = 0, flags = [], env: extra = {}, descriptors, cwd = dir }) =>
      await serving(
        ['serve', '--config', config, '--listen', `127.0.0.1:${port}`, '--upstream', upstream, ...AT_ONCE, ...flags],
        {
          env: { ...env, ...extra },
          cwd,
        },
        descriptors,
      ),
    connect: async (gate, identity, flags = [], extra = {}) => {
      const args = [
        'connect',
        '--gate',
        gateUrl(gate),
        '--identity',
        identity,
        '--listen',
        '127.0.0.1:0',
        ...AT_ONCE,
        ...flags,
      ];
      const sidecar = await serving(args, { env: { ...env, ...extra }, cwd: dir });
      return { ...sidecar, url: `http://127.0.0.1:${sidecar.port}` };
    },
    run: (gate, identity, command) =>
      certgateCommand(['run', '--gate', gateUrl(gate), '--identity', identity, '--', ...command]),
  };
}

/** A gate's address as a client names it. */
export function gateUrl(gate: Pick<Serving, 'port'>): string {
  return `https://127.0.0.1:${gate.port}`;
}

/** Key, chain and trust bundle of an issued identity, PEM. */
export async function credentialsIn(
  folder: string,
): Promise<{ readonly cert: string; readonly key: string; readonly ca: string }> {
  const [cert, key, ca] = await Promise.all(
    ['tls.crt', 'tls.key', 'ca.crt'].map(async (name) => await readFile(join(folder, name), 'utf8')),
  );
  if (cert === undefined || key === undefined || ca === undefined) throw new Error('unreachable');
  return { cert, key, ca };
}

/** The JSON lines among what a process has written to stderr. */
export function logOf(text: string): readonly LogLine[] {
  return text
    .split('\n')
    .map(asLogLine)
    .filter((line) => line !== null);
}

async function serving(
  args: readonly string[],
  options: { env: NodeJS.ProcessEnv; cwd: string },
  descriptors?: number,
): Promise<Serving> {
  const [program, words] = certgateCommand(args);
  // Node raises its soft limit to the hard one: only a low hard limit holds.
  const limited = ['-c', `ulimit -n ${descriptors} && exec "$@"`, 'sh', program, ...words];
  const running = descriptors === undefined ? start(program, words, options) : start('sh', limited, options);
  const find = async (wanted: (line: LogLine) => boolean): Promise<LogLine> => {
    const line = asLogLine(
      await running.line((text) => {
        const parsed = asLogLine(text);
        return parsed !== null && wanted(parsed);
      }),
    );
    if (line === null) throw new Error('unreachable');
    return line;
  };
  const ready = await find((line) => line.msg === 'listening');
  const address = String(ready['address']);
  return {
    address,
    port: Number(address.slice(address.lastIndexOf(':') + 1)),
    running,
    log: () => logOf(running.stderr()),
    logged: find,
    stop: async () => await running.stop(),
  };
}

function asLogLine(text: string): LogLine | null {
  if (!text.startsWith('{')) return null;
  try {
    const parsed = JSON.parse(text) as Record<string, unknown>;
    return typeof parsed['msg'] === 'string' ? (parsed as LogLine) : null;
  } catch {
    return null;
  }
}
