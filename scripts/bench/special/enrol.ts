// What a certificate costs the CA: a one-time token and a P-256 request come over TLS, a certificate goes back, and is on
// record. Each CA shows first that it does that; then they take turns on one core. Connections are kept alive in `enrol`,
// which leaves the CA's own cost; in `enrol, a connection each` every machine makes its own, as in life.

import type { ChildProcess } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { factsOf, signerOf } from '../../../src/pki/certificates.ts';
import { createRequest } from '../../../src/pki/requests.ts';
import type { Applicant, Ca, CaPlace, RunningCa } from '../cas/ca.ts';
import { certgateCa } from '../cas/certgate.ts';
import { cfssl } from '../cas/cfssl.ts';
import type { EnrolOrder, EnrolReply } from '../cas/enrol-load.ts';
import { stepCa } from '../cas/step-ca.ts';
import { cpuMicroseconds, processTree } from '../cpu.ts';
import { freePort, reasonOf, say, startProcess, stopProcess, tailOf } from '../processes.ts';
import { OURS } from '../rows.ts';
import { quantileOf } from '../statistics.ts';
import type { SpecialWork, Stage } from './stage.ts';

/** Certificates of each CA in each round, of each of the two kinds. */
const EACH = 1_500;
/** Before the first round, of each CA: V8 is at work on what a certificate takes until then. */
const WARM_UP = 10_000;
const CHECKED = 20;
const CONNECTIONS = 32;
const START_LIMIT_MS = 60_000;

const KINDS = [
  { row: 'enrol', keepAlive: true },
  { row: 'enrol, a connection each', keepAlive: false },
] as const;

interface Measure {
  readonly cpuMicros: number;
  readonly perSecond: number;
  readonly p99: number;
  readonly share: number;
}

interface Entrant {
  readonly ca: Ca;
  readonly running: RunningCa;
  readonly port: number;
  readonly outputFile: string;
  readonly measures: Map<string, Measure[]>;
}

let named = 0;
async function applicantsFor(count: number): Promise<Applicant[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const name = `etl-${++named}`;
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      return { name, publicKey, csr: await createRequest(signerOf(privateKey), { commonName: name }) };
    }),
  );
}

async function startLoad(stage: Stage): Promise<{ child: ChildProcess; ask(order: EnrolOrder): Promise<EnrolReply> }> {
  const child = startProcess(process.execPath, [join(import.meta.dirname, '../cas/enrol-load.ts')], {
    core: stage.cores.load,
    cwd: stage.ground.dir,
    outputFile: join(stage.ground.dir, 'enrol-load.log'),
    ipc: true,
  });
  const ended = once(child, 'exit').then(() => {
    throw new Error('the load generator ended');
  });
  ended.catch(() => {});
  const heard = async (): Promise<unknown> => {
    const [message] = (await Promise.race([once(child, 'message'), ended])) as [unknown];
    return message;
  };
  await heard();
  return {
    child,
    async ask(order) {
      const reply = heard();
      child.send(order);
      return (await reply) as EnrolReply;
    },
  };
}

async function enter(ca: Ca, stage: Stage): Promise<Entrant> {
  const dir = join(stage.ground.dir, `ca-${ca.name}`);
  mkdirSync(dir, { recursive: true });
  const outputFile = join(dir, 'output.log');
  const place: CaPlace = {
    dir,
    port: await freePort(),
    upstreamPort: stage.ground.upstreamPort,
    profileDir: stage.ground.profileDir,
    start: (command, args, options = {}) =>
      startProcess(command, args, { ...options, core: stage.cores.contestant, cwd: dir, outputFile }),
  };
  const running = await ca.start(place);
  return { ca, running, port: place.port, outputFile, measures: new Map() };
}

type Load = Awaited<ReturnType<typeof startLoad>>;

async function ask(
  entrant: Entrant,
  applicants: readonly Applicant[],
  load: Load,
  keepAlive: boolean,
  verifies = false,
) {
  const { running, port, ca } = entrant;
  const made = await running.requestsFor(applicants);
  const pids = processTree(running.child.pid ?? 0);
  const before = cpuMicroseconds(pids);
  const requests = made.map((one) => one.toString('base64'));
  const reply = await load.ask({ port, trust: running.trust, requests, connections: CONNECTIONS, keepAlive, verifies });
  if ('failure' in reply) throw new Error(`${ca.name}: ${reply.failure}\n${tailOf(entrant.outputFile)}`);
  return { ...reply, cpuMicros: (cpuMicroseconds(pids) - before) / applicants.length };
}

/** The certificate is for this machine and its key, by this CA, and is on record. @throws with what is wrong */
async function check({ running }: Entrant, { name, publicKey }: Applicant, body: string): Promise<void> {
  const leaf = new X509Certificate(running.certificateIn(body));
  const issuer = new X509Certificate(running.issuer);
  const { subject, subjectAltNames, serial } = factsOf(leaf);
  const problems = [
    leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey) ? '' : 'its issuer has not signed it',
    leaf.publicKey.equals(publicKey) ? '' : 'it is for another key',
    leaf.validToDate.getTime() > Date.now() ? '' : 'it has ended',
    subject.some(([attribute, value]) => attribute === 'CN' && [name, `worker/${name}`].includes(value))
      ? ''
      : `its subject is ${JSON.stringify(subject)}`,
    subjectAltNames.some(({ value }) => value === name || value.endsWith(`/worker/${name}`))
      ? ''
      : `its names are ${JSON.stringify(subjectAltNames)}`,
    (await running.isRecorded(serial)) === false ? 'it is not on record' : '',
  ].filter((problem) => problem !== '');
  if (problems.length > 0) throw new Error(`the certificate of ${name}: ${problems.join('; ')}`);
}

/** Waits until it listens, and has it show that it does what it is measured for. */
async function prove(entrant: Entrant, load: Load): Promise<void> {
  const began = performance.now();
  for (;;) {
    const applicants = await applicantsFor(1);
    try {
      await ask(entrant, applicants, load, true, true);
      break;
    } catch (error) {
      const { exitCode, signalCode } = entrant.running.child;
      const late = performance.now() - began > START_LIMIT_MS;
      if (late || exitCode !== null || signalCode !== null || !reasonOf(error).includes('ECONNREFUSED')) throw error;
      await sleep(50);
    }
  }
  const applicants = await applicantsFor(CHECKED);
  const { bodies } = await ask(entrant, applicants, load, true, true);
  for (const [i, applicant] of applicants.entries()) await check(entrant, applicant, bodies[i] ?? '');
}

async function measure(entrant: Entrant, load: Load, keepAlive: boolean): Promise<Measure> {
  const { ms, seconds, share, cpuMicros } = await ask(entrant, await applicantsFor(EACH), load, keepAlive);
  return { cpuMicros, perSecond: EACH / seconds, p99: quantileOf(ms, 0.99), share };
}

/** All, or certgate alone where it was asked for alone. */
function casOf({ options: { form, only } }: Stage): readonly Ca[] {
  return only.every((name) => name === OURS) ? [certgateCa(form)] : [certgateCa(form), stepCa, cfssl];
}

function noteOf({ ca, measures }: Entrant, row: string): string {
  const middle = (pick: (measure: Measure) => number): number => {
    return quantileOf((measures.get(row) ?? []).map(pick), 0.5);
  };
  const rate = `${middle((one) => one.perSecond).toFixed(0)} certificates/s`;
  const slow = `p99 ${middle((one) => one.p99).toFixed(1)} ms`;
  return `${row}: ${ca.name} ${rate}, ${slow}, the load generator at ${(middle((one) => one.share) * 100).toFixed(0)} % of its core`;
}

export const enrol: SpecialWork = {
  name: 'enrol',
  title: `a certificate for a one-time token and a P-256 request, ${CONNECTIONS} machines at once`,
  async run(stage) {
    const load = await startLoad(stage);
    const entrants: Entrant[] = [];
    const notes: string[] = [];
    try {
      for (const ca of casOf(stage)) {
        const reason = await ca.absent();
        if (reason !== null) {
          notes.push(`${ca.name} is not here: ${reason}`);
          say(`skipped ${ca.name}: ${reason}`);
          continue;
        }
        const entrant = await enter(ca, stage);
        entrants.push(entrant);
        await prove(entrant, load);
        await ask(entrant, await applicantsFor(WARM_UP), load, true);
      }
      for (let round = 1; round <= stage.options.rounds; round++) {
        for (const { row, keepAlive } of KINDS) {
          for (const entrant of entrants) {
            const measured = await measure(entrant, load, keepAlive);
            entrant.measures.set(row, [...(entrant.measures.get(row) ?? []), measured]);
            const { cpuMicros, perSecond } = measured;
            say(`${row} ${round} ${entrant.ca.name}: ${cpuMicros.toFixed(0)} µs, ${perSecond.toFixed(0)}/s`);
          }
        }
      }
    } finally {
      for (const { running } of entrants) await stopProcess(running.child);
      await stopProcess(load.child);
    }
    const figuresOf = (row: string, pick: (measure: Measure) => number) =>
      entrants.map(({ ca, measures }) => ({ contestant: ca.name, values: (measures.get(row) ?? []).map(pick) }));
    const versions = entrants.filter(({ ca }) => ca.name !== OURS).map(({ ca }) => `${ca.name} ${ca.version()}`);
    return {
      rows: KINDS.map(({ row }) => {
        return { name: row, unit: 'CPU µs/certificate', figures: figuresOf(row, (one) => one.cpuMicros) };
      }),
      notes: [
        `against ${versions.join(', ') || 'nobody'}; certgate: one token of one use each, SQLite synchronous=FULL; step-ca: JWK tokens, Badger, its log opened with O_DSYNC; cfssl: no token, no record; ${WARM_UP} certificates each before the first round`,
        ...notes,
        ...KINDS.flatMap(({ row }) => entrants.map((entrant) => noteOf(entrant, row))),
      ],
    };
  },
};
