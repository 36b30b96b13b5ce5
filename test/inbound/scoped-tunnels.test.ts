// What sees a WebSocket's bytes: the server's password put into the first message, each message read within a scope, and both
// in turn, however the bytes come.

import { describe, expect, test } from 'vitest';
import { takePolicy } from '../../src/config/policy-load.ts';
import { maskedTextFrame } from '../../src/inbound/auth-message.ts';
import { readFrame } from '../../src/inbound/frames.ts';
import type { GateState } from '../../src/inbound/gate-state.ts';
import { type Forbidden, type Judged, judge } from '../../src/inbound/permission.ts';
import { openScopeLookups } from '../../src/inbound/scope-lookups.ts';
import { tunnelRewriters } from '../../src/inbound/scoped-tunnels.ts';
import { limitLog } from '../../src/observe/limited-log.ts';
import { createMetrics } from '../../src/observe/metrics.ts';
import { findOperation, WEBSOCKET } from '../../src/policy/operation.ts';
import { canonicalPath } from '../../src/policy/paths.ts';
import { NO_ATTRIBUTES } from '../../src/policy/policy.ts';
import { quietLog } from '../observe/quiet-log.ts';
import { headOf } from './heads.ts';

const OWN = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const OTHER = '1f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const SCOPED = 'bindings: [{role: Worker, identity: worker/a, pools: [etl]}]\n';
const WHO = { identity: 'worker/a', attributes: NO_ATTRIBUTES, address: '192.0.2.7' };
const UPGRADE = ['Upgrade: websocket', 'Connection: Upgrade'];
const CHANNEL = '/api/work_pools/etl/workers/connect';

const AUTH = { type: 'auth', token: 'mine' };
const about = (id: string) => ({ event: 'e', resource: { 'prefect.resource.id': `prefect.flow-run.${id}` } });
const hello = (makes: boolean) => ({
  type: 'worker.hello.v1',
  payload: { worker_name: 'w', create_pool_if_not_found: makes },
});
const framed = (...messages: readonly unknown[]) =>
  Buffer.concat(messages.map((one) => maskedTextFrame(Buffer.from(JSON.stringify(one)))));

/** The messages in `bytes`, masked as a client's are, or as a server's. */
function messagesIn(bytes: Buffer, masked: boolean): unknown[] {
  const found: unknown[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    const frame = readFrame(rest, 1_000_000, masked);
    if (frame === null || typeof frame === 'string') throw new Error(`no frame: ${frame}`);
    found.push(JSON.parse(frame.payload.toString()));
    rest = rest.subarray(frame.end);
  }
  return found;
}

interface Options {
  readonly policy?: string | null;
  readonly password?: string | null;
  readonly lines?: readonly string[];
  readonly failing?: boolean;
}

function tunnel(
  path: string,
  { policy: text = SCOPED, password = null, lines = UPGRADE, failing = false }: Options = {},
) {
  const policy = text === null ? null : takePolicy({ text, file: 'p.yaml' }).policy;
  const lookups = openScopeLookups(
    async ({ path: asked }) => {
      await Promise.resolve();
      if (failing) throw new Error('gone');
      return { work_pool_name: asked.endsWith(OWN) ? 'etl' : 'ml' };
    },
    () => 0,
  );
  const metrics = createMetrics();
  const gate = {
    ...{ policy, lookups, metrics, authString: password, limitedLog: limitLog(quietLog) },
  } as unknown as GateState;
  const head = headOf(lines, `GET ${path} HTTP/1.1`);
  const operation = findOperation(WEBSOCKET, path);
  const judgement = judge(policy, WHO, operation, path);
  const reading: Judged = { head, target: canonicalPath(path), operation, apiPath: '/api', start: '', judgement };
  const recorded: Forbidden[] = [];
  // As on a disk: some time later, and the WebSocket is closed after that.
  const record = async (why: Forbidden): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    recorded.push(why);
  };
  const both = tunnelRewriters(reading, gate, WHO, () => () => true, record);
  const sides = { client: both.rewriteTunnel, server: both.rewriteTunnelBack ?? null };
  /** What goes on of each of `parts`, and why it ends; a side that has seen enough lets all pass. */
  const passes = async (side: 'client' | 'server', ...parts: readonly Buffer[]) => {
    let reader = sides[side];
    const sent: Buffer[] = [];
    for (const part of parts) {
      const step = reader === null ? { send: part, finished: true } : await reader(part);
      if (step.send !== null) sent.push(step.send);
      if (step.refuse !== undefined)
        return { sent: messagesIn(Buffer.concat(sent), side === 'client'), refuse: step.refuse };
      if (step.finished) reader = null;
    }
    return { sent: messagesIn(Buffer.concat(sent), side === 'client'), done: reader === null };
  };
  return {
    sides,
    passes,
    recorded,
    metrics,
    become: (next: string) => Object.assign(gate, { policy: takePolicy({ text: next, file: 'p.yaml' }).policy }),
  };
}

const byOctets = (bytes: Buffer) => Array.from(bytes, (octet) => Buffer.of(octet));

describe('nobody looks', () => {
  test('where there is neither a password nor a scope, and where it is no WebSocket', () => {
    for (const options of [{ policy: null }, { policy: 'bindings: [{role: Worker, identity: worker/a}]\n' }])
      expect(tunnel('/api/events/in', options).sides).toEqual({ client: null, server: null });
    expect(tunnel('/api/events/in', { lines: [], password: 'a:b' }).sides).toEqual({ client: null, server: null });
  });
});

describe('the password of the server', () => {
  const token = { ...AUTH, token: 'a:b' };
  test('is put into the first message, and no more is looked at', async () => {
    const { passes } = tunnel('/api/events/in', { policy: null, password: 'a:b' });
    expect(await passes('client', framed(AUTH), framed(AUTH, about(OTHER)))).toEqual({
      sent: [token, AUTH, about(OTHER)],
      done: true,
    });
  });

  test.each([
    ['at once', (bytes: Buffer) => [bytes]],
    ['octet by octet', byOctets],
  ])('and a scope hold both, where all comes %s', async (_how, cut) => {
    const { passes, recorded, metrics } = tunnel('/api/events/in', { password: 'a:b' });
    const said = await passes('client', ...cut(framed(AUTH, about(OWN), about(OWN), about(OTHER), about(OWN))));
    expect(said).toMatchObject({ sent: [token, about(OWN), about(OWN)] });
    expect(said.refuse).toMatch(
      /^certgate: CG_SCOPE: only within the pool etl, and it is about a flow run that is not$/,
    );
    expect(recorded[0]?.detail).toContain('worker/a (Worker) may do stream_events_in only within');
    expect([recorded.map(({ code }) => code), metrics.forbidden]).toEqual([['CG_SCOPE'], 1]);
  });

  test.each([
    ['at once', (bytes: Buffer) => [bytes]],
    ['octet by octet', byOctets],
  ])('and the hello of a worker are changed both, where all comes %s', async (_how, cut) => {
    const { passes } = tunnel(CHANNEL, { password: 'a:b' });
    const asked = { ...hello(false), payload: { ...hello(false).payload, default_base_job_template: {} } };
    expect(await passes('client', ...cut(framed(AUTH, hello(true), hello(true))))).toEqual({
      sent: [token, asked, hello(true)],
      done: true,
    });
  });

  test('is put nowhere where the first message asks for none', async () => {
    const { passes } = tunnel(CHANNEL, { password: 'a:b' });
    expect(await passes('client', framed(hello(false)), framed(AUTH))).toEqual({
      sent: [hello(false), AUTH],
      done: true,
    });
  });

  test('goes to nobody behind what a scope refuses', async () => {
    const { passes } = tunnel('/api/events/in', { password: 'a:b' });
    expect((await passes('client', framed(about(OTHER), AUTH))).sent).toEqual([]);
  });
});

describe('what a client sends', () => {
  test('closes it while nobody says whose that is, or what is no event', async () => {
    const gone = tunnel('/api/events/in', { failing: true });
    expect((await gone.passes('client', framed(AUTH, about(OWN)))).refuse).toContain('CG_SCOPE_UNKNOWN');
    const odd = await tunnel('/api/events/in').passes('client', framed(AUTH, { event: 'e' }));
    expect(odd.refuse).toContain('without a resource');
  });

  test('passes as it is where the policy observes, and is counted', async () => {
    const { passes, recorded, metrics } = tunnel('/api/events/in', { policy: `mode: observe\n${SCOPED}` });
    expect((await passes('client', framed(AUTH, about(OTHER), { event: 'e' }))).sent).toHaveLength(3);
    expect([recorded, metrics.wouldRefuse, metrics.forbidden]).toEqual([[], 2, 0]);
  });

  test('is within the scope as it is by then', async () => {
    const { passes, become } = tunnel('/api/events/in');
    become(SCOPED.replace('etl', 'etl, ml'));
    expect((await passes('client', framed(AUTH, about(OTHER)))).sent).toHaveLength(2);
    become('bindings: [{role: Worker, identity: worker/a}]\n');
    expect((await passes('client', framed(about(OTHER)))).refuse).toBeUndefined();
    become(SCOPED);
    expect((await passes('client', framed(about(OTHER)))).refuse).toContain('CG_SCOPE');
  });
});

describe('what who listens is sent', () => {
  /** As a server frames it: without a mask. */
  const told = (...messages: readonly object[]) =>
    Buffer.concat(
      messages.map((one) => {
        const text = Buffer.from(JSON.stringify(one));
        return Buffer.concat([
          Buffer.from(text.length < 126 ? [0x81, text.length] : [0x81, 126, text.length >> 8, text.length & 0xff]),
          text,
        ]);
      }),
    );
  const event = (id: string) => ({ type: 'event', event: about(id) });

  test('is what is within; the client’s own messages are not read for it', async () => {
    const { sides, passes } = tunnel('/api/events/out');
    expect(sides.client).toBeNull();
    const all = told({ type: 'auth_success' }, event(OTHER), event(OWN), { type: 'event', event: {} }, event(OWN));
    for (const parts of [[all], byOctets(all)])
      expect((await passes('server', ...parts)).sent).toEqual([{ type: 'auth_success' }, event(OWN), event(OWN)]);
  });

  test('is all where the scope is no more, or the policy observes; and nothing while nobody says whose it is', async () => {
    const { passes, become } = tunnel('/api/events/out');
    become('bindings: [{role: Worker, identity: worker/a}]\n');
    expect((await passes('server', told(event(OTHER)))).sent).toHaveLength(1);
    become(`mode: observe\n${SCOPED}`);
    expect((await passes('server', told(event(OTHER)))).sent).toHaveLength(1);
    const gone = await tunnel('/api/events/out', { failing: true }).passes('server', told(event(OWN)));
    expect(gone).toMatchObject({ sent: [], refuse: 'certgate: CG_SCOPE_UNKNOWN' });
  });
});
