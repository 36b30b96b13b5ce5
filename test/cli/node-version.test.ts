import { expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { isTooOld, requireNode } from '../../src/cli/node-version.ts';

test.each([
  ['20.20.2', true],
  ['24.14.1', true],
  ['24.15.0', false],
  ['26.10.0', false],
  ['100.0.0', false],
])('Node %s: too old is %s, as package.json says', (version, tooOld) => {
  expect(isTooOld(version)).toBe(tooOld);
  expect(manifest.engines.node).toBe('>=24.15');
});

test('is told by its version and what is needed', () => {
  expect(() => requireNode('20.20.2')).toThrow(/Node 20\.20\.2 is too old: certgate needs 24\.15 or newer/);
  expect(() => requireNode('26.0.0')).not.toThrow();
});
