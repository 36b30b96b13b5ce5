// The main job: a worker and a person use Prefect through their sidecars; then the run's logs as the person reads them
// and the gate's record of who did what.

import { join } from 'node:path';
import { finish, type Started } from './processes.ts';
import { columns, oneLine, quote, StepFailed, step, title } from './screen.ts';
import { certgate, type Demo, startWorker } from './start.ts';

interface Line {
  readonly what: string;
  readonly name?: string;
  readonly state?: string;
  readonly tasks?: number;
  readonly count?: number;
  readonly lines?: readonly (readonly [time: string, message: string])[];
}

interface Act {
  readonly source: 'gate' | 'ca';
  readonly identity?: string | null;
  readonly operation?: string | null;
  readonly object?: string | null;
  readonly decision?: string;
  readonly method?: string;
  readonly path?: string;
}

/** Answers the worker, at work. */
export async function showWork(demo: Demo): Promise<Started> {
  title('Work: worker/etl-1 and user/alice, each through a sidecar of its own');
  const worker = await startWorker(demo);
  await deployAndRun(demo);
  await showRecord(demo);
  return worker;
}

/** One Python process, alice's: deploys, runs, reads back. Each of its JSON lines ends a step. */
async function deployAndRun({ place, port }: Demo): Promise<void> {
  const waiting = new Map<string, (line: Line) => void>();
  const arrived = new Map<string, Line>();
  const onLine = (text: string): void => {
    if (!text.startsWith('{')) return;
    const line = JSON.parse(text) as Line;
    arrived.set(line.what, line);
    waiting.get(line.what)?.(line);
  };
  const command = place.certgate(
    ...['run', '--gate', `https://127.0.0.1:${port}`, '--identity', 'user-alice', '--'],
    ...place.python(join(import.meta.dirname, 'deploy_and_run.py'), 'demo'),
  );
  const ended = finish(command, { env: place.env, cwd: place.dir, onLine });
  const failed = ended.then(({ code, out, err }): never => {
    const tail = (err || out).trimEnd().split('\n').slice(-12).join('\n');
    throw new StepFailed('the flow of user/alice', `exit code ${code}\n${tail}`, 'look at the logs above');
  });
  failed.catch(() => {});
  const line = async (what: string): Promise<Line> => {
    const known = arrived.get(what);
    return known ?? (await Promise.race([new Promise<Line>((resolve) => waiting.set(what, resolve)), failed]));
  };
  const remedy = `look at ${place.log('worker')} and ${place.log('gate')}`;

  await step('user/alice deploys the flow etl', async () => await line('deployed'), { remedy });
  const run = await step('worker/etl-1 runs it', async () => await line('run'), {
    done: ({ name, state, tasks }) => `worker/etl-1 runs it: ${name ?? ''}, ${tasks ?? 0} tasks, ${state ?? ''}`,
    remedy,
  });
  if (run.state !== 'Completed') throw new StepFailed('the flow run', `it ended as ${run.state ?? 'unknown'}`, remedy);
  const logs = await step("user/alice reads the run's logs", async () => await line('logs'), {
    done: ({ count }) => `user/alice reads the run's logs: ${count ?? 0} lines; the flow's own:`,
    remedy,
  });
  quote((logs.lines ?? []).map(([time, message]) => `${time}  ${oneLine(message, 70)}`));
  await step('user/alice reads its events', async () => await line('events'), {
    done: ({ count }) => `user/alice reads its events: ${count ?? 0} of the flow's own`,
    remedy,
  });
  await ended;
}

/** Who did what, by the gate's own record, the same acts counted together. */
async function showRecord({ place }: Demo): Promise<void> {
  const text = await step('certgate audit', async () => await certgate(place, ['audit', '--json', '--limit', '1000']), {
    done: () => "certgate audit: who did what, by the gate's own record",
    remedy: 'look at state/audit.jsonl',
  });
  const counted = new Map<string, number>();
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const act = JSON.parse(line) as Act;
    if (act.source !== 'gate') continue;
    const what = act.operation ?? `${act.method ?? ''} ${act.path ?? ''}`;
    const key = JSON.stringify([act.identity ?? '-', what, act.decision ?? '']);
    counted.set(key, (counted.get(key) ?? 0) + 1);
  }
  const rows = [...counted].map(([key, times]) => [...(JSON.parse(key) as string[]), `${times} x`]);
  quote(columns(rows.toSorted((a, b) => (a[0] ?? '').localeCompare(b[0] ?? ''))));
}
