// A decision of the policy by itself: which operation is it, may this identity, and how far; with 1,000 roles and 10,000
// bindings, of which every hundredth is a pattern, beside a policy of ten bindings. Checked before it is measured: each
// answer has to be the one that the binding says. An identity's first decision works all of them through, and is told apart.

import { readPolicy } from '../../../src/config/policy-file.ts';
import { judge } from '../../../src/inbound/permission.ts';
import { findOperation, type Operation } from '../../../src/policy/operation.ts';
import { NO_ATTRIBUTES, type Policy } from '../../../src/policy/policy.ts';
import { say } from '../processes.ts';
import { OURS } from '../rows.ts';
import { quantileOf } from '../statistics.ts';
import type { SpecialWork } from './stage.ts';

const ROLES = 1_000;
const BINDINGS = 10_000;
const FEW = 10;
const DECISIONS = 200_000;
const WARM_UP = 100_000;
/** Few enough that no collection comes between. */
const COUNTED = 5_000;
const RUN = '/api/flow_runs/0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const REQUESTS: ReadonlyArray<readonly [string, string]> = [
  ['GET', RUN],
  ['POST', `${RUN}/set_state`],
  ['POST', '/api/flow_runs/filter'],
  ['POST', '/api/logs/'],
  ['POST', '/api/work_pools/pool-1/get_scheduled_flow_runs'],
  ['DELETE', '/api/variables/name/x'],
];

function policyOf(roles: number, bindings: number): Policy {
  const lines = ['roles:'];
  for (let i = 0; i < roles; i++) lines.push(`  role-${i}: {extends: [Worker], permissions: [write_variables]}`);
  lines.push('bindings:');
  for (let i = 0; i < bindings; i++) {
    const who = i % 100 === 99 ? `match: 'worker/m-${i}-.*'` : `identity: worker/w-${i}`;
    lines.push(`  - {role: role-${i % roles}, ${who}${i % 3 === 0 ? ', pools: [pool-1]' : ''}}`);
  }
  const read = readPolicy(`${lines.join('\n')}\n`, 'bench.yaml');
  if (!read.ok) throw new Error(`the policy of the bench is wrong: ${read.problems[0]?.problem}`);
  return read.policy;
}

/** One decision, as the gate makes it for a request that its connection has not read before. */
function decideOnce(policy: Policy, identity: string, at: number): boolean {
  const [method, path] = REQUESTS[at % REQUESTS.length] ?? ['GET', '/'];
  const operation: Operation | null = findOperation(method, path);
  return judge(policy, { identity, attributes: NO_ATTRIBUTES }, operation, path).refusal === null;
}

function measure(policy: Policy, identities: readonly string[]) {
  const first = identities.slice(0, 500).map((identity) => {
    const began = process.hrtime.bigint();
    if (!decideOnce(policy, identity, 0)) throw new Error(`${identity} is refused what its binding says`);
    return Number(process.hrtime.bigint() - began) / 1000;
  });
  const name = (i: number): string => identities[(i * 7919) % identities.length] ?? '';
  for (let i = 0; i < WARM_UP; i++) {
    if (decideOnce(policy, name(i), i) !== (i % REQUESTS.length !== 5))
      throw new Error(`${name(i)} is decided about wrongly`);
  }
  const times: number[] = [];
  for (let i = 0; i < DECISIONS; i++) {
    const identity = name(i);
    const began = process.hrtime.bigint();
    decideOnce(policy, identity, i);
    times.push(Number(process.hrtime.bigint() - began) / 1000);
  }
  const bytes: number[] = [];
  for (let round = 0; round < 9; round++) {
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < COUNTED; i++) decideOnce(policy, name(i), i % 5);
    bytes.push((process.memoryUsage().heapUsed - before) / COUNTED);
  }
  return {
    first,
    times,
    bytes: quantileOf(
      bytes.filter((one) => one >= 0),
      0.5,
    ),
  };
}

export const decision: SpecialWork = {
  name: 'decision',
  title: `a decision of the policy, with ${ROLES} roles and ${BINDINGS} bindings`,
  async run() {
    const names = (count: number) =>
      Array.from({ length: count }, (_, i) => (i % 100 === 99 ? `worker/m-${i}-x` : `worker/w-${i}`));
    const few = measure(policyOf(FEW, FEW), names(FEW));
    const many = measure(policyOf(ROLES, BINDINGS), names(BINDINGS));
    const [p50, p99] = [quantileOf(many.times, 0.5), quantileOf(many.times, 0.99)];
    say(`decision: p50 ${p50.toFixed(2)} µs, p99 ${p99.toFixed(2)} µs, ${many.bytes.toFixed(0)} bytes`);
    const row = (name: string, unit: string, value: number) => {
      return { name, unit, figures: [{ contestant: OURS, values: [value] }] };
    };
    return {
      rows: [
        row('decision p50', 'µs', p50),
        row('decision p99', 'µs', p99),
        row('decision bytes', 'B', many.bytes),
        row(`decision p99, ${FEW} bindings`, 'µs', quantileOf(few.times, 0.99)),
        row(`decision bytes, ${FEW} bindings`, 'B', few.bytes),
        row('decision first of an identity p50', 'µs', quantileOf(many.first, 0.5)),
      ],
      notes: ['a third of the bindings has a pool; one request in six is refused, with all its words'],
    };
  },
};
