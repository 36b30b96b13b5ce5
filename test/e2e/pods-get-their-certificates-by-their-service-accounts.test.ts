// What the pods of deploy/ do, by what their manifests say, before a real Prefect: nothing secret is copied anywhere. Where
// helm is not built, the chart's pods are skipped, and the title says so.

import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { applied, rendered, renderedSidecar } from '../deploy/documents.ts';
import { type JobTemplate, jobManifest, type PodSpec, podSpecs, settingsOf } from '../deploy/pods.ts';
import { putTogether, SERVER, WORKER } from '../deploy/prefect-charts.ts';
import { helm, root, skippedFor } from '../deploy/tools.ts';
import { startApiServer } from './harness/api-server.ts';
import { sign } from './harness/certificates.ts';
import { paste, shellBlocks } from './harness/documented.ts';
import { eventually } from './harness/eventually.ts';
import { logOf } from './harness/house.ts';
import { type Cluster, type PodOptions, startPod } from './harness/pod.ts';
import { freePort } from './harness/ports.ts';
import { clientEnvironment, driver, prefectPrograms } from './harness/prefect.ts';
import { finish } from './harness/processes.ts';
import { folder, sharedPrefect } from './harness/scenario.ts';

const HOST = 'certgate.prefect.svc.cluster.local';

/** A cluster without pods: the settings of the gate, and addresses of this machine in place of the cluster's. */
async function cluster(
  documents: readonly unknown[],
  pool: string,
): Promise<Cluster & { gatePort: number; sidecarPort: number }> {
  const [api, gatePort] = [await startApiServer(await folder()), await freePort()];
  const [sidecarPort, metricsPort] = [await freePort(), await freePort()];
  const here = (text: string): string =>
    text
      .replaceAll(`${HOST}:8443`, `127.0.0.1:${gatePort}`)
      .replaceAll('kubernetes.default.svc/', `${api.address}/`)
      .replaceAll(/http:\/\/(?:127\.0\.0\.1|prefect-server):4200/g, sharedPrefect())
      .replaceAll(/\b4210\b/g, String(sidecarPort))
      .replaceAll('0.0.0.0:9464', '127.0.0.1:9464')
      .replaceAll(/\b9464\b/g, String(metricsPort))
      .replaceAll('"--pool","etl"', `"--pool","${pool}"`);
  const configMaps = new Map<string, Readonly<Record<string, string>>>([
    // The port is a free one, of this machine only; and a restart waits for nobody's WebSocket.
    [
      'certgate',
      { ...settingsOf(documents), CERTGATE_SERVE_LISTEN: `127.0.0.1:${gatePort}`, CERTGATE_SERVE_DRAIN: '0s' },
    ],
    ['kube-root-ca.crt', { 'ca.crt': api.caPem }],
  ]);
  return { api, here, configMaps, gatePort, sidecarPort };
}

async function podOf(documents: readonly unknown[], serviceAccount: string, namespace: string, name: string) {
  const spec = podSpecs(documents).find((one) => one.serviceAccountName === serviceAccount);
  if (spec === undefined) throw new Error(`no pod of ${serviceAccount}`);
  return { spec, namespace, serviceAccount, name, dir: await folder() } satisfies PodOptions & { spec: PodSpec };
}

const serialIn = async (dir: string): Promise<string> =>
  new X509Certificate(await readFile(join(dir, 'identity/tls.crt'))).serialNumber.toLowerCase();

test('by the manifests a worker enrols, works, renews, and outlives a restart of its gate', async () => {
  await walk(() => applied, 'prefect-work', 'pods-of-manifests');
}, 300_000);

test.skipIf(helm.missing !== null)(
  `by the chart a worker enrols, works, renews, and outlives a restart of its gate${skippedFor(helm)}`,
  async () => {
    await walk(rendered, 'prefect', 'pods-of-chart');
  },
  300_000,
);

test.skipIf(helm.missing !== null)(
  `by the values for Prefect’s charts the worker’s sidecar finds the gate in the server’s pod${skippedFor(helm)}`,
  async () => {
    const all = [...renderedSidecar(), putTogether(SERVER), putTogether(WORKER)];
    const it = await cluster(all, 'etl');
    const server = await podOf(all, 'prefect-server', 'prefect', 'prefect-server-7c9d');
    const gate = await startPod(it, { ...server, without: ['prefect-server'] });
    const { stdout: ca } = await gate.exec('certgate', ['cat', 'certs/ca.crt']);
    it.configMaps.set('certgate-ca', { 'ca.crt': ca });
    const worker = await podOf(all, 'worker-etl-1', 'prefect-work', 'worker-etl-1-5d8f');
    await startPod(it, { ...worker, without: ['prefect-worker'] });
    expect((await fetch(`http://127.0.0.1:${it.sidecarPort}/api/health`)).status).toBe(200);
    const { stdout } = await gate.exec('certgate', ['certgate', 'list', 'worker/etl-1', '--json']);
    expect((JSON.parse(stdout) as { certificates: unknown[] }).certificates).toHaveLength(1);
  },
  300_000,
);

async function walk(documents: () => readonly unknown[], namespace: string, pool: string): Promise<void> {
  const all = documents();
  const it = await cluster(all, pool);
  const gate = await startPod(it, {
    ...(await podOf(all, 'certgate', 'prefect', 'certgate-0')),
    without: ['prefect-server'],
  });
  const certgate = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await gate.exec('certgate', ['certgate', ...args]);
    expect(code, stderr).toBe(0);
    return stdout;
  };
  const certificatesOf = async (name: string) =>
    (JSON.parse(await certgate('list', name, '--json')) as { certificates: { serial: string }[] }).certificates;

  // What the notes and docs/deploy.md have an operator do, once.
  const { stdout: ca } = await gate.exec('certgate', ['cat', 'certs/ca.crt']);
  it.configMaps.set('certgate-ca', { 'ca.crt': ca });
  const options = await podOf(all, 'worker-etl-1', namespace, 'worker-etl-1-5d8f');
  const worker = await startPod(it, options);
  const identity = worker.volume('identity');
  const first = await serialIn(identity);
  expect((await certificatesOf('worker/etl-1')).map(({ serial }) => serial)).toEqual([first]);
  expect(await certgate('audit', '--identity', 'worker/etl-1', '--json')).toContain(
    `system:serviceaccount:${namespace}:worker-etl-1`,
  );
  expect(it.api.given).toBe(1);

  // The sidecar is killed when its certificate is near its end, and its token is another by then: it goes on with what is in
  // its folder, and renews that.
  await worker.rotateTokens();
  const notAfter = Math.floor(Date.now() / 1000) * 1000 + 30_000;
  const leaf = { identity: 'worker/etl-1', notBefore: notAfter - 300_000, notAfter, recorded: true };
  const near = await sign({ dir: gate.volume(gateVolume(all)) }, leaf);
  await writeFile(join(identity, 'identity/tls.key'), near.key);
  await writeFile(join(identity, 'identity/tls.crt'), near.cert);
  const old = await serialIn(identity);
  await worker.restart('certgate', 'SIGKILL');
  const renewed = await eventually('the next certificate', async () => {
    const serial = await serialIn(identity);
    return serial === old ? undefined : serial;
  });
  const next = (await certificatesOf('worker/etl-1')).map(({ serial }) => serial);
  expect(next.toSorted()).toEqual([first, old, renewed].toSorted());

  // The gate starts again, as another pod on the same volume would. The worker was told nothing, and works.
  await gate.restart('certgate', 'SIGTERM');
  const programs = await prefectPrograms();
  const ran = await finish(join(programs, 'python'), [driver('deploy_and_run'), pool], {
    env: clientEnvironment(sharedPrefect(), await folder()),
    boundMs: 150_000,
  });
  expect(ran, `${ran.stderr}\n${worker.container('worker').stderr()}`).toMatchObject({ code: 0 });
  expect(JSON.parse(ran.stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({ state: 'Completed' });
  const did = await readFile(join(gate.volume(gateVolume(all)), 'state/audit.jsonl'), 'utf8');
  const wrote = did.split('\n').filter((line) => line.includes('"set_flow_run_state"'));
  expect(wrote.length).toBeGreaterThan(0);
  expect(wrote.every((line) => line.includes('"worker/etl-1"'))).toBe(true);

  // The pod goes, and another takes its place: it has a folder that is empty, and a token of its own.
  expect(await worker.stop()).toEqual([{ code: 0, signal: null }]);
  const second = await startPod(it, {
    ...options,
    name: 'worker-etl-1-9c2b',
    dir: await folder(),
    without: ['worker'],
  });
  const replaced = await serialIn(second.volume('identity'));
  expect((await certificatesOf('worker/etl-1')).map(({ serial }) => serial)).toEqual(
    expect.arrayContaining([first, old, renewed, replaced]),
  );
  expect(JSON.parse(await certgate('locks', '--json'))).toMatchObject({ locks: [] });
}

test('each job is called after its pod, by the base job template, and a pod of no rule is refused', async () => {
  const it = await cluster(applied, 'none');
  const gate = await startPod(it, {
    ...(await podOf(applied, 'certgate', 'prefect', 'gate')),
    without: ['prefect-server'],
  });
  const { stdout: ca } = await gate.exec('certgate', ['cat', 'certs/ca.crt']);
  it.configMaps.set('certgate-ca', { 'ca.crt': ca });
  const options = await podOf(applied, 'etl-job', 'prefect-work', 'curious-otter-x7k2p-8vq4r');
  const job = await startPod(it, { ...options, without: ['prefect-job'] });
  expect((await fetch(`http://127.0.0.1:${it.sidecarPort}/api/health`)).status).toBe(200);
  const list = await gate.exec('certgate', ['certgate', 'list', '--json']);
  const { certificates } = JSON.parse(list.stdout) as { certificates: { identity: string }[] };
  expect(certificates.map((one) => one.identity)).toContain('worker/etl-job/curious-otter-x7k2p-8vq4r');
  // So the kubelet can end the job's pod: its sidecar goes when it is told to.
  expect(await job.stop()).toEqual([{ code: 0, signal: null }]);

  const stranger = { ...options, namespace: 'default', dir: await folder(), without: ['prefect-job'] };
  await expect(startPod(it, stranger)).rejects.toThrow(/CG_ENROLL_REFUSED/);
  const refused = logOf(gate.container('certgate').stderr()).filter(({ msg }) => msg === 'enrolment refused');
  expect(JSON.stringify(refused)).toContain('system:serviceaccount:default:etl-job');
});

test('Prefect takes the base job template, by the command of the docs, and its worker gets the sidecar out of it', async () => {
  const [commands = ''] = shellBlocks('docs/deploy.md', 'Jobs of a Kubernetes work pool');
  const create = commands.split('\n').find((line) => line.startsWith('prefect work-pool create etl ')) ?? '';
  const env = clientEnvironment(sharedPrefect(), await folder());
  const PATH = [await prefectPrograms(), env['PATH']].join(delimiter);
  const said = await paste(create.replace('create etl ', 'create pods-of-jobs '), { cwd: root, env: { ...env, PATH } });
  expect(said.stdout).toContain('pods-of-jobs');
  const answer = await fetch(`${sharedPrefect()}/api/work_pools/pods-of-jobs`);
  const pool = (await answer.json()) as { type: string; base_job_template: JobTemplate };
  expect(pool.type).toBe('kubernetes');
  const [pod] = podSpecs([jobManifest(pool.base_job_template)]);
  expect(pod?.initContainers?.map(({ name, restartPolicy }) => [name, restartPolicy])).toEqual([
    ['certgate', 'Always'],
  ]);
});

/** Where the gate's pod has the CA. */
function gateVolume(documents: readonly unknown[]): string {
  const spec = podSpecs(documents).find((one) => one.serviceAccountName === 'certgate');
  return spec?.volumes?.find(({ persistentVolumeClaim }) => persistentVolumeClaim !== undefined)?.name ?? '';
}
