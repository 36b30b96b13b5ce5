import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { documentsIn, read, WORKERS } from './documents.ts';
import { containersOf, podSpecs, problemsOf } from './pods.ts';
import { helm, kubernetesValidate, render, skippedFor } from './tools.ts';

const place = mkdtempSync(join(tmpdir(), 'certgate-chart-'));
afterAll(() => rmSync(place, { recursive: true }));

/** Where pods go, and what they have besides. */
const PLACED = {
  podLabels: { team: 'data' },
  podAnnotations: { 'example.com/a': 'b' },
  nodeSelector: { 'kubernetes.io/os': 'linux' },
  tolerations: [{ key: 'data', operator: 'Exists' }],
  affinity: {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: { team: 'data' } } },
      ],
    },
  },
  priorityClassName: 'high',
  extraVolumes: [{ name: 'more', configMap: { name: 'more' } }],
  extraVolumeMounts: [{ name: 'more', mountPath: '/etc/more', readOnly: true }],
};
/** Something for each of the chart's values. */
const EVERYTHING = {
  fullnameOverride: 'door',
  clusterDomain: 'corp.example',
  image: { digest: `sha256:${'0'.repeat(64)}`, pullSecrets: ['s'] },
  gate: {
    names: ['gate.example', '192.0.2.7', '2001:db8::7'],
    drain: '5m',
    env: [{ name: 'CERTGATE_SERVE_STATUS_LISTEN', value: '0.0.0.0:8080' }],
    passphraseSecret: 'p',
    policyConfigMap: 'c',
    authStringSecret: 'a',
    ...PLACED,
  },
  workers: {
    'etl-1': {
      ...{ pool: 'etl', replicas: 2, image: 'flows:1', env: [{ name: 'A', value: 'b' }] },
      ...{ envFrom: [{ secretRef: { name: 's' } }], terminationGracePeriodSeconds: 600, ...PLACED },
    },
    ml: { pool: 'ml', replicas: 0 },
  },
  sidecar: { env: [{ name: 'CERTGATE_LOG_LEVEL', value: 'debug' }] },
  persistence: { storageClassName: 'fast', accessModes: ['ReadWriteOncePod'] },
  service: {
    ...{ type: 'LoadBalancer', nodePort: 30443, annotations: { 'example.com/a': 'b' }, externalTrafficPolicy: 'Local' },
    ...{ loadBalancerClass: 'example.com/lb', loadBalancerSourceRanges: ['192.0.2.0/24'] },
    extraPorts: [{ name: 'status', port: 8080 }],
  },
  tlsRoute: { parentRefs: [{ name: 'edge', namespace: 'gateways', sectionName: 'tls' }] },
  metrics: {
    enabled: true,
    port: 9500,
    from: [{ podSelector: { matchLabels: { app: 'prometheus' } } }],
    podMonitor: { enabled: true, labels: { release: 'prometheus' } },
  },
  networkPolicy: { from: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'gateways' } } }] },
};
const everything = ['-f', join(place, 'everything.yaml')];
writeFileSync(join(place, 'everything.yaml'), stringify(EVERYTHING));

interface Made {
  readonly kind: string;
  readonly metadata?: { readonly name?: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly spec?: Readonly<Record<string, unknown>> & { readonly template?: { readonly spec?: object } };
}
const made = (args: readonly string[]): readonly Made[] => documentsIn(render(args)) as readonly Made[];
const kinds = (args: readonly string[]): string[] => made(args).map(({ kind }) => kind);
const readAsKubernetes = (text: string): readonly unknown[] =>
  parseAllDocuments(text, { version: '1.1' }).map((one) => one.toJS() as unknown);
const template = (...args: string[]) =>
  helm.run(['template', 'certgate', 'deploy/helm/certgate', '--kube-version', '1.30.0', ...args]);

describe.skipIf(helm.missing !== null)(`the chart${skippedFor(helm)}`, () => {
  test('has nothing that helm lint minds', () => {
    const { code, said } = helm.run(['lint', '--strict', 'deploy/helm/certgate']);
    expect([code, said]).toEqual([0, expect.stringContaining('0 chart(s) failed')]);
  });

  test.skipIf(kubernetesValidate.missing !== null).each([
    ['by its defaults', []],
    ['with everything', everything],
    ['for a gate in Prefect’s pod', ['--set', 'mode=sidecar']],
  ])('makes, %s, what is right by the schemas of Kubernetes', (_how, args) => {
    const file = join(place, 'rendered.yaml');
    // Of kinds that a cluster has only once they are added there are no schemas there.
    const known = made(args).filter(({ kind }) => kind !== 'TLSRoute' && kind !== 'PodMonitor');
    writeFileSync(file, known.map((one) => stringify(one, { aliasDuplicateObjects: false })).join('---\n'));
    const { code, said } = kubernetesValidate.run(['-k', '1.37', '--strict', '--quiet', file]);
    expect([code, said]).toEqual([0, '']);
  });

  test.each(['no', '~', '123', '1e3', '2026-01-01', 'a #b', ' a'])(
    'leaves a name as it is, also one that YAML 1.1, as Kubernetes reads it, takes for something else: %j',
    (odd) => {
      const everyName = (name: string): readonly unknown[] => {
        const file = join(place, 'names.json');
        const placed = { priorityClassName: name };
        const values = {
          image: { pullSecrets: [name] },
          gate: { ...placed, passphraseSecret: name, policyConfigMap: name, authStringSecret: name },
          workers: { w: { ...placed, pool: name } },
          ...{ ca: name, persistence: { storageClassName: name }, service: { loadBalancerClass: name } },
        };
        writeFileSync(file, JSON.stringify(values));
        return readAsKubernetes(template('-f', file).said);
      };
      const escaped = JSON.stringify(odd).slice(1, -1);
      const wanted: unknown = JSON.parse(JSON.stringify(everyName('plain-name')).replaceAll('plain-name', escaped));
      expect(everyName(odd)).toEqual(wanted);
    },
  );

  test('has texts for names and labels where the release is called 1234, the chart no, and a port yes', () => {
    const port = ['--set', 'service.extraPorts[0].port=80', '--set-string', 'service.extraPorts[0].name=yes'];
    const named = [...port, '--set-string', 'fullnameOverride=no', ...WORKERS];
    const { said } = helm.run(['template', '1234', 'deploy/helm/certgate', '--kube-version', '1.30.0', ...named]);
    const names: unknown[] = [];
    const seek = (part: unknown): void => {
      for (const [key, value] of typeof part === 'object' && part !== null ? Object.entries(part) : []) {
        if (/^(name|\w+Name|app\.kubernetes\.io\/.*)$/.test(key)) names.push(value);
        seek(value);
      }
    };
    seek(readAsKubernetes(said));
    expect(names).toEqual(expect.arrayContaining(['no', '1234', 'yes']));
    expect(names.filter((name) => typeof name !== 'string')).toEqual([]);
  });

  test('makes a gate of its own, or only what one in Prefect’s pod needs', () => {
    const policy = 'NetworkPolicy';
    const [service, claim] = [['Pod', 'Service'], 'PersistentVolumeClaim'];
    const own = ['ServiceAccount', 'StatefulSet'];
    expect(kinds([]).toSorted()).toEqual(['ConfigMap', policy, policy, claim, ...service, ...own]);
    expect(kinds(['--set', 'mode=sidecar']).toSorted()).toEqual(['ConfigMap', policy, claim, ...service]);
    const without = ['--set', 'networkPolicy.enabled=false,persistence.existingClaim=mine'];
    expect(kinds(without).toSorted()).toEqual(['ConfigMap', ...service, ...own]);
    expect(kinds([...without, ...WORKERS]).toSorted()).toEqual(
      ['ConfigMap', 'Deployment', ...service, 'ServiceAccount', ...own].toSorted(),
    );
  });

  test.each([
    ['20s', 60],
    ['0s', 40],
    ['500ms', 41],
    ['5m', 340],
    ['1h2m3s', 3763],
  ])('with a drain of %s gives the gate %d s to end', (drain, seconds) => {
    const gate = made(['--set', `gate.drain=${drain}`]).find(({ kind }) => kind === 'StatefulSet');
    expect(gate?.spec?.template?.spec).toMatchObject({ terminationGracePeriodSeconds: seconds });
  });

  test('has a gate that cannot start replaced by the next upgrade, and the pod of helm test kept for its logs', () => {
    const all = made([]);
    // In order, Kubernetes waits until the broken pod is ready, which it never is.
    const parallel = { podManagementPolicy: 'Parallel', replicas: 1 };
    expect(all.find(({ kind }) => kind === 'StatefulSet')?.spec).toMatchObject(parallel);
    const hook = all.find(({ kind }) => kind === 'Pod');
    expect(hook?.metadata?.annotations?.['helm.sh/hook-delete-policy']).toBe('before-hook-creation');
  });

  test('puts the pods of gate and worker where the values say, with what they say besides', () => {
    const pods = podSpecs(made(everything)).filter(({ serviceAccountName = '' }) =>
      ['door', 'worker-etl-1'].includes(serviceAccountName),
    );
    const { nodeSelector, tolerations, affinity, priorityClassName, extraVolumes, extraVolumeMounts } = PLACED;
    expect(pods.length).toBe(2);
    for (const pod of pods) {
      expect(pod).toMatchObject({ nodeSelector, tolerations, affinity, priorityClassName });
      expect(pod.volumes).toEqual(expect.arrayContaining(extraVolumes));
      const mounts = pod.containers.map(({ volumeMounts }) => volumeMounts);
      expect(mounts).toEqual([expect.arrayContaining(extraVolumeMounts)]);
      expect(problemsOf(pod)).toEqual([]);
    }
    const ours = pods.flatMap(containersOf).filter(({ name }) => name.startsWith('certgate'));
    expect(new Set(ours.map(({ image }) => image))).toEqual(new Set([`certgate@${EVERYTHING.image.digest}`]));
  });

  test('leads to the gate by its names, and by what it listens on besides', () => {
    const all = made(everything);
    const of = (wanted: string) => all.find(({ kind }) => kind === wanted)?.spec;
    expect(of('TLSRoute')).toMatchObject({ ...EVERYTHING.tlsRoute, hostnames: ['gate.example'] });
    expect(of('Service')?.['ports']).toMatchObject([{ port: 8443, nodePort: 30443 }, { port: 8080 }]);
    const { networkPolicy, metrics } = EVERYTHING;
    expect(of('NetworkPolicy')?.['ingress']).toEqual([
      { from: networkPolicy.from, ports: [8443, 8080].map((port) => ({ port, protocol: 'TCP' })) },
      { from: metrics.from, ports: [{ port: 9500, protocol: 'TCP' }] },
    ]);
    const settings = all.find(({ kind }) => kind === 'ConfigMap');
    expect(JSON.stringify(settings)).toContain('door.prefect.svc.corp.example');
  });

  test('has monitors, and its own probes, ask the gate over HTTP where they may', () => {
    const gateOf = (args: readonly string[]) =>
      podSpecs(made(args).filter(({ kind }) => kind === 'StatefulSet'))
        .flatMap(containersOf)
        .find(({ name }) => name === 'certgate');
    expect(gateOf([])).toMatchObject({ livenessProbe: { exec: { command: ['certgate', 'health', '--live'] } } });
    const probe = { httpGet: { path: '/livez', port: 'metrics' } };
    expect(gateOf(everything)).toMatchObject({
      ports: expect.arrayContaining([{ name: 'metrics', containerPort: 9500 }]) as unknown,
      ...{ startupProbe: probe, livenessProbe: probe, readinessProbe: probe },
    });
    const all = made(everything);
    const settings = all.find(({ kind }) => kind === 'ConfigMap');
    expect(JSON.stringify(settings)).toContain('"CERTGATE_SERVE_METRICS_LISTEN":"0.0.0.0:9500"');
    const monitors = all.filter(({ kind }) => kind === 'PodMonitor');
    expect(monitors.map(({ spec }) => spec?.['selector'])).toMatchObject([
      { matchLabels: { 'app.kubernetes.io/name': 'certgate' } },
      { matchLabels: { 'app.kubernetes.io/name': 'prefect-worker' } },
    ]);
    for (const monitor of monitors) {
      expect(monitor).toMatchObject({
        metadata: { labels: { release: 'prometheus', 'helm.sh/chart': expect.any(String) as unknown } },
        spec: { podMetricsEndpoints: [{ port: 'metrics' }] },
      });
    }
  });

  test('has monitors, and probes, ask a worker’s sidecar over HTTP where they may', () => {
    const sidecarOf = (args: readonly string[]) =>
      podSpecs(made(args).filter(({ kind }) => kind === 'Deployment'))
        .flatMap(containersOf)
        .find(({ name }) => name === 'certgate');
    const closed = sidecarOf(WORKERS);
    expect(closed).toMatchObject({
      livenessProbe: { exec: { command: ['bash', '-c', expect.any(String) as unknown] } },
    });
    expect([closed?.ports, closed?.args?.includes('--metrics-listen')]).toEqual([undefined, false]);
    const probe = { httpGet: { path: '/livez', port: 'metrics' } };
    expect(sidecarOf(everything)).toMatchObject({
      args: expect.arrayContaining(['--metrics-listen', '0.0.0.0:9500']) as unknown,
      ports: [{ name: 'metrics', containerPort: 9500 }],
      ...{ startupProbe: probe, livenessProbe: probe },
    });
    const policyOf = (args: readonly string[]) =>
      made(args).find(
        ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata?.name?.endsWith('-workers') === true,
      );
    expect(policyOf(WORKERS)?.spec).toMatchObject({ ingress: [] });
    const { from } = EVERYTHING.metrics;
    expect(policyOf(everything)?.spec).toMatchObject({ ingress: [{ from, ports: [{ port: 9500, protocol: 'TCP' }] }] });
  });

  test.each([
    ['mode=both', "at '/mode'"],
    ['gate.upstream=https://prefect:4200', "at '/gate/upstream'"],
    ['gate.upstreem=x', 'upstreem'],
    ['service.port=0', "at '/service/port'"],
    ['workers.Etl.pool=etl', "invalid propertyName 'Etl'"],
    ['workers.etl-1.replicas=2', "at '/workers/etl-1'"],
    ['image.digest=0123', "at '/image/digest'"],
    ['persistence.accessModes[0]=ReadWriteMany', "at '/persistence/accessModes/0'"],
    ['gate.names[0]=*.example', "at '/gate/names/0'"],
    ['gate.env[0].name=A,gate.env[0].value=2', "at '/gate/env/0/value'"],
    ['sidecar.env[0].name=A,sidecar.env[0].value=true', "at '/sidecar/env/0/value'"],
    // What Helm takes for: there is none. A section whose lines are all comments is that, too.
    ['mode=null', "missing property 'mode'"],
    ['service=null', "missing property 'service'"],
    ['networkPolicy.enabled=null', "missing property 'enabled'"],
    ['prefect.podLabels=null', "missing property 'podLabels'"],
    ['metrics.port=null', "missing property 'port'"],
    ['tlsRoute.parentRefs[0].name=edge', 'say tlsRoute.hostnames, or a DNS name in gate.names'],
    ['metrics.podMonitor.enabled=true', 'there is nothing to read without metrics.enabled'],
    // They would be of no effect, and without a policy everybody may do everything.
    ['mode=sidecar,gate.policyConfigMap=c', 'gate.policyConfigMap: with mode sidecar'],
    ['mode=sidecar,gate.passphraseSecret=p', 'gate.passphraseSecret: with mode sidecar'],
    ['mode=sidecar,gate.authStringSecret=a', 'gate.authStringSecret: with mode sidecar'],
    ['mode=sidecar,gate.env[0].name=A', 'gate.env: with mode sidecar'],
  ])('refuses %s, and says where', (value, said) => {
    const ran = template('--set', value);
    expect([ran.code, ran.said]).toEqual([1, expect.stringContaining(said)]);
  });
});

test('the chart’s schema knows each of its values, and no other', () => {
  interface Schema {
    readonly properties?: Readonly<Record<string, Schema>>;
  }
  const { properties } = JSON.parse(read('helm/certgate/values.schema.json')) as Schema;
  const values = parse(read('helm/certgate/values.yaml')) as Readonly<Record<string, unknown>>;
  // What Helm itself gives every chart.
  const own = Object.entries(properties ?? {}).filter(([name]) => name !== 'global');
  expect(own.map(([name]) => name).toSorted()).toEqual(Object.keys(values).toSorted());
  for (const [name, schema] of own) {
    if (schema.properties === undefined) continue;
    expect([name, Object.keys(schema.properties).toSorted()]).toEqual([
      name,
      Object.keys(values[name] ?? {}).toSorted(),
    ]);
  }
});
