import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { loadPolicy } from '../../../src/config/policy-load.ts';
import type { ToPrimary, ToWorker } from '../../../src/inbound/workers/messages.ts';
import { startWorkers } from '../../../src/inbound/workers/primary.ts';
import { openAuditLog } from '../../../src/observe/audit-log.ts';
import { openLog } from '../../../src/observe/log.ts';
import { openCa, TRUST_DOMAIN } from '../../authority/fixture.ts';
import { GATE_OPTIONS } from '../gate-options.ts';

/** A gate with two workers that run `program`, a file beside this one. */
async function gateOf(program: string) {
  const { dir, certsDir, store, authority } = await openCa();
  const said: string[] = [];
  const write = (line: string): void => void said.push((JSON.parse(line) as { msg: string }).msg);
  const path = join(dir, 'policy.yaml');
  writeFileSync(path, 'bindings: [{role: Viewer, identity: worker/etl-1}]\n');
  const audit = await openAuditLog(join(dir, 'state', 'audit.jsonl'));
  const gate = await startWorkers({
    listen: { host: '127.0.0.1', port: 0 },
    upstream: { host: '127.0.0.1', port: 1 },
    names: ['localhost'],
    serverTtl: 3_600_000,
    ...GATE_OPTIONS,
    trustDomain: TRUST_DOMAIN,
    authority,
    log: openLog({ level: 'info', destination: { write } }),
    policy: { path, cwd: dir, loaded: loadPolicy(path, dir) },
    caPlace: { certsDir, store, trustDomain: TRUST_DOMAIN, actor: 'gate' },
    store,
    audit,
    config: loadConfig({ env: {}, cwd: dir }),
    workers: 2,
    program: { exec: join(import.meta.dirname, program), args: [] },
    connectionsPerWorker: 10,
  });
  /** Another policy, as if somebody had written it and sent SIGHUP. */
  const changePolicy = (): void => {
    writeFileSync(path, 'bindings: [{role: Owner, identity: worker/etl-1}]\n');
    gate.reloadPolicy?.();
  };
  return { gate, audit, said, changePolicy };
}

afterEach(() => void vi.useRealTimers());

// Before any other: its workers go by their number in this process.
test('what a worker has told of itself counts once, and stays, when it is killed while others are waited for', async () => {
  const { gate, audit } = await gateOf('ending-worker.ts');
  for (let times = 0; times < 2; times++) {
    const { status, workers, upstream, metrics } = await gate.health();
    expect(metrics).toMatchObject({ requests: 10, connections: 0, workersLost: 1 });
    expect({ status, workers, upstream }).toEqual({ status: 'degraded', workers: false, upstream: false });
  }
  await gate.drain(0);
  await audit.close();
}, 20_000);

test('workers are told to hurry also where that was said before they were told to drain', async () => {
  const { gate, audit } = await gateOf('hurried-worker.ts');
  await gate.drain(3_600_000, AbortSignal.abort());
  await audit.close();
  expect(gate.open()).toBe(0);
});

test('a worker to whom a connection could not be passed is ended, and another has it', async () => {
  const { gate, audit } = await gateOf('hurried-worker.ts');
  const before = Object.keys(cluster.workers ?? {});
  for (const worker of Object.values(cluster.workers ?? {})) {
    if (worker === undefined) continue;
    worker.send = ((_message: unknown, _socket: unknown, _options: unknown, sent: (error: Error) => void) => {
      setImmediate(sent, new Error('write ENOMEM'));
      return true;
    }) as typeof worker.send;
  }
  const client = connect(gate.port, '127.0.0.1').on('error', () => {});
  await vi.waitFor(() => expect(before.filter((id) => cluster.workers?.[id] === undefined).length).toBeGreaterThan(0), {
    timeout: 10_000,
  });
  client.destroy();
  for (const id of before) cluster.workers?.[id]?.process.kill('SIGKILL');
  await gate.drain(3_600_000, AbortSignal.abort());
  await audit.close();
}, 30_000);

/** A client's connection, and all that it was told, once it has ended. */
function told(port: number): Promise<string> {
  return new Promise((resolve) => {
    let said = '';
    connect(port, '127.0.0.1')
      .on('data', (bytes) => (said += String(bytes)))
      .on('error', () => {})
      .on('close', () => resolve(said));
  });
}

/** Has sockets that go to `worker` lost. `why` is what Node says of it: when the kernel refuses to pass one, that all went well. */
function losesSockets(worker: Worker, why: Error | null): void {
  const send = worker.send.bind(worker);
  worker.send = ((...[message, socket, options, sent]: Parameters<typeof send>) => {
    if (socket === undefined) return send(message, socket, options, sent);
    setImmediate(() => sent?.(why));
    return true;
  }) as typeof worker.send;
}

test('a connection that a worker has not taken goes to another, and the worker is replaced', async () => {
  const { gate, audit } = await gateOf('taking-worker.ts');
  const [deaf, other] = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  if (deaf === undefined || other === undefined) throw new Error('two workers were started');
  losesSockets(deaf, null);
  // One of the two goes to each.
  const answers = await Promise.all([told(gate.port), told(gate.port)]);
  expect(answers).toEqual([String(other.process.pid), String(other.process.pid)]);
  expect(deaf.isDead()).toBe(true);
  await vi.waitFor(() => expect(gate.open()).toBe(0));
  await gate.drain(0);
  await audit.close();
}, 30_000);

test('a connection that no worker is left for is counted out', async () => {
  const { gate, audit } = await gateOf('taking-worker.ts');
  const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  for (const worker of workers) losesSockets(worker, new Error('write ENOMEM'));
  expect(await Promise.all([told(gate.port), told(gate.port)])).toEqual(['', '']);
  await vi.waitFor(() => expect(gate.open()).toBe(0));
  await gate.drain(0);
  await audit.close();
}, 30_000);

/** A gate of which one worker is stopped, and time goes on only by `look`, after which the other has answered. */
async function gateWithOneStopped() {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const { gate, audit, said, changePolicy } = await gateOf('taking-worker.ts');
  const [stopped, other] = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  if (stopped === undefined || other === undefined) throw new Error('two workers were started');
  stopped.process.kill('SIGSTOP');
  const look = async (): Promise<void> => {
    const answered = once(other, 'message');
    vi.advanceTimersByTime(1_000);
    await answered;
  };
  onTestFinished(async () => {
    stopped.process.kill('SIGKILL');
    await gate.drain(0);
    await audit.close();
  });
  return { gate, stopped, other, said, changePolicy, look };
}

test('a worker that gives no sign of life is ended after thirty looks and no sooner, and one that does is not', async () => {
  const { stopped, other, look } = await gateWithOneStopped();
  const signals = vi.spyOn(stopped.process, 'kill');
  // At the first it is asked.
  for (let looks = 0; looks <= 29; looks++) await look();
  expect(signals).not.toHaveBeenCalled();
  const ended = once(stopped, 'exit');
  await look();
  expect(await ended).toEqual([null, 'SIGKILL']);
  expect(other.isDead()).toBe(false);
}, 30_000);

test('connections go to another while a worker does not answer', async () => {
  const { gate, other, look } = await gateWithOneStopped();
  for (let looks = 0; looks < 3; looks++) await look();
  for (let i = 0; i < 4; i++) expect(await told(gate.port)).toBe(String(other.process.pid));
}, 30_000);

test('a worker that does not confirm a revocation is ended after five looks, and those who wait are told', async () => {
  const { gate, stopped, look } = await gateWithOneStopped();
  const signals = vi.spyOn(stopped.process, 'kill');
  const applied = gate.applyRecords([]);
  for (let looks = 0; looks < 4; looks++) await look();
  expect(signals).not.toHaveBeenCalled();
  await look();
  expect((await applied).workersEnded).toBe(1);
}, 30_000);

test('a new policy is said to be taken when every worker goes by it', async () => {
  const { stopped, other, said, changePolicy } = await gateWithOneStopped();
  const answered = once(other, 'message');
  changePolicy();
  await answered;
  await new Promise((resolve) => setImmediate(resolve));
  expect(said).not.toContain('new policy taken');
  stopped.process.kill('SIGCONT');
  await vi.waitUntil(() => said.includes('new policy taken'), { timeout: 20_000 });
}, 30_000);

test('a worker that can take no new policy is ended, and nothing goes by the old one when the new one is said to be taken', async () => {
  const { gate, audit, said, changePolicy } = await gateOf('taking-worker.ts');
  const [worker] = Object.values(cluster.workers ?? {}).filter((one) => one !== undefined);
  if (worker === undefined) throw new Error('two workers were started');
  worker.send = (message: ToWorker) => {
    if (message.kind !== 'ask') return true;
    const answer: ToPrimary = { kind: 'answer', id: message.id, answer: { failure: 'no memory' } };
    return setImmediate(() => worker.emit('message', answer)) !== null;
  };
  changePolicy();
  await vi.waitUntil(() => said.includes('new policy taken'), { timeout: 20_000 });
  expect(worker.isDead()).toBe(true);
  expect(said).toContain('worker does not take the policy, ending it');
  await gate.drain(0);
  await audit.close();
}, 30_000);

test('a worker that could not be started in the place of a lost one is tried again', async () => {
  const { gate, audit, said } = await gateOf('taking-worker.ts');
  const { execPath } = process;
  // As with no descriptor or process left: it is never said to have ended.
  process.execPath = '/nowhere/node';
  const mend = (): void => {
    process.execPath = execPath;
  };
  onTestFinished(mend);
  const [lost] = Object.values(cluster.workers ?? {}).filter((one) => one !== undefined);
  lost?.process.kill('SIGKILL');
  const times = (message: string): number => said.filter((one) => one === message).length;
  await vi.waitUntil(() => times('worker lost, starting another') > 1, { timeout: 20_000 });
  mend();
  await vi.waitUntil(() => times('worker started') === 3, { timeout: 20_000 });
  await gate.drain(0);
  await audit.close();
}, 30_000);

test('a worker that hangs where it starts is ended after 120 looks', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const forked = once(cluster, 'fork') as Promise<[Worker]>;
  const outcome = gateOf('taking-worker.ts').catch(String);
  const [stopped] = await forked;
  stopped.process.kill('SIGSTOP');
  const signals = vi.spyOn(stopped.process, 'kill');
  vi.advanceTimersByTime(119_000);
  expect(signals).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1_000);
  expect(await outcome).toContain('SIGKILL');
}, 30_000);
