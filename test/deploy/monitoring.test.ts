// The rules of deploy/monitoring ask for what a gate or a sidecar tells, by the very code that tells it, and nothing else: an
// alert on a figure that nobody has would be silent for ever.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { toldOfGate } from '../../src/inbound/status/told-of-gate.ts';
import { exposition } from '../../src/observe/exposition.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { createSidecarState } from '../../src/outbound/sidecar-state.ts';
import { toldOfSidecar } from '../../src/outbound/told-of-sidecar.ts';
import { samplesOf } from '../observe/exposed.ts';
import { read } from './documents.ts';
import { root } from './tools.ts';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
}
const { groups } = parse(read('monitoring/certgate.rules.yaml')) as {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[];
};
const rules = groups.flatMap((group) => group.rules);
const operations = readFileSync(join(root, 'docs/operations.md'), 'utf8');

const process = { cpu: 1, resident: 2, started: 3 };
const gate = toldOfGate({
  ...{ status: 'ok', store: true, audit: true, upstream: true, workers: true, connections: 0 },
  locks: { standing: 0, everyone: false },
  metrics: createMetrics(),
  ends: { gate: 1, issuer: 1, root: 1 },
});
const sidecar = toldOfSidecar({
  ...{ certificate: true, trust: true, gate: true, filesRefused: false, begins: 0, ends: { identity: 1, trust: 1 } },
  open: { connections: 0, requestsOpen: 0, tunnels: 0 },
  state: createSidecarState(),
});
/** All that is told: names with their labels, as they stand in the text. */
const told = [gate, sidecar].flatMap((each) => [
  ...samplesOf(exposition({ ...each, version: '1.0.0', process })).keys(),
]);
const names = new Set(told.map((sample) => sample.replace(/\{.*/, '')));
const families = new Set([...names].map((name) => name.replace(/_(bucket|sum|count)$/, '')));
/** Words of the language, and what Prometheus itself has of each target. */
const OWN = new Set(['rate', 'increase', 'time', 'and', 'unless', 'offset', 'up']);

/** Names in `expr` that are neither told nor the language's. */
const unknownIn = (expr: string): readonly string[] => {
  const bare = expr.replaceAll(/\{[^}]*\}|\[[^\]]*\]|\boffset \w+/g, ' ');
  return [...bare.matchAll(/[a-z_][a-z0-9_]*/gi)]
    .map(([word]) => word)
    .filter((word) => !names.has(word) && !OWN.has(word));
};

/** Values in the matchers of `expr` that the figure never has. */
const unmatchedIn = (expr: string): readonly string[] =>
  [...expr.matchAll(/(certgate_\w+)\{(\w+)=~?"([^"]*)"\}/g)].flatMap(([, name, label, values = '']) =>
    values.split('|').filter((value) => !told.includes(`${name}{${label}="${value}"}`)),
  );

describe('the rules for Prometheus', () => {
  test('are there, each with its own name, how bad it is, and a sentence', () => {
    expect(rules.length).toBeGreaterThan(10);
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { alert, labels, annotations } of rules) {
      expect(alert).toMatch(/^Certgate[A-Za-z]+$/);
      expect(['critical', 'warning']).toContain(labels.severity);
      expect(annotations.summary.length).toBeGreaterThan(20);
    }
  });

  test.each(rules.map(({ alert, expr }) => [alert, expr]))('%s asks for what is told: %s', (_alert, expr) => {
    expect([unknownIn(expr), unmatchedIn(expr)]).toEqual([[], []]);
    // No braces but those of one matcher, which are looked into.
    expect(expr.replaceAll(/(?:certgate_\w+|up)\{\w+=~?"[^"]*"\}/g, '')).not.toMatch(/[{}]/);
  });

  test('have their meaning in docs/operations.md, which names no figure that is not told', () => {
    expect(rules.map(({ alert }) => alert).filter((alert) => !operations.includes(`\`${alert}\``))).toEqual([]);
    const named = [...operations.matchAll(/\b(?:certgate|process)_[a-z_]+[a-z]\b/g)].map(([name]) => name);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => !families.has(name) && !names.has(name))).toEqual([]);
  });

  test('would be found out if they asked for anything else', () => {
    expect(unknownIn('rate(certgate_request_total[5m]) > 1')).toEqual(['certgate_request_total']);
    expect(unmatchedIn('certgate_healthy{part=~"store|audit"} == 0')).toEqual(['audit']);
  });
});
