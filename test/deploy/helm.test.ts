import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { helm, kubernetesValidate, render, skippedFor } from './tools.ts';

const EVERYTHING = [
  '--set',
  'gate.passphraseSecret=p,gate.policyConfigMap=c,gate.authStringSecret=a,gate.names[0]=gate.example,persistence.storageClassName=fast',
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
    expect(kinds(render([]))).toEqual([policy, policy, 'PersistentVolumeClaim', 'Pod', 'Service', 'StatefulSet']);
    expect(kinds(render(['--set', 'mode=sidecar']))).toEqual([policy, 'PersistentVolumeClaim', 'Pod', 'Service']);
    expect(kinds(render(['--set', 'networkPolicy.enabled=false,persistence.existingClaim=mine']))).toEqual([
      'Pod',
      'Service',
      'StatefulSet',
    ]);
  });

  test.each([
    ['mode=both', "at '/mode'"],
    ['gate.upstream=https://prefect:4200', "at '/gate/upstream'"],
    ['gate.upstreem=x', 'upstreem'],
    ['service.port=0', "at '/service/port'"],
  ])('refuses %s, and says where', (value, said) => {
    const ran = helm.run(['template', 'certgate', 'deploy/helm/certgate', '--kube-version', '1.30.0', '--set', value]);
    expect([ran.code, ran.said]).toEqual([1, expect.stringContaining(said)]);
  });
});
