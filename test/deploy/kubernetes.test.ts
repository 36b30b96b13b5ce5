import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { type Container, containersOf, jobManifest, type PodSpec, podSpecs, problemsOf } from './pods.ts';
import { deploy, helm, kubernetesValidate, render, skippedFor } from './tools.ts';

/** The oldest with native sidecars by default, and the newest. */
const VERSIONS = ['1.29', '1.37'];
const place = mkdtempSync(join(tmpdir(), 'certgate-deploy-'));
afterAll(() => rmSync(place, { recursive: true }));
const read = (path: string): string => readFileSync(join(deploy, path), 'utf8');
const manifests = ['server', 'worker'].flatMap((folder) =>
  readdirSync(join(deploy, 'kubernetes', folder))
    .filter((name) => name !== 'kustomization.yaml')
    .map((name) => `kubernetes/${folder}/${name}`),
);
const template = JSON.parse(read('kubernetes/jobs/base-job-template.json')) as {
  readonly job_configuration: { readonly job_manifest: unknown };
  readonly variables: { readonly properties: Readonly<Record<string, { readonly default?: unknown }>> };
};

describe(`the manifests${skippedFor(kubernetesValidate)}`, () => {
  test.skipIf(kubernetesValidate.missing !== null).each(VERSIONS)(
    'are right by the schemas of Kubernetes %s',
    (version) => {
      const job = join(place, 'job.yaml');
      writeFileSync(job, JSON.stringify(jobManifest(template)));
      const files = [...manifests, 'helm/values/worker-identity.yaml'].map((path) => join(deploy, path));
      const { code, said } = kubernetesValidate.run(['-k', version, '--strict', '--quiet', job, ...files]);
      expect([code, said]).toEqual([0, '']);
    },
  );
});

test('a kustomization names every file of its folder, and the image', () => {
  for (const folder of ['server', 'worker']) {
    const { resources, images } = parse(read(`kubernetes/${folder}/kustomization.yaml`)) as {
      resources: string[];
      images: { name: string }[];
    };
    const files = manifests.filter((path) => path.includes(`/${folder}/`)).map((path) => path.split('/').at(-1) ?? '');
    expect(resources.toSorted()).toEqual(files.toSorted());
    expect(images.map(({ name }) => name)).toEqual(['certgate']);
  }
});

describe('every pod', () => {
  const documents = [
    ...manifests.flatMap((path) => parseAllDocuments(read(path), { merge: false }).map((one) => one.toJS() as unknown)),
    jobManifest(template),
  ];
  const values = ['prefect-server-sidecar', 'prefect-worker'].map(
    (name) => parse(read(`helm/values/${name}.yaml`)) as Record<string, Record<string, unknown>>,
  );
  const rendered = helm.missing === null ? parseAllDocuments(render([])).map((one) => one.toJS() as unknown) : [];
  const pods: readonly PodSpec[] = podSpecs([...documents, ...rendered]);

  test(`runs without rights, on a file system that it cannot write, within limits${skippedFor(helm)}`, () => {
    expect(pods.length).toBe(helm.missing === null ? 5 : 3);
    expect(pods.flatMap(problemsOf)).toEqual([]);
  });

  test('has certgate run by commands and flags that there are', async () => {
    const fromValues = values.flatMap((value) => {
      const at = value['server'] ?? value['worker'] ?? {};
      const init = (at['extraInitContainers'] ??
        (at['initContainer'] as Record<string, unknown>)['extraContainers']) as Container[];
      return init;
    });
    const ours = [...pods.flatMap(containersOf), ...fromValues].filter(({ image }) => image.includes('certgate'));
    expect(ours.length).toBeGreaterThan(6);
    const { unknownWords } = await import('./command-lines.ts');
    for (const container of ours) expect(await unknownWords(container), container.name).toEqual([]);
  });
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
