// Starts the parts of the demo: Prefect's server, certgate's CA and gate, a worker in its sidecar. Each function prints
// its step; what it starts is entered into `started` at once, so that it is ended whatever happens next.

import type { Place } from './place.ts';
import { freePort } from './place.ts';
import { finish, printed, type Started, start, until } from './processes.ts';
import { quote, StepFailed, step } from './screen.ts';

/** What is running. */
export interface Demo {
  readonly place: Place;
  readonly started: Started[];
  readonly gate: Started;
  /** The gate's port on 127.0.0.1. */
  readonly port: number;
  /** Where Prefect listens: `http://127.0.0.1:4200`. */
  readonly upstream: string;
}

/** Two cores with a cold disk take 15 s to start Prefect for the first time. */
const PREFECT_BOUND_MS = 180_000;
const GATE_BOUND_MS = 30_000;
const WORKER_BOUND_MS = 90_000;
const REPORT = 'run it once more; if it fails again, report it with the lines above';

/** Starts Prefect on a free port; `ready` waits for it, so that the CA can be made meanwhile. */
export async function startPrefect(
  place: Place,
  started: Started[],
): Promise<{ readonly url: string; ready(): Promise<void> }> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = start('prefect', place.prefect('server', 'start', '--host', '127.0.0.1', '--port', `${port}`), {
    log: place.log('prefect-server'),
    env: place.env,
    cwd: place.dir,
  });
  started.push(server);
  const answers = async (): Promise<true | null> => {
    try {
      return (await fetch(`${url}/api/health`)).ok ? true : null;
    } catch {
      return null;
    }
  };
  return {
    url,
    async ready() {
      await step(`prefect server start, on ${url}`, async () => await until(server, PREFECT_BOUND_MS, answers), {
        remedy: 'look at the log above; rm -rf .cache/prefect makes set-up install Prefect anew',
      });
    },
  };
}

/** Runs one command of certgate and answers its stdout; `words` is told what it wrote to stderr. Fails with both. */
export async function certgate(
  place: Place,
  args: readonly string[],
  words: (text: string) => void = () => {},
): Promise<string> {
  const { code, out, err } = await finish(place.certgate(...args), { env: place.env, cwd: place.dir });
  words(err);
  if (code === 0) return out;
  throw new StepFailed(`certgate ${args.join(' ')}`, `exit code ${code}\n${err || out}`, REPORT);
}

/** A CA, the certificates of a worker and a person, and the gate; answers the gate. */
export async function startGate(
  place: Place,
  started: Started[],
  upstream: string,
): Promise<Pick<Demo, 'gate' | 'port'>> {
  await step('certgate init', async () => await certgate(place, ['init']), {
    done: () => 'certgate init: a CA, a store, certgate.yaml',
    remedy: REPORT,
  });
  for (const name of ['worker/etl-1', 'user/alice']) {
    await step(`certgate issue ${name}`, async () => await certgate(place, ['issue', name]), { remedy: REPORT });
  }
  const work = async () => {
    const gate = start(
      'certgate serve',
      place.certgate('serve', '--listen', '127.0.0.1:0', '--upstream', upstream, '--drain', '1s'),
      { log: place.log('gate'), env: place.env, cwd: place.dir },
    );
    started.push(gate);
    return { gate, port: await until(gate, GATE_BOUND_MS, () => portIn(printed(gate))) };
  };
  return await step('certgate serve', work, {
    done: ({ port }) => `certgate serve, on https://127.0.0.1:${port}`,
    remedy: REPORT,
  });
}

/** The port in the log line that says `listening`; null while there is none. */
function portIn(log: string): number | null {
  const line = log.split('\n').find((text) => text.includes('"listening"'));
  const port = /"address":"[^"]*:(\d+)"/.exec(line ?? '')?.[1];
  return port === undefined ? null : Number(port);
}

/** The sidecar of `identity`'s folder on a free loopback port; answers its URL. */
export async function startConnect({ place, started, port }: Demo, folder: string): Promise<string> {
  const work = async (): Promise<string> => {
    const sidecar = start(
      `certgate connect`,
      place.certgate('connect', '--gate', `https://127.0.0.1:${port}`, '--identity', folder, '--listen', '127.0.0.1:0'),
      { log: place.log(`connect-${folder}`), env: place.env, cwd: place.dir },
    );
    started.push(sidecar);
    return `http://127.0.0.1:${await until(sidecar, GATE_BOUND_MS, () => portIn(printed(sidecar)))}`;
  };
  return await step('certgate connect, for user/alice', work, { remedy: REPORT });
}

/** `certgate run -- prefect worker start`, as worker/etl-1. */
export async function startWorker({ place, started, port }: Demo): Promise<Started> {
  const work = async (): Promise<Started> => {
    const worker = start(
      'the worker',
      place.certgate(
        ...['run', '--gate', `https://127.0.0.1:${port}`, '--identity', 'worker-etl-1', '--drain', '1s', '--'],
        ...place.prefect('worker', 'start', '--pool', 'demo', '--type', 'process', '--name', 'etl-1'),
      ),
      { log: place.log('worker'), env: place.env, cwd: place.dir },
    );
    started.push(worker);
    await until(worker, WORKER_BOUND_MS, () => (/Worker .* started/.test(printed(worker)) ? true : null));
    return worker;
  };
  const worker = await step('certgate run -- prefect worker start', work, {
    done: () => 'certgate run -- prefect worker start, as worker/etl-1',
    remedy: REPORT,
  });
  quote(['it has no password and no key: only http://127.0.0.1 and its sidecar']);
  return worker;
}
