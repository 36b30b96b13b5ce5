// A worker is revoked while its WebSocket is open: how long until the last byte, what it is told when it comes back,
// what becomes of its process, and that the person next to it notices nothing.

import { join } from 'node:path';
import { ask, credentialsIn, inWords, type OpenSocket, openEventStream } from './clients.ts';
import { printed } from './processes.ts';
import { oneLine, quote, StepFailed, step, title } from './screen.ts';
import { certgate, type Demo } from './start.ts';

const PATH = '/api/admin/version';
const REMEDY = 'this must not happen: see SECURITY.md';
const CUT_BOUND_MS = 10_000;

interface CaEntry {
  readonly source: string;
  readonly action?: string;
  readonly time: number;
}

export async function revokeWhileItWorks(demo: Demo): Promise<void> {
  const { place, port } = demo;
  title('worker/etl-1 is revoked while it is connected');
  const worker = credentialsIn(join(place.dir, 'worker-etl-1'));
  const alice = credentialsIn(join(place.dir, 'user-alice'));
  const [doomed, safe] = await step(
    "two WebSockets are open, Prefect's event stream: the worker's, alice's",
    async () => await Promise.all([openEventStream(port, worker), openEventStream(port, alice)]),
    { remedy: `look at ${place.log('gate')}` },
  );

  await revoke(demo, doomed);
  const { body, status } = await step('worker/etl-1 comes back with its certificate', async () => {
    const answer = await ask(port, worker, PATH);
    if (!('status' in answer)) return { body: inWords(answer), status: 403 };
    return { body: inWords(answer), status: answer.status };
  }, { remedy: REMEDY });
  if (status !== 403) throw new StepFailed('worker/etl-1 comes back', `it was let in: ${body}`, REMEDY);
  quote([oneLine(body, 90)]);
  await showWorker(demo);

  await step('user/alice is still there, on the same connection', async () => {
    const answer = await ask(port, alice, PATH);
    if (!('status' in answer) || answer.status !== 200) throw new Error(`alice was told ${inWords(answer)}`);
    if (await isOver(safe)) throw new Error('the WebSocket of alice has ended');
  }, { remedy: REMEDY });
  safe.close();
}

async function revoke({ place }: Demo, doomed: OpenSocket): Promise<void> {
  const work = async () => {
    const typed = performance.timeOrigin + performance.now();
    const said = await certgate(place, 'revoke', 'worker/etl-1', '--reason', 'keyCompromise');
    const bound = new Promise<never>((_, fail) => setTimeout(fail, CUT_BOUND_MS, new Error('it is still open after 10 s')).unref());
    const { at } = await Promise.race([doomed.ended, bound]);
    return { said, typed, ended: at };
  };
  const { said, typed, ended } = await step('certgate revoke worker/etl-1 --reason keyCompromise', work, { remedy: REMEDY });
  const recorded = await revocationTime(demoAudit(await certgate(place, 'audit', '--json', '--limit', '1000')));
  quote([
    ...said.trim().split('\n').filter((line) => line !== ''),
    `last byte to its WebSocket ${(ended - typed).toFixed(0)} ms after the command was started,`,
    `${Math.max(0, ended - recorded).toFixed(0)} ms after the revocation was on record`,
  ]);
}
