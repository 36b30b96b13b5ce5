// A worker is revoked while its WebSocket is open: how long until the last byte, what it is told when it comes back,
// what becomes of its process, and that the person next to it notices nothing.

import { join } from 'node:path';
import { ask, credentialsIn, inWords, type OpenSocket, openEventStream } from './clients.ts';
import type { Place } from './place.ts';
import { ended, printed, type Started } from './processes.ts';
import { oneLine, quote, StepFailed, step, title } from './screen.ts';
import { certgate, type Demo } from './start.ts';

const PATH = '/api/admin/version';
const REMEDY = 'this must not happen: see SECURITY.md';
const CUT_BOUND_MS = 10_000;
const GIVE_UP_BOUND_MS = 60_000;

export async function revokeWhileItWorks(demo: Demo, process_: Started): Promise<void> {
  const { place, port } = demo;
  title('worker/etl-1 is revoked while it is connected');
  const worker = credentialsIn(join(place.dir, 'worker-etl-1'));
  const alice = credentialsIn(join(place.dir, 'user-alice'));
  const open = async () => await Promise.all([openEventStream(port, worker), openEventStream(port, alice)]);
  const [doomed, safe] = await step("two of Prefect's event streams, one open for each of them", open, {
    remedy: `look at ${place.log('gate')}`,
  });

  await revoke(demo, doomed);

  const comesBack = async (): Promise<string> => {
    const answer = await ask(port, worker, PATH);
    if ('status' in answer && answer.status < 400) throw new Error(`it was let in: ${inWords(answer)}`);
    return inWords(answer);
  };
  quote([await step('worker/etl-1 tries again with its certificate', comesBack, { remedy: REMEDY })]);

  await step("the worker's process gives up", async () => await ended(process_, GIVE_UP_BOUND_MS), {
    done: (exit) => `the worker's process gives up: exit code ${exit}`,
    remedy: `look at ${process_.log}`,
  });
  const why = /Client error '([^']*)'.*Response: \{'detail': '([^']*)'\}/.exec(printed(process_));
  quote([
    why === null ? oneLine(printed(process_).slice(-90), 90) : `its last words: ${why[1] ?? ''}: ${why[2] ?? ''}`,
  ]);

  const stillThere = async (): Promise<string> => {
    const answer = await ask(port, alice, PATH);
    if (!('status' in answer) || answer.status !== 200) throw new Error(`user/alice was told ${inWords(answer)}`);
    if (safe.isOver()) throw new Error("the WebSocket of user/alice has ended with the worker's");
    return inWords(answer);
  };
  await step('user/alice asks again', stillThere, { remedy: REMEDY });
  quote(['200, and her event stream is still open']);
  safe.close();
}

async function revoke({ place, gate }: Demo, doomed: OpenSocket): Promise<void> {
  const work = async () => {
    const typed = performance.timeOrigin + performance.now();
    let words = '';
    await certgate(place, ['revoke', 'worker/etl-1', '--reason', 'keyCompromise'], (text) => {
      words = text;
    });
    const bound = new Promise<never>((_, fail) => {
      setTimeout(fail, CUT_BOUND_MS, new Error('its WebSocket is still open after 10 s')).unref();
    });
    const { at } = await Promise.race([doomed.ended, bound]);
    return { words, typed, over: at };
  };
  const { words, typed, over } = await step('certgate revoke worker/etl-1 --reason keyCompromise', work, {
    remedy: REMEDY,
  });
  const recorded = await recordedAt(place);
  const cut = /"cut":\{"connections":(\d+),"requests":(\d+),"tunnels":(\d+)\}/.exec(printed(gate));
  quote([
    cut === null ? oneLine(words, 90) : `the gate cut ${cut[1] ?? ''} connections, ${cut[3] ?? ''} of them WebSockets`,
    `the last byte of a WebSocket came ${(over - typed).toFixed(0)} ms after the command was started,`,
    `${Math.max(0, over - recorded).toFixed(0)} ms after the revocation was on record`,
  ]);
}

/** When the CA wrote the revocation down, ms since the epoch. */
async function recordedAt(place: Place): Promise<number> {
  const lines = (await certgate(place, ['audit', '--json', '--limit', '1000']))
    .split('\n')
    .filter((line) => line !== '');
  const acts = lines.map((line) => JSON.parse(line) as { action?: string; time: number });
  const act = acts.findLast(({ action }) => action === 'certificate.revoke');
  if (act === undefined) throw new StepFailed('certgate audit', 'the revocation is not on record', REMEDY);
  return act.time;
}
