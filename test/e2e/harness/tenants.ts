// Tenants of one Prefect behind one gate: two pools with a worker each, two teams with a tag each, and an owner; how each asks,
// deploys and works. For the tests of what a scope lets through.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { whenAvailable } from './api.ts';
import type { Serving } from './house.ts';
import { clientEnvironment, driver, prefectPrograms } from './prefect.ts';
import { PROCESS_TEMPLATE } from './process-template.ts';
import { finish, type Running, start } from './processes.ts';
import { atEnd, folder, house, sharedPrefect } from './scenario.ts';

const POLICY = `bindings:
  - {role: Owner, identity: user/root}
  - {role: Worker, match: 'worker/etl-.*', pools: [etl]}
  - {role: Worker, match: 'worker/ml-.*', pools: [ml]}
  - {role: Developer, identity: user/alice, pools: [etl], tag: team-a}
  - {role: Developer, identity: user/bob, pools: [ml], tag: team-b}
  - {role: Developer, identity: user/carol, tag: team-a}
  - {role: Developer, identity: user/dave, tag: team-b}
`;
const CLIENTS = [
  'user/root',
  'user/alice',
  'user/bob',
  'user/carol',
  'user/dave',
  'worker/etl-2',
  'worker/ml-2',
] as const;

export type Client = (typeof CLIENTS)[number];
export type Pool = 'etl' | 'ml';
/** Each pool with the Developer and the tag of its team. */
export const TEAMS = [
  ['etl', 'user/alice', 'team-a'],
  ['ml', 'user/bob', 'team-b'],
] as const satisfies ReadonlyArray<readonly [Pool, Client, string]>;

export interface Tenants {
  readonly gate: Serving;
  /** Asks as `name`; `path` is below /api, `type` what the body, which is JSON, is said to be. */
  call(
    name: Client,
    method: string,
    path: string,
    body?: unknown,
    type?: string,
  ): Promise<{ status: number; said: string }>;
  /** The same where it has to be answered well: the answer's JSON. */
  json<T>(name: Client, method: string, path: string, body?: unknown): Promise<T>;
  /** Runs a Python script of test/e2e/python, or one of Prefect's programs, as `name`. */
  run(name: Client, program: string, args: readonly string[]): Promise<{ code: number | null; said: string }>;
  /** Deploys one of scoped_work.py's flows for `pool` with `tag`; the deployment's id. */
  deploy(name: Client, flow: string, pool: Pool, tag: string): Promise<string>;
}

/** A gate with the policy, sidecars of all clients, both pools, and a worker of each. */
export async function openTenants(): Promise<Tenants> {
  const [home, temporary, programs] = await Promise.all([house(), folder(), prefectPrograms()]);
  const policyFile = join(home.dir, 'policy.yaml');
  await writeFile(policyFile, POLICY);
  const gate = await home.serve({ upstream: sharedPrefect(), flags: ['--policy', policyFile] });
  const urls = new Map<Client, string>();
  for (const name of CLIENTS) urls.set(name, (await home.connect(gate, await home.issue(name))).url);
  const environment = (name: Client): NodeJS.ProcessEnv =>
    clientEnvironment(urls.get(name) ?? '', join(temporary, name.replace('/', '-')), { COLUMNS: '400' });

  const call: Tenants['call'] = async (name, method, path, body, type = 'application/json') =>
    // SQLite collides at times; then the gate, which asks Prefect too, says 503 as well.
    await whenAvailable(
      async () => {
        const answer = await fetch(`${urls.get(name)}/api${path}`, {
          method,
          redirect: 'manual',
          ...(body !== undefined && { headers: { 'content-type': type }, body: JSON.stringify(body) }),
        });
        return { status: answer.status, said: await answer.text() };
      },
      ({ status }) => ({ status, maintenance: false }),
    );
  const run: Tenants['run'] = async (name, program, args) => {
    const ran = await finish(join(programs, program), args, { env: environment(name), boundMs: 280_000 });
    return { code: ran.code, said: ran.stdout + ran.stderr };
  };
  for (const name of ['etl', 'ml']) {
    const pool = { name, type: 'process', base_job_template: PROCESS_TEMPLATE };
    await call('user/root', 'POST', '/work_pools/', pool);
  }
  const workerOf = async (pool: Pool): Promise<Running> => {
    const env = clientEnvironment(null, join(temporary, `${pool}-worker`), { PREFECT_WORKER_QUERY_SECONDS: '1' });
    const command = [join(programs, 'prefect'), 'worker', 'start', '--pool', pool, '--type', 'process'];
    const running = start(...home.run(gate, await home.issue(`worker/${pool}-1`), command), { env });
    atEnd(async () => await running.stop('SIGTERM'));
    return running;
  };
  await Promise.all([workerOf('etl'), workerOf('ml')]);
  return {
    gate,
    call,
    run,
    json: async <T>(name: Client, method: string, path: string, body?: unknown) => {
      const { status, said } = await call(name, method, path, body);
      if (status >= 300) throw new Error(`${method} ${path} by ${name}: ${status} ${said}`);
      return (said === '' ? null : JSON.parse(said)) as T;
    },
    deploy: async (name, flow, pool, tag) => {
      const { code, said } = await run(name, 'python', [driver('scoped_work'), flow, pool, tag]);
      if (code !== 0) throw new Error(said);
      return said.trim().split('\n').at(-1) ?? '';
    },
  };
}
