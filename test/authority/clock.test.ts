// A wall clock that was set back or forward: what was decided stays decided, numbers only grow, and nothing is issued with
// a clock that cannot be right.
import { expect, it } from 'vitest';
import { loadAuthority } from '../../src/authority/load.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { closing, failureOf, HOUR } from '../store/fixture.ts';
import { newCa, type OpenCa, request, TRUST_DOMAIN } from './fixture.ts';

const DAY = 24 * HOUR;

interface Clocked extends OpenCa {
  /** ms since the epoch */
  now: number;
}

async function clocked(): Promise<Clocked> {
  const made = Date.UTC(2026, 10, 25);
  const clock = () => ca.now;
  const plain = await newCa(() => made);
  const store = closing(openSqliteStore(plain.storePath));
  const ca = { ...plain, store, now: made } as Clocked;
  const place = { certsDir: ca.certsDir, store, trustDomain: TRUST_DOMAIN, clock };
  return Object.assign(ca, { authority: await loadAuthority(place) });
}

it('set back before the issuer’s beginning, or forward past its end, nothing is issued and nothing recorded', async () => {
  const ca = await clocked();
  const { validFromDate, validToDate } = ca.authority.issuer.certificate;
  for (const [now, words] of [
    [validFromDate.getTime() - 1, 'not valid before'],
    [0, 'not valid before'],
    [validToDate.getTime(), 'expired at'],
  ] as const) {
    ca.now = now;
    const error = await failureOf('CG_CA_EXPIRED', () => ca.authority.issue(request()));
    expect([error.message, error.hint]).toEqual([expect.stringContaining(words), expect.stringContaining('date -u')]);
  }
  ca.now = validFromDate.getTime() - DAY;
  expect(await ca.store.listCertificates({ now: ca.now })).toEqual([]);
});

it('set back, a revocation keeps its effect, and one that is made then has it at once', async () => {
  const ca = await clocked();
  const [before, after] = [(await ca.authority.issue(request())).record, (await ca.authority.issue(request())).record];
  ca.now += 10 * HOUR;
  await ca.authority.revoke({ serial: before.serial }, 'keyCompromise', 'test');
  const revokedAt = ca.now;
  const revision = await ca.store.revision();

  ca.now -= 9 * HOUR; // the revocation lies in the future now
  expect(await ca.store.standing(before.issuer, before.serial)).toMatchObject({ revokedAt });
  expect(await ca.store.listCertificates({ now: ca.now, state: 'revoked' })).toHaveLength(1);
  await ca.authority.revoke({ serial: before.serial }, 'superseded', 'test');
  await ca.authority.revoke({ serial: after.serial }, 'superseded', 'test');
  // A gate goes by the store's revisions, never by the moments.
  expect((await ca.store.revocationsSince(revision)).map(({ serial }) => serial)).toEqual([after.serial]);
  expect((await ca.store.revocationsSince(0)).map(({ serial, reason }) => [serial, reason])).toEqual([
    [before.serial, 'keyCompromise'],
    [after.serial, 'superseded'],
  ]);
});

it('set back, certificates are issued, listed and numbered on, and no serial or CRL number comes again', async () => {
  const ca = await clocked();
  const numbers: number[] = [];
  const serials: string[] = [];
  const issueAt = async (offset: number): Promise<void> => {
    ca.now = Date.UTC(2026, 10, 26) + offset;
    serials.push((await ca.authority.issue(request())).record.serial);
    numbers.push(await ca.store.nextCrlNumber(ca.authority.issuer.keyId));
  };
  for (const offset of [0, HOUR, 2 * HOUR, -20 * HOUR, -19 * HOUR, 3 * HOUR]) await issueAt(offset);
  expect(numbers).toEqual([1, 2, 3, 4, 5, 6]);
  const listed: string[] = [];
  for (let after: { issuedAt: number; serial: string } | undefined; ; ) {
    const page = await ca.store.listCertificates({ now: ca.now, limit: 2, ...(after === undefined ? {} : { after }) });
    listed.push(...page.map(({ serial }) => serial));
    const last = page.at(-1);
    if (last === undefined) break;
    after = { issuedAt: last.issuedAt, serial: last.serial };
  }
  expect(listed.toSorted()).toEqual(serials.toSorted());
  const ids = (await ca.store.listAudit({ limit: 100 })).map(({ id }) => id);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
});

it('set back or forward, a lock without an end stands, and one with an end never ends early by a clock set back', async () => {
  const ca = await clocked();
  const audit = { time: ca.now, actor: 'test', action: 'lock', object: 'x', detail: {} };
  const lock = { scope: 'identity', reason: 'x', actor: 'test', lockedAt: ca.now } as const;
  await ca.store.lock({ ...lock, subject: 'worker/a', until: null }, audit);
  await ca.store.lock({ ...lock, subject: 'worker/b', until: ca.now + HOUR }, audit);
  const standing = async (now: number): Promise<string[]> => (await ca.store.locks(now)).map(({ subject }) => subject);
  expect(await standing(ca.now - 365 * DAY)).toEqual(['worker/a', 'worker/b']);
  expect(await standing(ca.now + 365 * DAY)).toEqual(['worker/a']);
  expect(await ca.store.unlock('identity', 'worker/a', ca.now - DAY, audit)).toBe(true);
  expect(await standing(ca.now)).toEqual(['worker/b']);
});
