// Whether the gate minds how many are revoked: two gates in turn on one core, one with a million revoked certificates in its
// store, one with none; both publish their lists. Handshakes, memory, the start, and what one more revocation takes.

import { execFile } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { storeFile } from '../../../src/authority/layout.ts';
import { readCertificate } from '../../../src/pki/certificates.ts';
import { keyIdOf } from '../../../src/pki/keys.ts';
import { mainOf } from '../build.ts';
import { notYetAnswering } from '../check.ts';
import { certgateFrom } from '../contestants/certgate.ts';
import { processTree, residentBytes } from '../cpu.ts';
import { type Ground, launch, type Running } from '../field.ts';
import { freePort, say } from '../processes.ts';
import { OURS } from '../rows.ts';
import { fillStore, MILLION } from './million.ts';
import type { SpecialWork, Stage } from './stage.ts';

const NONE = 'none revoked';
/** How long the gate is watched after a revocation, ms. */
const WATCHED = 6_000;
const LIST_LIMIT = 120_000;

/** Waits for the list of revocations. @returns ms from the call */
async function firstList(port: number): Promise<number> {
  const began = performance.now();
  while (performance.now() - began < LIST_LIMIT) {
    const answer = await fetch(`http://127.0.0.1:${port}/crl.crl`).catch(() => null);
    if (answer?.status === 200 && (await answer.arrayBuffer()).byteLength > 0) return performance.now() - began;
    await sleep(50);
  }
  throw new Error(`no list of revocations within ${LIST_LIMIT} ms`);
}

async function startOn(authorityDir: string, stage: Stage): Promise<{ running: Running; statusPort: number }> {
  const ground: Ground = { ...stage.ground, certificates: { ...stage.ground.certificates, authorityDir } };
  const statusPort = await freePort();
  const status = { CERTGATE_SERVE_STATUS_LISTEN: `127.0.0.1:${statusPort}` };
  const running = await launch(certgateFrom(stage.options.form, status), ground);
  return { running, statusPort };
}

/** One more revocation. @returns the longest that a new connection's answer took in the time after it, ms */
async function longestAfterRevoking(authorityDir: string, running: Running, name: string, stage: Stage) {
  const main = mainOf(stage.options.form);
  const run = (...args: string[]) => promisify(execFile)(process.execPath, [main, ...args], { cwd: authorityDir });
  await run('issue', name, '--out', join(authorityDir, name.replace('/', '-')));
  const revoked = run('revoke', name);
  let longest = 0;
  for (const began = performance.now(); performance.now() - began < WATCHED; await sleep(5)) {
    const asked = performance.now();
    const problem = await notYetAnswering(running.port, stage.ground.certificates);
    if (problem !== null) throw new Error(`no answer after a revocation: ${problem}`);
    longest = Math.max(longest, performance.now() - asked);
  }
  await revoked;
  return longest;
}

export const revoked: SpecialWork = {
  name: 'revoked',
  title: `${MILLION.toLocaleString('en')} revoked certificates against none`,
  async run(stage) {
    const { authorityDir } = stage.ground.certificates;
    const full = join(stage.ground.dir, 'million');
    cpSync(authorityDir, full, { recursive: true });
    const issuer = keyIdOf(readCertificate(readFileSync(join(full, 'certs', 'issuer.crt'), 'utf8')));
    say('revoked: writing a million certificates');
    fillStore(storeFile(join(full, 'state')), {
      issuer,
      derBytes: 620,
      revoked: MILLION,
      days: 0.5,
      lasts: 1,
      now: Date.now(),
    });
    const gates = new Map<string, Running>();
    const cpu = new Map<string, number[]>([
      [OURS, []],
      [NONE, []],
    ]);
    const first: Record<string, { idle: number; start: number; list: number; revoke: number[] }> = {};
    try {
      for (const [label, dir] of [
        [OURS, full],
        [NONE, authorityDir],
      ] as const) {
        const { running, statusPort } = await startOn(dir, stage);
        gates.set(label, running);
        const list = await firstList(statusPort);
        await sleep(2_000);
        const idle = residentBytes(processTree(running.pid)) / 1e6;
        first[label] = { idle, start: running.facts.startMs, list, revoke: [] };
        say(
          `revoked: ${label} started in ${running.facts.startMs.toFixed(0)} ms, its list came ${list.toFixed(0)} ms later, ${idle.toFixed(0)} MB`,
        );
      }
      const turn = async (label: string, warmSeconds: number, seconds: number) => {
        const running = gates.get(label);
        if (running === undefined) throw new Error(`no gate ${label}`);
        const order = { work: 'handshake' as const, port: running.port, contestantPid: running.pid };
        return stage.instruments.measure({ ...order, warmSeconds, seconds });
      };
      for (const label of gates.keys()) await turn(label, 2, 0.05);
      for (let round = 1; round <= stage.options.rounds; round++) {
        for (const label of gates.keys()) {
          const { cpuMicros, requestsPerSecond } = await turn(label, 0.3, stage.options.seconds);
          cpu.get(label)?.push(cpuMicros);
          say(`revoked ${round} ${label}: ${cpuMicros.toFixed(0)} µs, ${requestsPerSecond.toFixed(0)} handshakes/s`);
        }
      }
      for (const [label, running] of gates) {
        const dir = label === OURS ? full : authorityDir;
        const longest = await longestAfterRevoking(dir, running, 'worker/one-more', stage);
        first[label]?.revoke.push(longest);
        say(`revoked: after one more revocation the slowest answer of ${label} took ${longest.toFixed(0)} ms`);
      }
    } finally {
      for (const running of gates.values()) await running.stop();
    }
    const rowOf = (name: string, unit: string, pick: (label: string) => readonly number[]) => ({
      name,
      unit,
      figures: [OURS, NONE].map((label) => ({ contestant: label, values: pick(label) })),
    });
    return {
      rows: [
        rowOf('revoked handshake', 'CPU µs/handshake', (label) => cpu.get(label) ?? []),
        rowOf('revoked memory', 'MB', (label) => [first[label]?.idle ?? Number.NaN]),
        rowOf('revoked start', 'ms', (label) => [first[label]?.start ?? Number.NaN]),
        rowOf('revoked first list after the start', 'ms', (label) => [first[label]?.list ?? Number.NaN]),
        rowOf('revoked slowest answer after one more', 'ms', (label) => first[label]?.revoke ?? []),
      ],
      notes: [`${OURS} has them, ${NONE} is the same gate without; the list of the first has as many entries`],
    };
  },
};
