// What the pods of deploy/ say of themselves, and what is wrong with that by the restricted profile of Kubernetes' pod
// security standards, and by our own: a read-only file system and limits.

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  readonly restartPolicy?: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly envFrom?: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly subPath?: string }[];
  readonly resources?: { readonly limits?: { readonly memory?: string } };
  readonly securityContext?: {
    readonly allowPrivilegeEscalation?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly capabilities?: { readonly drop?: readonly string[] };
  };
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
}
interface Probe {
  readonly exec?: { readonly command: readonly string[] };
  /** `port`: by the name that the container gives it. */
  readonly httpGet?: { readonly path: string; readonly port: string };
  readonly timeoutSeconds?: number;
}
export interface Volume {
  readonly name: string;
  readonly emptyDir?: object;
  readonly persistentVolumeClaim?: object;
  readonly configMap?: { readonly name: string };
  readonly projected?: { readonly sources: readonly Source[] };
}
export interface Source {
  readonly serviceAccountToken?: {
    readonly path: string;
    readonly audience?: string;
    readonly expirationSeconds?: number;
  };
  readonly configMap?: {
    readonly name: string;
    readonly items: readonly { readonly key: string; readonly path: string }[];
  };
}
export interface PodSpec {
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly securityContext?: {
    readonly runAsNonRoot?: boolean;
    readonly runAsUser?: number;
    readonly fsGroup?: number;
    readonly fsGroupChangePolicy?: string;
    readonly seccompProfile?: { readonly type?: string };
  };
  readonly volumes?: readonly Volume[];
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
}

/** Prefect's base job template. */
export interface JobTemplate {
  readonly job_configuration: { readonly job_manifest: unknown };
  readonly variables: { readonly properties: Readonly<Record<string, { readonly default?: unknown }>> };
}

/** The job that a template of Prefect's makes, with a word for each of its variables. */
export function jobManifest(template: JobTemplate): unknown {
  const words: Readonly<Record<string, unknown>> = {
    ...{ env: [{ name: 'PREFECT_API_URL', value: 'http://127.0.0.1:4210/api' }], labels: {}, name: 'flow' },
    ...{ command: ['prefect', 'flow-run', 'execute'], image: 'prefecthq/prefect:3-latest', finished_job_ttl: 60 },
    ...{ cpu_limit: '1', cpu_request: '100m', memory_limit: '1Gi', memory_request: '1Gi' },
  };
  const job = JSON.parse(
    JSON.stringify(template.job_configuration.job_manifest, (_key, value: unknown) => {
      const [, variable] = typeof value === 'string' ? (/^\{\{ (\w+) \}\}$/.exec(value) ?? []) : [];
      if (variable === undefined) return typeof value === 'string' ? value.replace(/\{\{ (\w+) \}\}/g, 'flow') : value;
      return words[variable] ?? template.variables.properties[variable]?.default;
    }),
  ) as { readonly metadata: object };
  // The API server makes it of generateName.
  return { ...job, metadata: { ...job.metadata, name: 'flow-1' } };
}

/** Of deployments, stateful sets, jobs and pods. */
export function podSpecs(documents: readonly unknown[]): PodSpec[] {
  return documents.flatMap((document) => {
    const { kind, spec } = document as { kind: string; spec: PodSpec & { template: { spec: PodSpec } } };
    if (['Deployment', 'StatefulSet', 'Job'].includes(kind)) return [spec.template.spec];
    return kind === 'Pod' ? [spec] : [];
  });
}

/** Of the one ConfigMap among `documents` that has a gate's settings. */
export function settingsOf(documents: readonly unknown[]): Readonly<Record<string, string>> {
  const settings = documents
    .map((document) => document as { kind: string; data?: Readonly<Record<string, string>> })
    .find(({ kind, data }) => kind === 'ConfigMap' && data?.['CERTGATE_SERVE_UPSTREAM'] !== undefined);
  if (settings?.data === undefined) throw new Error('no ConfigMap has CERTGATE_SERVE_UPSTREAM');
  return settings.data;
}

export function containersOf({ initContainers = [], containers }: PodSpec): Container[] {
  return [...initContainers, ...containers];
}

export function problemsOf(pod: PodSpec): string[] {
  const { runAsNonRoot, runAsUser, fsGroup, fsGroupChangePolicy, seccompProfile } = pod.securityContext ?? {};
  const names = containersOf(pod).map(({ name }) => name);
  const problems: string[] = [];
  const must = (good: boolean, what: string): void => void (good || problems.push(`${names.join('+')}: ${what}`));
  must(runAsNonRoot === true && runAsUser === 1001, 'runs as root, or may');
  must(pod.automountServiceAccountToken === false, 'may ask the API server for whatever its service account may');
  must(seccompProfile?.type === 'RuntimeDefault', 'has no seccomp profile');
  const keeps = pod.volumes?.some(({ persistentVolumeClaim }) => persistentVolumeClaim !== undefined) === true;
  // By the default every mount would have the group read what is there: keys.
  must(!keeps || (fsGroup === 1001 && fsGroupChangePolicy === 'OnRootMismatch'), 'has its keys read by the group');
  for (const { name, image, securityContext, resources } of containersOf(pod)) {
    must(securityContext?.allowPrivilegeEscalation === false, `${name} may get more rights`);
    must(securityContext?.capabilities?.drop?.includes('ALL') === true, `${name} has capabilities`);
    // What a flow writes is the flow's.
    if (name === 'prefect-job') continue;
    must(securityContext?.readOnlyRootFilesystem === true, `${name} may write its file system`);
    if (image.includes('certgate') && name !== 'reach')
      must(resources?.limits?.memory !== undefined, `${name} has no limit`);
  }
  return problems;
}
