// The gate and the sidecar in the pods of Prefect's own charts, by the values in deploy/helm/values.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { unknownWords } from './command-lines.ts';
import { renderedSidecar } from './documents.ts';
import { containersOf, type PodSpec, problemsOf } from './pods.ts';
import {
  deploymentIn,
  noPrefectCharts,
  type PrefectChart,
  putTogether,
  renderedBy,
  SERVER,
  WORKER,
} from './prefect-charts.ts';
import { helm, kubernetesValidate, skippedFor } from './tools.ts';

const GATE = 'https://certgate.prefect.svc.cluster.local:8443';
const skipped = noPrefectCharts === null ? '' : ` [skipped: ${noPrefectCharts}]`;
/** Of the restricted profile and our own: a worker makes pods, so that it may ask the API server. */
const MAKES_PODS = 'certgate+prefect-worker: may ask the API server for whatever its service account may';

interface Made {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: {
    readonly selector?: Readonly<Record<string, string>>;
    readonly podSelector?: { readonly matchLabels: Readonly<Record<string, string>> };
  };
}
const problemsOfSchemas = (documents: readonly unknown[]): readonly string[] => {
  const place = mkdtempSync(join(tmpdir(), 'certgate-prefect-charts-'));
  try {
    const file = join(place, 'rendered.yaml');
    writeFileSync(file, documents.map((one) => JSON.stringify(one)).join('\n---\n'));
    return ['1.29', '1.37'].flatMap((version) => {
      const { code, said } = kubernetesValidate.run(['-k', version, '--strict', '--quiet', file]);
      return code === 0 && said === '' ? [] : [said];
    });
  } finally {
    rmSync(place, { recursive: true });
  }
};
/** Mounts of what the pod has no volume for. */
const mountsOfNothing = (pod: PodSpec): readonly string[] =>
  containersOf(pod).flatMap(({ volumeMounts = [] }) =>
    volumeMounts.map(({ name }) => name).filter((name) => !pod.volumes?.some((volume) => volume.name === name)),
  );
const ours = (pod: PodSpec) => containersOf(pod).filter(({ image }) => image.startsWith('certgate'));
const sidecarOf = (pod: PodSpec) => pod.initContainers?.find(({ restartPolicy }) => restartPolicy === 'Always');
const tokensOf = (pod: PodSpec) =>
  (pod.volumes ?? []).flatMap(({ name, projected }) =>
    (projected?.sources ?? []).flatMap(({ serviceAccountToken }) =>
      serviceAccountToken === undefined ? [] : [{ volume: name, ...serviceAccountToken }],
    ),
  );

const ways: ReadonlyArray<readonly [how: string, made: (chart: PrefectChart) => readonly unknown[]]> = [
  ['as the values are meant', (chart) => [putTogether(chart)]],
  ...(noPrefectCharts === null ? [['as Prefect’s charts take them', renderedBy] as const] : []),
];

describe.each(ways)('%s', (_how, made) => {
  const pod = (chart: PrefectChart): PodSpec => deploymentIn(made(chart), chart.release).spec.template.spec;

  test.skipIf(kubernetesValidate.missing !== null)(
    `what both charts make is right by the schemas of Kubernetes${skippedFor(kubernetesValidate)}`,
    () => expect(problemsOfSchemas([...made(SERVER), ...made(WORKER)])).toEqual([]),
  );

  test('the gate is a native sidecar of Prefect’s server, which listens for it alone', async () => {
    const server = pod(SERVER);
    expect(server.initContainers?.map(({ name, restartPolicy }) => [name, restartPolicy])).toEqual([
      ['certgate-init', undefined],
      ['certgate', 'Always'],
    ]);
    const [prefect, ...more] = server.containers;
    expect(more).toEqual([]);
    expect(prefect?.args?.slice(-2)).toEqual(['--host', '127.0.0.1']);
    // From the node nobody reaches that loopback: probes of the kubelet's own would end the pod.
    expect([prefect?.startupProbe, prefect?.livenessProbe, prefect?.readinessProbe]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(sidecarOf(server)).toMatchObject({
      args: ['serve'],
      ports: [
        { name: 'gate', containerPort: 8443 },
        { name: 'metrics', containerPort: 9464 },
      ],
    });
    // For the API server, whose keys the gate asks for: no audience of its own.
    expect(tokensOf(server)).toEqual([{ volume: 'cluster', path: 'token' }]);
    expect(deploymentIn(made(SERVER), 'prefect-server').spec.strategy).toEqual({ type: 'Recreate' });
    expect(mountsOfNothing(server)).toEqual([]);
    expect(problemsOf(server)).toEqual([]);
    expect(ours(server).length).toBe(2);
    for (const container of ours(server)) expect(await unknownWords(container), container.name).toEqual([]);
  });

  test.skipIf(helm.missing !== null)(`and has what the chart certgate makes for it${skippedFor(helm)}`, () => {
    const { metadata, spec: server } = deploymentIn(made(SERVER), 'prefect-server').spec.template;
    const there = renderedSidecar() as readonly Made[];
    const named = (kind: string): readonly string[] =>
      there.filter((one) => one.kind === kind).map((one) => one.metadata.name);
    const claims = server.volumes?.flatMap(({ persistentVolumeClaim: claim }) => (claim === undefined ? [] : [claim]));
    expect(claims).toEqual(named('PersistentVolumeClaim').map((claimName) => ({ claimName })));
    for (const { envFrom = [] } of ours(server)) {
      expect(envFrom).toEqual(named('ConfigMap').map((name) => ({ configMapRef: { name } })));
    }
    const selectors = there.flatMap(({ kind, spec }) =>
      kind === 'Service' ? [spec?.selector] : kind === 'NetworkPolicy' ? [spec?.podSelector?.matchLabels] : [],
    );
    expect(selectors.length).toBe(2);
    for (const selector of selectors) expect(metadata.labels).toMatchObject(selector ?? { nothing: 'selected' });
  });

  test('the worker speaks to its sidecar, which has a token of its service account for the gate', async () => {
    const worker = pod(WORKER);
    expect(worker.initContainers?.map(({ name, restartPolicy }) => [name, restartPolicy])).toEqual([
      ['certgate', 'Always'],
    ]);
    const [prefect, ...more] = worker.containers;
    expect(more).toEqual([]);
    const env = new Map(prefect?.env?.map(({ name, value }) => [name, value]));
    expect(env.get('PREFECT_API_URL')).toBe('http://127.0.0.1:4210/api');
    expect(env.get('PREFECT_API_ENABLE_HTTP2')).toBe('false');
    expect(prefect?.args).toEqual(expect.arrayContaining(['worker', '--pool', 'etl']));
    const args = sidecarOf(worker)?.args ?? [];
    const flag = (name: string): string | undefined => args[args.indexOf(name) + 1];
    expect([flag('--gate'), flag('--listen')]).toEqual([GATE, '127.0.0.1:4210']);
    expect(tokensOf(worker)).toEqual([
      { volume: 'certgate-token', path: 'token', audience: GATE, expirationSeconds: 600 },
    ]);
    const mounts = sidecarOf(worker)?.volumeMounts ?? [];
    const at = (volume: string): string | undefined => mounts.find(({ name }) => name === volume)?.mountPath;
    expect(flag('--identity-token-file')).toBe(`${at('certgate-token')}/token`);
    expect(flag('--ca')).toBe(`${at('certgate-ca')}/ca.crt`);
    expect(flag('--identity')).toBe(`${at('certgate-identity')}/identity`);
    expect(worker.serviceAccountName).toBe('worker-etl-1');
    expect(mountsOfNothing(worker)).toEqual([]);
    expect(problemsOf(worker)).toEqual([MAKES_PODS]);
    for (const container of ours(worker)) expect(await unknownWords(container), container.name).toEqual([]);
  });
});

describe.skipIf(noPrefectCharts !== null)(`Prefect’s charts${skipped}`, () => {
  test.each([SERVER, WORKER])('put together what is put together here: $name', (chart) => {
    const real = deploymentIn(renderedBy(chart), chart.release).spec;
    const { strategy, template } = putTogether(chart).spec;
    const { containers, ...spec } = template.spec;
    expect(real.template).toMatchObject({ ...template, spec });
    expect(real).toMatchObject(strategy === undefined ? {} : { strategy });
    const [{ env = [], image: _, ...container } = { env: [] }] = containers;
    expect(real.template.spec.containers).toMatchObject([container]);
    expect(real.template.spec.containers[0]?.env).toEqual(expect.arrayContaining([...env]));
  });
});
