// What a scope costs: two gates in turn on one core, one whose policy keeps the client to a pool, one whose policy does not. A
// worker's poll, which the path alone decides; a filter, whose body is read and added to; a flow run by its id, whose pool is
// looked up and kept. Checked before it is measured: the narrowed body arrives, and another pool is refused.

import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ask } from '../check.ts';
import { certgateFrom } from '../contestants/certgate.ts';
import { launch, type Running } from '../field.ts';
import { say } from '../processes.ts';
import { OURS } from '../rows.ts';
import {
  answers,
  ECHO_QUERY,
  type EchoedRequest,
  type Request,
  requestBytes,
  SCOPE_POOL,
  scopeWorks,
  type Work,
} from '../works.ts';
import type { SpecialWork, Stage } from './stage.ts';

const EVERYWHERE = 'no scope';
const POLICIES = {
  [OURS]: `bindings: [{role: Worker, match: '.+', pools: [${SCOPE_POOL}]}]\n`,
  [EVERYWHERE]: "bindings: [{role: Worker, match: '.+'}]\n",
};

/** Each gate has a state folder of its own: a second on one is refused. */
async function startWith(label: string, policy: string, { options, ground }: Stage): Promise<Running> {
  const authorityDir = join(ground.dir, `scope-${label === OURS ? 'pool' : 'none'}`);
  await cp(ground.certificates.authorityDir, authorityDir, { recursive: true });
  await writeFile(join(authorityDir, 'policy.yaml'), policy);
  const contestant = { ...certgateFrom(options.form), name: `certgate, ${label}` };
  return await launch(contestant, { ...ground, certificates: { ...ground.certificates, authorityDir } });
}

/** @throws when the gate does not keep to its scope, or keeps to one that it does not have */
async function check(label: string, port: number, { ground: { certificates } }: Stage): Promise<void> {
  const said = async (request: Request) => await ask(port, certificates, requestBytes(request));
  for (const { requests } of scopeWorks) {
    for (const request of requests) {
      const { status, body } = await said(request);
      if (status !== 200 || !body.equals(answers.get(request.target) ?? Buffer.alloc(0)))
        throw new Error(
          `${label}: ${request.method} ${request.target} was answered with ${status}: ${body.toString()}`,
        );
      if (request.body === null || !request.target.endsWith('/filter')) continue;
      const echoed = await said({ ...request, target: request.target + ECHO_QUERY });
      const { bodyLength } = JSON.parse(echoed.body.toString()) as EchoedRequest;
      if (bodyLength > request.body.length !== (label === OURS))
        throw new Error(`${label}: of a filter of ${request.body.length} bytes ${bodyLength} arrived`);
    }
  }
  const other = {
    method: 'POST',
    target: '/api/work_pools/other/get_scheduled_flow_runs',
    body: Buffer.from('{}'),
  } as const;
  const { status } = await said(other);
  // The upstream has no such target.
  if (status !== (label === OURS ? 403 : 404)) throw new Error(`${label}: another pool was answered with ${status}`);
}

export const scope: SpecialWork = {
  name: 'scope',
  title: 'a client that is kept to a pool against one that is not',
  async run(stage) {
    const gates = new Map<string, Running>();
    const cpu = new Map<string, number[]>();
    const key = (work: Work, label: string): string => `${work.name} ${label}`;
    try {
      for (const [label, policy] of Object.entries(POLICIES)) gates.set(label, await startWith(label, policy, stage));
      for (const [label, { port }] of gates) await check(label, port, stage);
      const turn = async (work: Work, { port, pid }: Running, warmSeconds: number, seconds: number) =>
        await stage.instruments.measure({ work: work.name, port, contestantPid: pid, warmSeconds, seconds });
      for (const work of scopeWorks) for (const running of gates.values()) await turn(work, running, 1, 0.05);
      for (let round = 1; round <= stage.options.rounds; round++) {
        for (const work of scopeWorks) {
          for (const [label, running] of gates) {
            const { cpuMicros } = await turn(work, running, 0.3, stage.options.seconds);
            cpu.set(key(work, label), [...(cpu.get(key(work, label)) ?? []), cpuMicros]);
            say(`${work.name} ${round} ${label}: ${cpuMicros.toFixed(1)} µs`);
            running.emptyLogs();
          }
        }
      }
    } finally {
      for (const running of gates.values()) await running.stop();
    }
    return {
      rows: scopeWorks.map((work) => ({
        name: work.name,
        unit: 'CPU µs/request',
        figures: Object.keys(POLICIES).map((label) => ({ contestant: label, values: cpu.get(key(work, label)) ?? [] })),
      })),
      notes: [`${OURS} is kept to a pool, ${EVERYWHERE} is the same gate with the same role everywhere`],
    };
  },
};
