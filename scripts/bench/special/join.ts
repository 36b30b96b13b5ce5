// A fleet that joins: 500 workers enrol and connect at once, the gate on one core, the workers on another. Each has its own
// token of one use, makes its own key, finds the CA by the token's fingerprint, gets its certificate over a verified
// connection, and with it sends a request over a further one: three handshakes. One that fails fails the work.

import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { storeFile } from '../../../src/authority/layout.ts';
import { recordToken } from '../../../src/authority/tokens.ts';
import { newToken, secretHashOf, writeToken } from '../../../src/enroll/token.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import type { JoinOrder, JoinReply } from '../cas/join-load.ts';
import { certgateFrom } from '../contestants/certgate.ts';
import { cpuMicroseconds, processTree } from '../cpu.ts';
import { launch } from '../field.ts';
import { say, startProcess, stopProcess } from '../processes.ts';
import { OURS } from '../rows.ts';
import { quantileOf } from '../statistics.ts';
import type { SpecialWork } from './stage.ts';

const WORKERS = 500;
const HOUR_MS = 3_600_000;

/** One for each, as `certgate token create` makes it. */
async function tokensFor(dir: string, bundle: string, port: number, round: number): Promise<readonly string[]> {
  const rootFingerprint = new X509Certificate(readFileSync(bundle)).fingerprint256.replaceAll(':', '').toLowerCase();
  const store = openSqliteStore(storeFile(joinPath(dir, 'state')));
  try {
    return await Promise.all(
      Array.from({ length: WORKERS }, async (_, i) => {
        const subject = `worker/join-${round}-${i}`;
        const token = newToken({ rootFingerprint, gate: `https://localhost:${port}`, subject });
        const kept = { id: token.id, secretHash: secretHashOf(token.secret), subject, uses: 1 };
        await recordToken(store, { ...kept, ttlMs: HOUR_MS, lastsMs: HOUR_MS, actor: 'bench' }, Date.now());
        return writeToken(token);
      }),
    );
  } finally {
    await store.close();
  }
}

export const join: SpecialWork = {
  name: 'join',
  title: `${WORKERS} workers that enrol and connect at once`,
  async run({ options, cores, ground }) {
    const { authorityDir, bundle } = ground.certificates;
    const running = await launch(certgateFrom(options.form), ground);
    const script = joinPath(import.meta.dirname, '../cas/join-load.ts');
    const child = startProcess(process.execPath, [script], {
      ...{ core: cores.load, cwd: ground.dir, outputFile: joinPath(ground.dir, 'join-load.log'), ipc: true },
    });
    const measures: (JoinReply & { readonly cpuMicros: number })[] = [];
    try {
      const ended = once(child, 'exit').then(() => {
        throw new Error('the load generator ended');
      });
      ended.catch(() => {});
      await Promise.race([once(child, 'message'), ended]);
      for (let round = 1; round <= options.rounds; round++) {
        const order: JoinOrder = {
          port: running.port,
          tokens: await tokensFor(authorityDir, bundle, running.port, round),
        };
        const pids = processTree(running.pid);
        const before = cpuMicroseconds(pids);
        const heard = once(child, 'message');
        child.send(order);
        const [reply] = (await Promise.race([heard, ended])) as [JoinReply];
        const { failures, answerMs, seconds, share } = reply;
        if (failures.length > 0) throw new Error(`${failures.length} of ${WORKERS} did not get in: ${failures[0]}`);
        measures.push({ ...reply, cpuMicros: (cpuMicroseconds(pids) - before) / WORKERS });
        say(
          `join ${round}: all ${answerMs.length} in ${seconds.toFixed(2)} s, p99 ${quantileOf(answerMs, 0.99).toFixed(0)} ms, the workers at ${(share * 100).toFixed(0)} % of their core`,
        );
      }
    } finally {
      await stopProcess(child);
      await running.stop();
    }
    const row = (name: string, unit: string, pick: (one: (typeof measures)[number]) => number) => {
      return { name, unit, figures: [{ contestant: OURS, values: measures.map(pick) }] };
    };
    return {
      rows: [
        row('join rate', 'workers/s', ({ seconds }) => WORKERS / seconds),
        row('join p99', 'ms', ({ answerMs }) => quantileOf(answerMs, 0.99)),
        row('join p50', 'ms', ({ answerMs }) => quantileOf(answerMs, 0.5)),
        row('join certificate p99', 'ms', ({ certificateMs }) => quantileOf(certificateMs, 0.99)),
        row('join gate', 'CPU µs/worker', ({ cpuMicros }) => cpuMicros),
      ],
      notes: [
        `all ${WORKERS} got in each time; times are from the moment at which all begin`,
        `the workers at ${(
          quantileOf(
            measures.map(({ share }) => share),
            0.5,
          ) * 100
        ).toFixed(0)} % of their core`,
      ],
    };
  },
};
