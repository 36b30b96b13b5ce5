// The contestants of one run, started and checked: who takes part, who is not here, who answered wrongly.

import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Form } from './build.ts';
import type { Certificates } from './certificates.ts';
import { checkContestant, notYetAnswering } from './check.ts';
import { certgateFrom } from './contestants/certgate.ts';
import { type Contestant, OUTPUT_FILE, type Place } from './contestants/contestant.ts';
import { ghostunnel } from './contestants/ghostunnel.ts';
import { haproxy } from './contestants/haproxy.ts';
import { nginx, nginxTickets } from './contestants/nginx.ts';
import { nodeContestant } from './contestants/node-contestant.ts';
import { nodeTls } from './contestants/node-tls.ts';
import { processTree, residentBytes } from './cpu.ts';
import { freePort, reasonOf, say, startProcess, stopProcess, tailOf } from './processes.ts';
import type { ContestantFacts, Out } from './report.ts';

/** All that there are, in the order of their turns. */
export const contestantsWith = (form: Form): readonly Contestant[] => [
  certgateFrom(form),
  nginx,
  haproxy,
  ghostunnel,
  nodeContestant('httpxy'),
  nodeContestant('http-proxy'),
  nodeTls,
  nginxTickets,
];

const START_LIMIT_MS = 60_000;

/** A contestant that runs and answers. */
export interface Running {
  readonly facts: ContestantFacts;
  readonly pid: number;
  readonly port: number;
  /** Empties its logs, so that a long run does not fill the disk. */
  emptyLogs(): void;
  /** The end of its output, for the message about a failure. */
  lastWords(): string;
  stop(): Promise<void>;
}

export interface Ground {
  /** A folder for the run; each contestant gets one of its own inside. */
  readonly dir: string;
  /** As taskset takes it: `0`, or `0,1`. */
  readonly core: string | null;
  readonly upstreamPort: number;
  readonly certificates: Certificates;
  readonly accessLog: boolean;
  readonly profileDir: string | null;
}

/** Those that can take part on this machine; why the others can't goes into `skipped`. */
export async function presentOf(all: readonly Contestant[], skipped: Out[]): Promise<Contestant[]> {
  const present: Contestant[] = [];
  for (const contestant of all) {
    const reason = await contestant.absent();
    if (reason === null) {
      present.push(contestant);
      continue;
    }
    skipped.push({ name: contestant.name, reason });
    say(`skipped ${contestant.name}: ${reason}`);
  }
  return present;
}

/** Waits for the first answer. @returns ms since `beganAt` */
async function firstAnswer(child: ChildProcess, place: Place, beganAt: number): Promise<number> {
  let seen: string | null = null;
  while (performance.now() - beganAt < START_LIMIT_MS) {
    seen = await notYetAnswering(place.port, place.certificates);
    if (seen === null) return performance.now() - beganAt;
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('ended instead of starting');
    await sleep(5);
  }
  throw new Error(`did not answer within ${START_LIMIT_MS} ms of its start: ${seen}`);
}

/**
 * Starts a contestant and waits for its first answer.
 * @throws with why it gave none and the end of its output; it no longer runs then
 */
export async function launch(contestant: Contestant, ground: Ground): Promise<Running> {
  const dir = join(ground.dir, contestant.name);
  mkdirSync(dir, { recursive: true });
  const outputFile = join(dir, OUTPUT_FILE);
  const place: Place = {
    dir,
    port: await freePort(),
    upstreamPort: ground.upstreamPort,
    certificates: ground.certificates,
    accessLog: ground.accessLog,
    profileDir: ground.profileDir,
    start: (command, args, options = {}) =>
      startProcess(command, args, { ...options, core: ground.core, cwd: dir, outputFile }),
  };
  const beganAt = performance.now();
  const child = contestant.start(place);
  try {
    const startMs = await firstAnswer(child, place, beganAt);
    const pid = child.pid ?? 0;
    const idleResidentBytes = residentBytes(processTree(pid));
    return {
      facts: { name: contestant.name, version: contestant.version(), startMs, idleResidentBytes },
      pid,
      port: place.port,
      emptyLogs() {
        for (const file of contestant.growingFiles.map((name) => join(dir, name))) {
          if (existsSync(file)) truncateSync(file);
        }
      },
      lastWords: () => tailOf(outputFile),
      stop: () => stopProcess(child),
    };
  } catch (error) {
    await stopProcess(child);
    throw new Error(`${reasonOf(error)}\n${tailOf(outputFile)}`, { cause: error });
  }
}

/** Starts a contestant and checks that it answers rightly. @throws with what it did wrong; it no longer runs then */
export async function enter(contestant: Contestant, ground: Ground): Promise<Running> {
  const running = await launch(contestant, ground);
  try {
    await checkContestant(contestant, running.port, ground.certificates);
    return running;
  } catch (error) {
    await running.stop();
    throw new Error(`${reasonOf(error)}\n${running.lastWords()}`, { cause: error });
  }
}
