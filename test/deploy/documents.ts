// What is in deploy/ for Kubernetes, read once for all who look at it: the manifests of every kustomization, the job that the
// base job template makes, and what the chart renders.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { type JobTemplate, jobManifest } from './pods.ts';
import { deploy, render } from './tools.ts';

export const read = (path: string): string => readFileSync(join(deploy, path), 'utf8');

/** The folders of deploy/kubernetes that `kubectl apply -k` takes. */
export const kustomizations: readonly string[] = readdirSync(join(deploy, 'kubernetes')).filter((folder) =>
  existsSync(join(deploy, 'kubernetes', folder, 'kustomization.yaml')),
);

/** Paths in deploy/ of the manifests of a kustomization. */
export function manifestsOf(folder: string): readonly string[] {
  return readdirSync(join(deploy, 'kubernetes', folder))
    .filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
    .map((name) => `kubernetes/${folder}/${name}`);
}

export const manifests: readonly string[] = kustomizations.flatMap(manifestsOf);
export const documentsIn = (text: string): readonly unknown[] =>
  parseAllDocuments(text).map((one) => one.toJS() as unknown);

export const template = JSON.parse(read('kubernetes/jobs/base-job-template.json')) as JobTemplate;

/** What `kubectl apply -k` of every folder makes, and the job of the template. */
export const applied: readonly unknown[] = [
  ...manifests.flatMap((path) => documentsIn(read(path))),
  jobManifest(template),
];

/** The chart with a worker. Only where helm is. */
export const WORKERS = ['--set', 'workers.etl-1.pool=etl'] as const;
export const rendered = (): readonly unknown[] => documentsIn(render(WORKERS));
/** The chart beside Prefect's own charts, with who their pods are. Only where helm is. */
export const renderedSidecar = (): readonly unknown[] =>
  documentsIn(render(['--set', 'mode=sidecar', '-f', 'deploy/helm/values/workers.yaml']));

/** The values for one of Prefect's charts. */
export const valuesOf = (chart: string): Readonly<Record<string, Readonly<Record<string, unknown>>>> =>
  parse(read(`helm/values/${chart}.yaml`)) as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
