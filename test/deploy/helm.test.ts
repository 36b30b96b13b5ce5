import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { WORKERS } from './documents.ts';
import { helm, kubernetesValidate, render, skippedFor } from './tools.ts';

const EVERYTHING = [
  ...WORKERS,
  '--set',
  'gate.passphraseSecret=p,gate.policyConfigMap=c,gate.authStringSecret=a,gate.names[0]=gate.example,persistence.storageClassName=fast',
  '--set',
  'image.pullSecrets[0]=s,workers.etl-1.env[0].name=A,workers.etl-1.env[0].value=b,workers.ml.pool=ml,workers.ml.replicas=0',
];
const kinds = (text: string): string[] =>
  parseAllDocuments(text)
    .map((one) => (one.toJS() as { kind: string }).kind)
    .toSorted();

describe.skipIf(helm.missing !== null)(`the chart${skippedFor(helm)}`, () => {
  test('has nothing that helm lint minds', () => {
    const { code, said } = helm.run(['lint', '--strict', 'deploy/helm/certgate']);
    expect([code, said]).toEqual([0, expect.stringContaining('0 chart(s) failed')]);
  });

  test.skipIf(kubernetesValidate.missing !== null).each([
    ['by its defaults', []],
    ['with everything', EVERYTHING],
    ['for a gate in Prefect’s pod', ['--set', 'mode=sidecar']],
  ])('makes, %s, what is right by the schemas of Kubernetes', (_how, args) => {
    const place = mkdtempSync(join(tmpdir(), 'certgate-chart-'));
    try {
      const file = join(place, 'rendered.yaml');
      writeFileSync(file, render(args));
      const { code, said } = kubernetesValidate.run(['-k', '1.37', '--strict', '--quiet', file]);
      expect([code, said]).toEqual([0, '']);
    } finally {
      rmSync(place, { recursive: true });
    }
  });

  test('makes a gate of its own, or only what one in Prefect’s pod needs', () => {
    const policy = 'NetworkPolicy';
    const [service, claim] = [['Pod', 'Service'], 'PersistentVolumeClaim'];
    const own = ['ServiceAccount', 'StatefulSet'];
    expect(kinds(render([]))).toEqual(['ConfigMap', policy, policy, claim, ...service, ...own]);
    expect(kinds(render(['--set', 'mode=sidecar']))).toEqual(['ConfigMap', policy, claim, ...service]);
    const without = ['--set', 'networkPolicy.enabled=false,persistence.existingClaim=mine'];
    expect(kinds(render(without))).toEqual(['ConfigMap', ...service, ...own]);
    expect(kinds(render([...without, ...WORKERS]))).toEqual(
      ['ConfigMap', 'Deployment', ...service, 'ServiceAccount', ...own].toSorted(),
    );
  });

  test.each([
    ['mode=both', "at '/mode'"],
    ['gate.upstream=https://prefect:4200', "at '/gate/upstream'"],
    ['gate.upstreem=x', 'upstreem'],
    ['service.port=0', "at '/service/port'"],
    ['workers.Etl.pool=etl', "invalid propertyName 'Etl'"],
    ['workers.etl-1.replicas=2', "at '/workers/etl-1'"],
  ])('refuses %s, and says where', (value, said) => {
    const ran = helm.run(['template', 'certgate', 'deploy/helm/certgate', '--kube-version', '1.30.0', '--set', value]);
    expect([ran.code, ran.said]).toEqual([1, expect.stringContaining(said)]);
  });
});
