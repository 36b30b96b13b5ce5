import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { compileClaimRule, identifyClaims } from '../../src/identity/claim-rules.ts';
import { KUBERNETES } from '../enroll/published-tokens.ts';
import { unknownWords } from './command-lines.ts';
import {
  applied,
  kustomizations,
  manifests,
  manifestsOf,
  read,
  rendered,
  renderedSidecar,
  template,
} from './documents.ts';
import { containersOf, jobManifest, type PodSpec, podSpecs, problemsOf, settingsOf } from './pods.ts';
import { putTogether, SERVER, WORKER } from './prefect-charts.ts';
import { deploy, helm, kubernetesValidate, skippedFor } from './tools.ts';

/** The oldest with native sidecars by default, and the newest. */
const VERSIONS = ['1.29', '1.37'];
const place = mkdtempSync(join(tmpdir(), 'certgate-deploy-'));
afterAll(() => rmSync(place, { recursive: true }));
const hasChart = helm.missing === null;

describe(`the manifests${skippedFor(kubernetesValidate)}`, () => {
  test.skipIf(kubernetesValidate.missing !== null).each(VERSIONS)(
    'are right by the schemas of Kubernetes %s',
    (version) => {
      const job = join(place, 'job.yaml');
      writeFileSync(job, JSON.stringify(jobManifest(template)));
      const files = manifests.map((path) => join(deploy, path));
      const { code, said } = kubernetesValidate.run(['-k', version, '--strict', '--quiet', job, ...files]);
      expect([code, said]).toEqual([0, '']);
    },
  );
});

test('a kustomization names every file of its folder, and the image where there is one', () => {
  expect(kustomizations.length).toBeGreaterThan(2);
  for (const folder of kustomizations) {
    const { resources, images = [] } = parse(read(`kubernetes/${folder}/kustomization.yaml`)) as {
      resources: string[];
      images?: { name: string }[];
    };
    const files = manifestsOf(folder);
    expect(resources.toSorted()).toEqual(files.map((path) => path.split('/').at(-1) ?? '').toSorted());
    const used = files.some((path) => read(path).includes('image: certgate'));
    expect(images.map(({ name }) => name)).toEqual(used ? ['certgate'] : []);
  }
});

describe('every pod', () => {
  const pods: readonly PodSpec[] = podSpecs([...applied, ...(hasChart ? rendered() : [])]);

  test(`runs without rights, on a file system that it cannot write, within limits${skippedFor(helm)}`, () => {
    expect(pods.length).toBe(hasChart ? 6 : 3);
    expect(pods.flatMap(problemsOf)).toEqual([]);
  });

  test('is not ended by its probes for being slow: they start no Node, or have long to; none asks a port that is not there', () => {
    const all = [...pods, ...podSpecs([putTogether(SERVER), putTogether(WORKER)])];
    const ours = all.flatMap(containersOf).filter(({ image }) => image.includes('certgate'));
    const lasting = ours.flatMap(({ livenessProbe = {}, readinessProbe = {} }) => [livenessProbe, readinessProbe]);
    const said = lasting.flatMap(({ exec, httpGet, timeoutSeconds = 1 }) =>
      exec === undefined && httpGet === undefined ? [] : [{ program: exec?.command[0] ?? 'none', timeoutSeconds }],
    );
    expect(said.length).toBeGreaterThan(hasChart ? 5 : 3);
    for (const { program, timeoutSeconds } of said)
      expect(timeoutSeconds).toBeGreaterThanOrEqual(program === 'bash' || program === 'none' ? 10 : 30);
    for (const { name, ports = [], startupProbe = {}, livenessProbe = {}, readinessProbe = {} } of ours) {
      const asked = [startupProbe, livenessProbe, readinessProbe].flatMap(({ httpGet }) => httpGet?.port ?? []);
      expect(
        asked.filter((port) => !ports.some((one) => one.name === port)),
        name,
      ).toEqual([]);
    }
  });

  test('has certgate run by commands and flags that there are', async () => {
    const ours = pods.flatMap(containersOf).filter(({ image }) => image.includes('certgate'));
    expect(ours.length).toBeGreaterThan(hasChart ? 6 : 3);
    for (const container of ours) expect(await unknownWords(container), container.name).toEqual([]);
  });
});

describe.each([
  [
    'the manifests',
    () => applied,
    'prefect-work',
    { 'worker-etl-1': 'worker/etl-1', 'etl-job': 'worker/etl-job/flow-1-x7k2p' },
  ],
  ['the chart', rendered, 'prefect', { 'worker-etl-1': 'worker/etl-1' }],
  [
    'the values for Prefect’s charts',
    () => [...renderedSidecar(), putTogether(WORKER)],
    'prefect-work',
    { 'worker-etl-1': 'worker/etl-1' },
  ],
])('by %s', (what, documents, namespace, names) => {
  const skipped = what !== 'the manifests' && !hasChart;

  test.skipIf(skipped)(
    `each client’s pod gets the identity of its service account${skipped ? skippedFor(helm) : ''}`,
    () => {
      const config = loadConfig({ env: { ...settingsOf(documents()) }, cwd: place });
      const [cluster] = config.enroll.issuers;
      const rules = cluster?.rules.map((rule, at) => compileClaimRule(rule, `rules[${at}]`)) ?? [];
      const clients = podSpecs(documents()).filter(({ serviceAccountName = '' }) => serviceAccountName in names);
      expect(clients.map(({ serviceAccountName }) => serviceAccountName)).toEqual(Object.keys(names));
      for (const { serviceAccountName = '', volumes = [], initContainers = [] } of clients) {
        const args = initContainers.find(({ name }) => name === 'certgate')?.args ?? [];
        const gate = args[args.indexOf('--gate') + 1] ?? '';
        // The token is for the gate that it is shown to, which takes it, and has that name in its certificate.
        const sources = volumes.flatMap(({ projected }) => projected?.sources ?? []);
        expect(sources.map(({ serviceAccountToken }) => serviceAccountToken?.audience)).toEqual([gate]);
        expect(cluster?.audience).toEqual([gate]);
        expect(config.serve.names).toContain(new URL(gate).hostname);
        const claims = KUBERNETES.claims(gate, 0);
        const said = {
          ...claims,
          sub: `system:serviceaccount:${namespace}:${serviceAccountName}`,
          'kubernetes.io': { ...(claims['kubernetes.io'] as object), pod: { name: 'flow-1-x7k2p' } },
        };
        expect(identifyClaims(said, rules)).toMatchObject({
          ok: true,
          identity: new Map(Object.entries(names)).get(serviceAccountName),
        });
        const elsewhere = { ...said, sub: `system:serviceaccount:default:${serviceAccountName}` };
        expect(identifyClaims(elsewhere, rules)).toMatchObject({ ok: false });
      }
    },
  );
});

test('a job’s template is that of Prefect’s Kubernetes worker, with the sidecar besides', () => {
  const { variables, job_configuration } = template;
  const used = [...JSON.stringify(job_configuration).matchAll(/\{\{ (\w+) \}\}/g)].map(([, name = '']) => name);
  for (const name of used) expect(Object.keys(variables.properties)).toContain(name);
  const pod = podSpecs([jobManifest(template)])[0];
  expect(pod?.initContainers?.map(({ name, restartPolicy }) => [name, restartPolicy])).toEqual([
    ['certgate', 'Always'],
  ]);
});
