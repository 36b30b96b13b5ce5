// From `certgate revoke` to the end of every connection of the identity: many idle ones, some with requests in flight and
// some WebSockets. Time zero is the command's first line, which it prints when the revocation is committed, before it
// tells the gate; so whatever the gate needs to hear of it counts. An end is the FIN or RST as the client's kernel has it.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { mainOf } from '../build.ts';
import { certgateFrom } from '../contestants/certgate.ts';
import { OUTPUT_FILE } from '../contestants/contestant.ts';
import { launch } from '../field.ts';
import { descriptorLimit, keep, reasonOf, say, startProcess, stopProcess } from '../processes.ts';
import { OURS } from '../rows.ts';
import { quantileOf } from '../statistics.ts';
import type { BusyMessage } from './busy.ts';
import { holdConnections } from './holder.ts';
import type { SpecialWork, Stage } from './stage.ts';

/** Of the connections, how many ask all the time and how many are WebSockets. */
const BUSY = { requests: 32, tunnels: 32 };
const OTHER_DESCRIPTORS = 400;
const LIMIT_MS = 60_000;

interface Cut {
  readonly connections: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** Half of those that ask all the time or are WebSockets: the others may have been between two requests. */
  readonly inUse: number;
  /** ms from the command's start to its first line, and to its end. */
  readonly committedMs: number;
  readonly commandMs: number;
}

/** Runs `certgate revoke`. @returns ns of its start, its first line and its end, and all that it said */
async function revoke(identity: string, stage: Stage) {
  const { form } = stage.options;
  const began = process.hrtime.bigint();
  const child = keep(
    spawn(process.execPath, [mainOf(form), 'revoke', identity], {
      cwd: stage.ground.certificates.authorityDir,
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  let committed: bigint | null = null;
  let said = '';
  const hear = (text: Buffer): void => {
    said += text.toString();
  };
  child.stdout.on('data', (text: Buffer) => {
    committed ??= process.hrtime.bigint();
    hear(text);
  });
  child.stderr.on('data', hear);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0 || committed === null) throw new Error(`certgate revoke ended with ${code}: ${said}`);
  return { began, committed, ended: process.hrtime.bigint(), said };
}

/** Issues a certificate for `identity`. @returns the paths of its files */
async function issue(identity: string, stage: Stage) {
  const { authorityDir, bundle } = stage.ground.certificates;
  const out = join(authorityDir, identity.replace('/', '-'));
  const args = [mainOf(stage.options.form), 'issue', identity, '--out', out];
  await promisify(execFile)(process.execPath, args, { cwd: authorityDir });
  return { chain: join(out, 'tls.crt'), key: join(out, 'tls.key'), bundle };
}

async function startBusy(stage: Stage, words: readonly (string | number)[]) {
  const child = startProcess(process.execPath, [join(import.meta.dirname, 'busy.ts'), ...words.map(String)], {
    core: stage.cores.load,
    cwd: stage.ground.dir,
    outputFile: join(stage.ground.dir, 'busy.log'),
    ipc: true,
  });
  const messages: BusyMessage[] = [];
  child.on('message', (message) => messages.push(message as BusyMessage));
  const next = async (): Promise<BusyMessage> => {
    if (messages.length === 0) await Promise.race([once(child, 'message'), once(child, 'exit')]);
    const message = messages.shift();
    if (message === undefined) throw new Error('the busy connections ended');
    return message;
  };
  return { child, next };
}

async function cutOnce(identity: string, stage: Stage): Promise<Cut> {
  const files = await issue(identity, stage);
  const running = await launch(certgateFrom(stage.options.form), stage.ground);
  const stops: (() => Promise<void>)[] = [() => running.stop()];
  try {
    const idle = Math.min(stage.options.connections, descriptorLimit() - OTHER_DESCRIPTORS);
    const holder = await holdConnections({ ...files, core: stage.cores.load, port: running.port, connections: idle });
    stops.unshift(() => holder.stop());
    const busyWords = [running.port, files.chain, files.key, files.bundle, BUSY.requests, BUSY.tunnels];
    const busy = await startBusy(stage, busyWords);
    stops.unshift(() => stopProcess(busy.child));
    await busy.next();
    const ends = Promise.all([holder.ends(), busy.next()]);
    ends.catch(() => {});
    const command = await revoke(identity, stage);
    const late = AbortSignal.timeout(LIMIT_MS);
    const [held, worked] = await Promise.race([
      ends,
      once(late, 'abort').then(() => {
        throw new Error(`connections were still open ${LIMIT_MS} ms after ${command.said}`);
      }),
    ]);
    const workedEnds = 'gone' in worked ? worked.gone.map(BigInt) : [];
    const since = (ns: bigint): number => Number(ns - command.committed) / 1e6;
    const sinceCommit = [...held, ...workedEnds].map(since);
    const at = (part: number): number => quantileOf(sinceCommit, part);
    return {
      connections: sinceCommit.length,
      p50: at(0.5),
      p99: at(0.99),
      max: at(1),
      inUse: quantileOf(workedEnds.map(since), 0.5),
      committedMs: Number(command.committed - command.began) / 1e6,
      commandMs: Number(command.ended - command.began) / 1e6,
    };
  } catch (error) {
    throw new Error(`${reasonOf(error)}\n${running.lastWords()} (${OUTPUT_FILE})`, { cause: error });
  } finally {
    for (const stop of stops) await stop();
  }
}

export const revocation: SpecialWork = {
  name: 'revoke',
  title: `certgate revoke to the end of every connection of the identity (${BUSY.requests} with requests in flight, ${BUSY.tunnels} WebSockets, the others idle)`,
  async run(stage) {
    const cuts: Cut[] = [];
    for (let round = 1; round <= stage.options.rounds; round++) {
      const cut = await cutOnce(`worker/cut-${round}`, stage);
      cuts.push(cut);
      say(
        `revoke ${round}: ${cut.connections} connections, p99 ${cut.p99.toFixed(1)} ms, last ${cut.max.toFixed(1)} ms`,
      );
    }
    const row = (name: string, pick: (cut: Cut) => number) => {
      return { name, unit: 'ms', figures: [{ contestant: OURS, values: cuts.map(pick) }] };
    };
    return {
      rows: [
        row('revoke p50', (cut) => cut.p50),
        row('revoke p99', (cut) => cut.p99),
        row('revoke last', (cut) => cut.max),
        row('revoke p50 in use', (cut) => cut.inUse),
        row('revoke start to committed', (cut) => cut.committedMs),
        row('revoke whole command', (cut) => cut.commandMs),
      ],
      notes: [`${cuts[0]?.connections ?? 0} connections; ms after the commit, but for the last two`],
    };
  },
};
