// What a refused enrolment tells by how it comes about: nothing. The desk's clock, its store and the cryptography beneath it
// are counted here, so that no machine's load decides; on the wire, test/inbound/enrolment-door.test.ts compares the octets.
import type * as crypto from 'node:crypto';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { revokeToken } from '../../src/authority/tokens.ts';
import type { Ticker } from '../../src/enroll/contract.ts';
import { credentialOf, type Token, writeToken } from '../../src/enroll/token.ts';
import { readRequestHead } from '../../src/http1/request.ts';
import { answerEst } from '../../src/inbound/est.ts';
import { limitLog } from '../../src/observe/limited-log.ts';
import { pemToDer } from '../../src/pki/pem.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { signerOf } from '../../src/pki/signing.ts';
import type { Store } from '../../src/store/store.ts';
import { quietLog } from '../observe/quiet-log.ts';
import { newKey, type Scene, scene } from './fixture.ts';

/** What was hashed (of the store's own chain of acts nothing), compared and verified, in octets each. */
const work = vi.hoisted((): string[] => []);
vi.mock('node:crypto', async (original) => {
  const real = await original<typeof crypto>();
  const hash = (...of: Parameters<typeof crypto.hash>): unknown => {
    if (typeof of[1] !== 'string') work.push(`hash ${of[1].byteLength}`);
    return real.hash(...of);
  };
  const timingSafeEqual: typeof crypto.timingSafeEqual = (a, b) => {
    work.push(`compare ${a.byteLength} ${b.byteLength}`);
    return real.timingSafeEqual(a, b);
  };
  const verify = (...of: Parameters<typeof crypto.verify>) => {
    work.push('verify');
    return real.verify(...of);
  };
  return { ...real, hash, timingSafeEqual, verify };
});

const READS = ['tokenFor', 'token', 'listCertificates', 'meta', 'locks', 'identityTokenUses', 'tokenUses'] as const;
const TICK = 300;

interface Counted extends Scene {
  readonly on: {
    /** The desk's calls of those, to be emptied by the test. */
    readonly reads: string[];
    /** By the desk's ticker, ms. */
    time: number;
    /** What each read of the store takes by it, ms. */
    cost: number;
  };
}

/** A desk whose clock moves only by what the store takes, and by waiting. */
async function counted(): Promise<Counted> {
  const on = { reads: [] as string[], time: 1_000, cost: 7 };
  const ticker: Ticker = {
    now: () => on.time,
    async pause(ms) {
      // As a timer does: a little early first.
      on.time += ms > 1 ? ms - 1 : ms;
      return Promise.resolve();
    },
  };
  const watched = (store: Store): Store =>
    new Proxy(store, {
      get(target, name: keyof Store) {
        const value: unknown = target[name];
        if (!(READS as readonly string[]).includes(name) || typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          on.reads.push(name);
          on.time += on.cost;
          return value.apply(target, args);
        };
      },
    });
  const at = await scene({}, null, ({ store }) => ({ store: watched(store), ticker, refusalTime: TICK }));
  return Object.assign(at, { on });
}

const KINDS = ['unknown', 'wrong', 'used', 'expired', 'revoked'] as const;
type Kind = (typeof KINDS)[number];

/** One token of each kind, for one name or for a pattern. */
async function tokensOf(at: Scene, subject: string, identity: string | null): Promise<Readonly<Record<Kind, Token>>> {
  const named = identity === null ? {} : { identity };
  const [used, wrong, revoked] = [await at.token(subject), await at.token(subject), await at.token(subject)];
  expect((await at.enroll(used, newKey(), named)).status).toBe(200);
  await revokeToken(at.store, revoked.id, 'test', at.now);
  const expired = await at.token(subject, { lastsMs: 1_000 });
  at.now += 2_000;
  return {
    used,
    revoked,
    expired,
    wrong: { ...wrong, secret: new Uint8Array(32) },
    unknown: { ...wrong, id: 'e'.repeat(16) },
  };
}

/** Enrols in EST's words, by HTTP Basic. */
async function byEst(at: Scene, token: Token, identity: string | null) {
  const csr = await createRequest(signerOf(newKey()), { commonName: null });
  const body = Buffer.from(Buffer.from(pemToDer(csr, 'CERTIFICATE REQUEST')).toString('base64'));
  const basic = btoa(`${identity ?? ''}:${writeToken(token)}`);
  const path = '/.well-known/est/simpleenroll';
  const text = `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Basic ${basic}\r\nContent-Type: application/pkcs10\r\nContent-Length: ${body.length}\r\n\r\n`;
  const head = readRequestHead(Buffer.from(text), 0, { headBytes: 8_192, headerLines: 50 });
  if (head?.ok !== true) throw new Error('no head');
  const visitor = { address: '192.0.2.1', addressKey: '192.0.2.1', serial: null };
  const log = limitLog(quietLog);
  const policy = { tokens: true, est: true, lockOnReuse: true, graceMs: 0 };
  const trust = () => ({ bundlePem: at.authority.bundlePem }) as never;
  const reply = answerEst(head, path, visitor, { desk: at.desk, policy, log, trust });
  if (reply.kind !== 'take') throw new Error(`answered at once: ${reply.text}`);
  return reply.answer(body);
}

const WORDS = ['certgate', 'EST'] as const;
describe.each([
  ['for one name', 'worker/a', null],
  ['for several', 'worker/a-*', 'worker/a-1'],
])('a token %s', (_what, subject, identity) => {
  test.each(WORDS)(
    'that is unknown, used, expired, revoked or has another secret costs the same hashes, comparisons and looks, and is answered the same at the same tick, in the words of %s',
    async (words) => {
      const at = await counted();
      const tokens = await tokensOf(at, subject, identity);
      const costs = new Map<Kind, object>();
      // Each twice: the first misuse flags, and others do not.
      for (const kind of [...KINDS, ...KINDS]) {
        at.on.reads.length = 0;
        const started = at.on.time;
        const csr = await createRequest(signerOf(newKey()), { commonName: null });
        work.length = 0;
        const answer =
          words === 'EST'
            ? await byEst(at, tokens[kind], identity)
            : await at.desk.enroll(
                JSON.stringify({ token: credentialOf(tokens[kind]), csr, ...(identity === null ? {} : { identity }) }),
                { address: '192.0.2.1', addressKey: '192.0.2.1' },
              );
        const cost = { answer, took: at.on.time - started, reads: [...at.on.reads], work: [...work] };
        expect(cost.took).toBe(TICK);
        expect(cost.work.filter((one) => one.startsWith('compare'))).toEqual(['compare 32 32']);
        expect([kind, cost]).toEqual([kind, costs.get('unknown') ?? cost]);
        costs.set(kind, cost);
      }
      expect([...costs.keys()]).toEqual(KINDS);
      expect(costs.get('used')).toMatchObject({ answer: { status: 403 } });
    },
  );
});

describe('a refusal', () => {
  let at: Counted;
  beforeEach(async () => {
    at = await counted();
  });

  test('that takes longer than a tick goes out at the next one, and not when it is done', async () => {
    at.on.cost = 130; // three reads
    const started = at.on.time;
    await at.enroll({ ...(await at.token('worker/a')), secret: new Uint8Array(32) }, newKey());
    expect(at.on.time - started).toBe(2 * TICK);
  });

  test('that cannot be put on record is a refusal as any other, and the log says so', async () => {
    const token = { ...(await at.token('worker/a')), secret: new Uint8Array(32) };
    const answer = await at.enroll(token, newKey());
    const failing = await scene({}, null, ({ store }) => ({
      store: { ...store, addAudit: () => Promise.reject(new Error('the disk is full')) },
    }));
    const wrong = { ...(await failing.token('worker/a')), secret: new Uint8Array(32) };
    expect(await failing.enroll(wrong, newKey())).toEqual(answer);
    expect(failing.log.map(({ msg }) => msg)).toContain('a refused enrolment is not on record');
  });
});

describe('too many refused tries', () => {
  const PUT_OFF = { status: 429, text: '{"detail":"certgate: too many tries"}' };
  const statuses = async (tries: ReadonlyArray<Promise<{ readonly status: number }>>) => {
    const counts: Record<number, number> = {};
    for (const { status } of await Promise.all(tries)) counts[status] = (counts[status] ?? 0) + 1;
    return counts;
  };
  const wrongOf = (token: Token): Token => ({ ...token, secret: new Uint8Array(32) });
  const unknown = (i: number, token: Token): Token => ({ ...token, id: i.toString(16).padStart(16, '0') });
  let at: Counted;
  let token: Token;
  beforeEach(async () => {
    at = await counted();
    at.on.cost = 0;
    token = await at.token('worker/etl-1');
  });
  const from = (address: string) => ({ address });

  test('of one address, sixty at once, are put off at the same tick, and nobody else is', async () => {
    const all = Array.from({ length: 70 }, (_, i) => at.enroll(unknown(i, token), newKey(), from('203.0.113.7')));
    expect(await statuses(all)).toEqual({ 403: 60, 429: 10 });
    const started = at.on.time;
    expect(await at.enroll(unknown(99, token), newKey(), from('203.0.113.7'))).toEqual(PUT_OFF);
    expect(at.on.time - started).toBe(TICK);
    expect((await at.enroll(unknown(99, token), newKey(), from('203.0.113.8'))).status).toBe(403);
    expect(at.metrics).toMatchObject({ enrollRefused: 72 });
  });

  test('of one token, twenty at once, are put off from wherever they come, and another token is not', async () => {
    const all = Array.from({ length: 30 }, (_, i) => at.enroll(wrongOf(token), newKey(), from(`192.0.2.${i}`)));
    expect(await statuses(all)).toEqual({ 403: 20, 429: 10 });
    const other = await at.token('worker/etl-2');
    expect((await at.enroll(wrongOf(other), newKey(), from('192.0.2.99'))).status).toBe(403);
  });

  test('are forgiven one by one, every five seconds', async () => {
    await Promise.all(Array.from({ length: 20 }, () => at.enroll(wrongOf(token), newKey())));
    expect((await at.enroll(wrongOf(token), newKey())).status).toBe(429);
    at.on.time += 5_000;
    const two = [at.enroll(wrongOf(token), newKey()), at.enroll(wrongOf(token), newKey())];
    expect(await statuses(two)).toEqual({ 403: 1, 429: 1 });
  });

  test('keep nobody out who has the secret: neither the token’s own machine nor one at the same address', async () => {
    await Promise.all(Array.from({ length: 80 }, () => at.enroll(wrongOf(token), newKey())));
    await Promise.all(Array.from({ length: 80 }, (_, i) => at.enroll(unknown(i, token), newKey())));
    expect((await at.enroll(wrongOf(token), newKey())).status).toBe(429);
    expect((await at.enroll(token, newKey())).status).toBe(200);
    expect((await at.enroll(await at.token('worker/etl-2'), newKey())).status).toBe(200);
  });

  test('are not told apart from one with the right secret of a token that is used, expired or revoked', async () => {
    const tokens = await tokensOf(at, 'worker/b', null);
    await Promise.all(Array.from({ length: 80 }, (_, i) => at.enroll(unknown(i, token), newKey())));
    for (const kind of KINDS) expect([kind, await at.enroll(tokens[kind], newKey())]).toEqual([kind, PUT_OFF]);
  });

  test('are on record no more, but the first misuse of a token is', async () => {
    const used = await at.token('worker/b');
    await at.enroll(used, newKey());
    await Promise.all(Array.from({ length: 20 }, () => at.enroll(wrongOf(used), newKey())));
    const before = (await at.store.listAudit({})).length;
    expect(await at.enroll(wrongOf(used), newKey())).toEqual(PUT_OFF);
    expect(await at.store.listAudit({})).toHaveLength(before);
    for (const _ of [1, 2]) expect(await at.enroll(used, newKey())).toEqual(PUT_OFF);
    const acts = (await at.store.listAudit({})).slice(before);
    expect(acts.map(({ action }) => action)).toEqual(['token.misuse']);
    expect((await at.store.token(used.id))?.flag).toContain('another key');
  });

  test('with tokens of nobody are on record once a minute, with how many there were since', async () => {
    const acts = async () =>
      (await at.store.listAudit({ limit: 1000 }))
        .filter(({ object }) => object === 'unknown')
        .map(({ detail }) => detail);
    await Promise.all(
      Array.from({ length: 80 }, (_, i) => at.enroll(unknown(i, token), newKey(), from('203.0.113.7'))),
    );
    expect(await acts()).toMatchObject([{ address: '203.0.113.7', tries: 1, problem: expect.any(String) as string }]);
    at.on.time += 60_000;
    await at.enroll(unknown(1, token), newKey(), from('203.0.113.8'));
    await at.enroll(unknown(2, token), newKey(), from('203.0.113.8'));
    expect((await acts()).map((one) => [one['address'], one['tries']])).toEqual([
      ['203.0.113.7', 1],
      ['203.0.113.8', 80],
    ]);
  });

  test('that are no requests are put off too', async () => {
    const asked = Array.from({ length: 61 }, () => at.desk.enroll('{}', { address: 'x', addressKey: 'x' }));
    expect(await statuses(asked)).toEqual({ 400: 60, 429: 1 });
  });
});
