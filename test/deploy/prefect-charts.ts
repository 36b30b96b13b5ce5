// What Prefect's own charts make of the values in deploy/helm/values: by the charts themselves where they are at hand, and put
// together here, key by key, where they are not, since they are not this project's to carry. The second is held against the first.
// For the first, CERTGATE_TEST_PREFECT_CHARTS names a folder in which somebody has said
//   helm pull prefect/prefect-server --untar && helm pull prefect/prefect-worker --untar

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { documentsIn, valuesOf } from './documents.ts';
import type { Container, PodSpec, Volume } from './pods.ts';
import { helm, root } from './tools.ts';

/** A deployment, as far as it is looked at. */
export interface Deployment {
  readonly kind: 'Deployment';
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly strategy?: { readonly type: string };
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: PodSpec;
    };
  };
}
export interface PrefectChart {
  readonly name: 'prefect-server' | 'prefect-worker';
  readonly release: string;
  readonly namespace: string;
  readonly values: string;
}

export const SERVER: PrefectChart = {
  ...{ name: 'prefect-server', release: 'prefect-server', namespace: 'prefect', values: 'prefect-server-sidecar' },
};
export const WORKER: PrefectChart = {
  ...{ name: 'prefect-worker', release: 'worker-etl-1', namespace: 'prefect-work', values: 'prefect-worker' },
};

const folder = process.env['CERTGATE_TEST_PREFECT_CHARTS'];
const place = resolve(root, folder ?? '');
const absent = [SERVER, WORKER].find(({ name }) => !existsSync(join(place, name, 'Chart.yaml')));
/** Why the charts themselves are not asked; null when they are. */
export const noPrefectCharts: string | null =
  folder === undefined
    ? 'CERTGATE_TEST_PREFECT_CHARTS names no folder of helm pull prefect/prefect-server --untar'
    : absent === undefined
      ? helm.missing
      : `no ${absent.name} in ${folder}`;

/** All that the chart makes, by Helm and by the chart's own schema of values. Throws with what Helm said. */
export function renderedBy({ name, release, namespace, values }: PrefectChart): readonly unknown[] {
  const args = ['template', release, join(place, name), '--namespace', namespace, '--kube-version', '1.30.0'];
  const ran = spawnSync(helm.path, [...args, '-f', `deploy/helm/values/${values}.yaml`], {
    cwd: root,
    encoding: 'utf8',
  });
  if (ran.status !== 0) throw new Error(ran.stderr);
  return documentsIn(ran.stdout).filter((one) => one !== null);
}

export const deploymentIn = (documents: readonly unknown[], name: string): Deployment => {
  const found = documents.find((one) => {
    const { kind, metadata } = one as Deployment;
    return kind === 'Deployment' && metadata.name === name;
  });
  if (found === undefined) throw new Error(`no Deployment ${name}`);
  return found as Deployment;
};

interface Part {
  readonly extraArgs?: readonly string[];
  readonly extraVolumes: readonly Volume[];
  readonly extraInitContainers?: readonly Container[];
  readonly initContainer?: { readonly extraContainers: readonly Container[] };
  readonly podSecurityContext: object;
  readonly containerSecurityContext: object;
  readonly automountServiceAccountToken?: boolean;
  readonly updateStrategy?: { readonly type: string };
  readonly selfHostedServerApiConfig?: { readonly apiUrl: string };
  readonly config?: { readonly workPool: string; readonly http2: boolean };
}
/** The charts' own for the container, of which the values say the rest. */
const CONFINED = { runAsUser: 1001, runAsNonRoot: true, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false };
const SCRATCH = [
  { mountPath: '/home/prefect', name: 'scratch', subPathExpr: 'home' },
  { mountPath: '/tmp', name: 'scratch', subPathExpr: 'tmp' },
];

/** The same deployment, by what the keys of the chart (2026.8.18172642) mean. */
export function putTogether({ name, release, values }: PrefectChart): Deployment {
  const { fullnameOverride = release, ...rest } = valuesOf(values) as { readonly fullnameOverride?: string };
  const component = name.replace('prefect-', '');
  const part = new Map(Object.entries(rest)).get(component) as Part;
  const { extraInitContainers, initContainer, containerSecurityContext, updateStrategy, config } = part;
  const labels = { 'app.kubernetes.io/name': name, 'app.kubernetes.io/component': component };
  const container = {
    name,
    image: 'prefecthq/prefect:3-latest',
    args:
      config === undefined
        ? ['prefect', 'server', 'start', '--port', '4200', ...(part.extraArgs ?? [])]
        : [
            'prefect',
            'worker',
            'start',
            '--type',
            'kubernetes',
            '--pool',
            config.workPool,
            '--install-policy',
            'prompt',
          ],
    env:
      config === undefined
        ? []
        : [
            { name: 'PREFECT_API_ENABLE_HTTP2', value: `${config.http2}` },
            { name: 'PREFECT_API_URL', value: part.selfHostedServerApiConfig?.apiUrl ?? '' },
          ],
    securityContext: { ...CONFINED, ...containerSecurityContext },
    volumeMounts:
      config === undefined
        ? [...SCRATCH, { mountPath: '/ui_build', name: 'scratch', subPathExpr: 'ui-build' }]
        : SCRATCH,
  };
  const spec: PodSpec = {
    serviceAccountName: fullnameOverride,
    ...(part.automountServiceAccountToken !== undefined && {
      automountServiceAccountToken: part.automountServiceAccountToken,
    }),
    securityContext: part.podSecurityContext,
    initContainers: extraInitContainers ?? initContainer?.extraContainers ?? [],
    containers: [container],
    volumes: [{ name: 'scratch', emptyDir: {} }, ...part.extraVolumes],
  };
  return {
    ...{ kind: 'Deployment', apiVersion: 'apps/v1', metadata: { name: fullnameOverride } },
    spec: {
      ...(updateStrategy !== undefined && { strategy: updateStrategy }),
      ...{ selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
    },
  };
}
