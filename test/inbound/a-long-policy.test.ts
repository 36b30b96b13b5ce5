// A policy that takes long to read is read beside the event loop of a gate that serves: requests go on meanwhile, and what a
// reload promises holds for it as for a short one. Real threads.
import { rmSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { takePolicy } from '../../src/config/policy-load.ts';
import { type PolicyWords, policyFrom } from '../../src/config/policy-words.ts';
import { attributesOf } from '../../src/identity/identify.ts';
import { policyInTurns } from '../../src/inbound/policy-apart.ts';
import { type WatchedPolicy, watchedPolicy } from './watched-policy.ts';

let { folder, path, watch, metrics, said, taken } = {} as WatchedPolicy;

const MANY = 3_000;
const others = Array.from({ length: MANY }, (_, i) =>
  i % 3 === 0 ? `  - {role: Viewer, match: 'user/a${i}-[0-9]+'}\n` : `  - {role: Viewer, identity: user/a${i}}\n`,
).join('');
const long = (role: string, more = ''): string =>
  `bindings:\n  - {role: ${role}, identity: worker/etl-1}\n${others}${more}`;

beforeEach(() => {
  ({ folder, path, watch, metrics, said, taken } = watchedPolicy(
    'bindings: [{role: Viewer, identity: worker/etl-1}]\n',
  ));
});
afterEach(() => {
  watch.stop();
  rmSync(folder, { recursive: true });
});

/** Goes round the loop until it holds; how often that was. */
async function turns(holds: () => boolean): Promise<number> {
  let count = 0;
  for (; !holds(); count++) await new Promise((resolve) => setImmediate(resolve));
  return count;
}

test('the loop goes round while it is read, and what is taken then is what a short one would be', async () => {
  writeFileSync(path, long('Worker'));
  watch.reload();
  expect(await turns(() => taken.length > 0)).toBeGreaterThan(100);
  expect([taken, said]).toEqual([['Worker'], ['new policy taken']]);
  expect(metrics).toMatchObject({ policyReloads: 1, policyReloadFailures: 0 });
});

test('each that changes meanwhile is read after it, and the last one holds', async () => {
  writeFileSync(path, long('Worker'));
  watch.reload();
  writeFileSync(path, 'bindings: [{role: Owner, identity: worker/etl-1}]\n');
  for (let i = 0; i < 1_000; i++) watch.reload();
  await turns(() => taken.length === 2);
  expect(taken).toEqual(['Worker', 'Owner']);
});

test('one that is wrong, or fails its tests, is told as ever, with its places, and changes nothing', async () => {
  writeFileSync(path, long('Vorker', '  - {role: Viewer}\n'));
  watch.reload();
  await turns(() => said.length === 2);
  const refused = 'new policy refused, the old one stays: ';
  expect(said).toEqual([
    `${refused}policy.yaml:2:12: there is no role "Vorker"`,
    `${refused}policy.yaml:${MANY + 3}:5: this binding is for nobody`,
  ]);
  said.length = 0;
  writeFileSync(path, long('Owner', 'tests: [{identity: worker/etl-1, operation: create_flow, expect: deny}]\n'));
  watch.reload();
  await turns(() => said.length === 1);
  expect(said[0]).toContain(`${refused}policy.yaml:${MANY + 3}:9: `);
  expect([taken, metrics.policyReloads, metrics.policyReloadFailures]).toEqual([[], 0, 2]);
});

test('a gate that stops meanwhile takes nothing any more, and waits for nothing', async () => {
  writeFileSync(path, long('Worker'));
  watch.reload();
  watch.stop();
  watch.reload();
  await turns(() => process.getActiveResourcesInfo().every((one) => one !== 'MessagePort'));
  expect([taken, said]).toEqual([[], []]);
});

test('a policy that is made again of its words, at once or in turns, gives everybody the same', async () => {
  const text = `mode: observe
roles:
  less: {extends: [Developer], deny: [write_variables], mode: observe}
bindings:
  - {role: [less, Viewer], identity: [user/a, user/b], tag: team-a}
  - {role: Worker, match: ['worker/x-[0-9]+', 'worker/y.*'], pools: [etl, ml]}
  - {role: Owner, group: [Ops]}
  - {role: Runner, certificate: {O: [Data, 'Te.*'], DNS: '.*[.]example[.]org'}}
tests:
  - {identity: user/a, operation: read_flow, expect: allow}
`;
  const { policy, words } = takePolicy({ text, file: 'p' });
  const sent = JSON.parse(JSON.stringify(words)) as PolicyWords;
  expect(sent).toEqual(words);
  const again = [policyFrom(sent).policy, (await policyInTurns(sent)).policy];
  const identities = fc.constantFrom('user/a', 'user/b', 'user/c', 'worker/x-1', 'worker/x-', 'worker/y', 'worker/z');
  const values = fc.subarray([
    ['O', 'Data'],
    ['O', 'Team'],
    ['DNS', 'a.example.org'],
    ['DNS', 'example.org'],
  ] as [string, string][]);
  fc.assert(
    fc.property(identities, fc.subarray(['Ops', 'Data', 'pool:etl']), values, (identity, groups, says) => {
      const attributes = attributesOf(groups, says);
      const { roles, allowed, denied, observes } = policy.grants(identity, attributes);
      for (const one of again) {
        expect(one.grants(identity, attributesOf(groups, says))).toMatchObject({ roles, allowed, denied, observes });
        for (const needs of [['see_flows'], ['write_variables'], null] as const) {
          const operation = needs === null ? null : { needs };
          expect(one.grants(identity, attributes).rule(operation)).toEqual(
            policy.grants(identity, attributes).rule(operation),
          );
        }
      }
    }),
  );
});
