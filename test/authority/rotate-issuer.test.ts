// A new issuer under the same root: it issues at once, the old one is trusted until its leaves have ended.

import { X509Certificate } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CaPlace } from '../../src/authority/change.ts';
import { retireIssuers, rollbackIssuer, rotateIssuer, rotationTime } from '../../src/authority/rotate.ts';
import { CertgateError } from '../../src/errors.ts';
import type { Store } from '../../src/store/store.ts';
import { failureOf, HOUR, newFolder } from '../store/fixture.ts';
import { openCa, request } from './fixture.ts';
import { bundleOf, placeOf, states } from './rotation.ts';

describe('rotating the issuer', () => {
  test('has a new one issue under the same root, and trusts both', async () => {
    const ca = await openCa();
    const old = await ca.authority.issue(request());
    const { files } = await rotateIssuer(placeOf(ca));
    expect(await states(ca)).toBe('root 1 active, issuer 1 retiring, issuer 2 active');
    expect(files.map((file) => [file.slice(ca.certsDir.length + 1), statSync(file).mode & 0o777])).toEqual([
      ['issuer-2.key', 0o600],
      ['issuer-2.crt', 0o644],
    ]);
    expect(await ca.authority.reload()).toBe(true);
    expect(await ca.authority.reload()).toBe(false);
    const fresh = await ca.authority.issue(request());
    expect(fresh.record.issuer).not.toBe(old.record.issuer);
    const issuer = new X509Certificate(readFileSync(join(ca.certsDir, 'issuer-2.crt')));
    const root = new X509Certificate(readFileSync(join(ca.certsDir, 'root.crt')));
    expect(new X509Certificate(fresh.certificatePem).verify(issuer.publicKey)).toBe(true);
    expect(issuer.verify(root.publicKey)).toBe(true);
    expect(ca.authority.bundlePem).toBe(bundleOf(ca));
    expect(ca.authority.ca.trust.issuers).toEqual(new Set([old.record.issuer, fresh.record.issuer]));
    expect(ca.authority.ca.issuers.map(({ keyId }) => keyId)).toEqual([fresh.record.issuer, old.record.issuer]);
    expect((await ca.store.listAudit({})).at(-2)).toMatchObject({ action: 'ca.rotate-issuer', actor: 'test' });
  });

  test('is taken back, and again', async () => {
    const ca = await openCa();
    await failureOf('CG_CA_STEP', () => rollbackIssuer(placeOf(ca)));
    await rotateIssuer(placeOf(ca));
    await rollbackIssuer(placeOf(ca));
    expect(await states(ca)).toBe('root 1 active, issuer 1 active, issuer 2 retiring');
    await rollbackIssuer(placeOf(ca));
    expect(await states(ca)).toBe('root 1 active, issuer 1 retiring, issuer 2 active');
  });

  test('is taken back to the one that issued before, not to the newest', async () => {
    const ca = await openCa();
    await rotateIssuer(placeOf(ca));
    await rollbackIssuer(placeOf(ca));
    await rotateIssuer(placeOf(ca));
    expect(await states(ca)).toBe('root 1 active, issuer 1 retiring, issuer 2 retiring, issuer 3 active');
    await rollbackIssuer(placeOf(ca));
    expect(await states(ca)).toBe('root 1 active, issuer 1 active, issuer 2 retiring, issuer 3 retiring');
  });

  test('wants the root’s key, says where it looked, and takes it from where it is named', async () => {
    const ca = await openCa();
    const away = join(newFolder(), 'root.key');
    renameSync(join(ca.certsDir, 'root.key'), away);
    const error = await failureOf('CG_CA_KEY', () => rotateIssuer(placeOf(ca)));
    expect(error.message).toBe(`the root's key is needed, and ${join(ca.certsDir, 'root.key')} does not exist`);
    const wrong = await failureOf('CG_CA_KEY', () => rotateIssuer(placeOf(ca), join(ca.certsDir, 'issuer.key')));
    expect(wrong.message).toContain('is not the key of CN=certgate root');
    expect(await states(ca)).toBe('root 1 active, issuer 1 active');
    await rotateIssuer(placeOf(ca), away);
    expect(await states(ca)).toContain('issuer 2 active');
  });

  test.each(['CG_STORE_IO', 'CG_STORE_LOST'] as const)(
    'keeps its keys when the store fails with %s, and counts all the same',
    async (code) => {
      const ca = await openCa();
      const facts = { location: 'certgate.db', problem: 'disk I/O error (SQLite 1034)' };
      const fails = new CertgateError(code, facts);
      const failing: Store = {
        ...ca.store,
        changeCa: async (change, audit) => {
          await ca.store.changeCa(change, audit);
          throw fails;
        },
      };
      await failureOf(code, () => rotateIssuer({ ...placeOf(ca), store: failing }));
      expect(await states(ca)).toBe('root 1 active, issuer 1 retiring, issuer 2 active');
      await ca.authority.reload();
      const { record } = await ca.authority.issue(request());
      expect(record.issuer).toBe((await ca.store.listCa()).at(-1)?.keyId);
    },
  );

  test('that the store has refused leaves no file; one that it may have made leaves some, and the next is made beside them', async () => {
    const ca = await openCa();
    const before = readdirSync(ca.certsDir);
    const place = (error: CertgateError): CaPlace => ({
      ...placeOf(ca),
      store: {
        ...ca.store,
        async changeCa() {
          throw error;
        },
      },
    });
    const location = 'certgate.db';
    const busy = new CertgateError('CG_STORE_BUSY', { location, waited: 5_000 });
    await failureOf('CG_STORE_BUSY', () => rotateIssuer(place(busy)));
    expect(readdirSync(ca.certsDir)).toEqual(before);
    const broken = new CertgateError('CG_STORE_IO', { location, problem: 'disk I/O error' });
    await failureOf('CG_STORE_IO', () => rotateIssuer(place(broken)));
    await rotateIssuer(placeOf(ca));
    expect(await states(ca)).toBe('root 1 active, issuer 1 retiring, issuer 3 active');
    await ca.authority.reload();
    await ca.authority.issue(request());
  });

  test('by two at once is done once, and leaves no file of the other', async () => {
    const ca = await openCa();
    const ended = await Promise.allSettled([rotateIssuer(placeOf(ca)), rotateIssuer(placeOf(ca))]);
    expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(readdirSync(ca.certsDir).filter((name) => name.startsWith('issuer-'))).toHaveLength(2);
    await ca.authority.reload();
    await ca.authority.issue(request());
  });

  test('does not go back to an issuer that has expired', async () => {
    const ca = await openCa();
    await rotateIssuer(placeOf(ca));
    const later = { ...placeOf(ca), clock: () => Date.now() + 400 * 24 * HOUR };
    expect((await failureOf('CG_CA_STEP', () => rollbackIssuer(later))).message).toContain('issuer 1 expired at 20');
    expect(await states(ca)).toBe('root 1 active, issuer 1 retiring, issuer 2 active');
  });

  test('is done, and says so, though ca.crt cannot be written', async () => {
    const ca = await openCa();
    const bundle = join(ca.certsDir, 'ca.crt');
    rmSync(bundle);
    mkdirSync(bundle);
    const { bundleProblem } = await rotateIssuer(placeOf(ca));
    expect(bundleProblem).toContain(bundle);
    expect(await states(ca)).toBe('root 1 active, issuer 1 retiring, issuer 2 active');
    rmSync(bundle, { recursive: true });
    expect((await rollbackIssuer(placeOf(ca))).bundleProblem).toBeNull();
    expect(bundleOf(ca).match(/BEGIN/g)).toHaveLength(3);
  });

  test('passes over files that a killed attempt left', async () => {
    const ca = await openCa();
    await rotateIssuer(placeOf(ca));
    const [from, to] = ['2', '3'].map((n) => join(ca.certsDir, `issuer-${n}.key`)) as [string, string];
    const key = readFileSync(from, 'utf8');
    renameSync(from, to);
    await rotateIssuer(placeOf(ca));
    expect(await states(ca)).toBe('root 1 active, issuer 1 retiring, issuer 2 retiring, issuer 4 active');
    expect(readFileSync(to, 'utf8')).toBe(key);
  });

  test('retires the old one by itself, once its leaves have ended and a week has passed', async () => {
    const ca = await openCa();
    await ca.authority.issue(request());
    const week = 7 * 24 * HOUR;
    await rotateIssuer(placeOf(ca));
    const inTime = (ms: number): CaPlace => ({ ...placeOf(ca), clock: () => Date.now() + ms });
    await ca.authority.issue(request({ ttlMs: week + 2 * HOUR, identity: 'worker/long' }));
    expect(await retireIssuers(inTime(week - HOUR))).toBeNull(); // its leaf has ended, and nothing has settled
    expect(await retireIssuers(inTime(week + HOUR))).toBeNull(); // a leaf of it still lives
    await retireIssuers(inTime(week + 3 * HOUR));
    expect(await states(ca)).toBe('root 1 active, issuer 1 retired, issuer 2 active');
    expect(bundleOf(ca).match(/BEGIN/g)).toHaveLength(2);
  });

  test('is not gone through again before its last leaf ends, or once a day, where somebody remembers it', async () => {
    const ca = await openCa();
    await rotateIssuer(placeOf(ca));
    const week = 7 * 24 * HOUR;
    const { serial } = (await ca.authority.issue(request({ ttlMs: week + 60 * HOUR }))).record;
    let looks = 0;
    const store: Store = {
      ...ca.store,
      lastEnd: (...asked) => {
        looks++;
        return ca.store.lastEnd(...asked);
      },
    };
    const waits = new Map<string, number>();
    const lookIn = (ms: number) => retireIssuers({ ...placeOf(ca), store, clock: () => Date.now() + ms }, waits);
    for (const hours of [1, 2, 24]) expect(await lookIn(week + hours * HOUR)).toBeNull();
    expect(looks).toBe(1);
    expect(await lookIn(week + 26 * HOUR)).toBeNull();
    expect(looks).toBe(2);
    await ca.authority.revoke({ serial }, 'superseded', 'test');
    expect(await lookIn(week + 51 * HOUR)).not.toBeNull();
    expect(await states(ca)).toBe('root 1 active, issuer 1 retired, issuer 2 active');
  });

  test('retires none that has issued again since it was looked; and who knows no better issues by it no more', async () => {
    const ca = await openCa();
    await rotateIssuer(placeOf(ca));
    let late = '';
    // The authority that was loaded before the rotation issues between the look and the change.
    const between: Store = {
      ...ca.store,
      changeCa: async (change, audit) => {
        late = (await ca.authority.issue(request({ ttlMs: 30 * 24 * HOUR }))).record.serial;
        await ca.store.changeCa(change, audit);
      },
    };
    const clock = (): number => Date.now() + 8 * 24 * HOUR;
    const place = { ...placeOf(ca), clock };
    await failureOf('CG_CA_CHANGED', () => retireIssuers({ ...place, store: between }));
    expect(await states(ca)).toBe('root 1 active, issuer 1 retiring, issuer 2 active');
    await ca.authority.revoke({ serial: late }, 'superseded', 'test');
    await retireIssuers(place);
    expect(await states(ca)).toBe('root 1 active, issuer 1 retired, issuer 2 active');
    const now = Date.now();
    const before = (await ca.store.listCertificates({ now })).length;
    const error = await failureOf('CG_CA_CHANGED', () => ca.authority.issue(request()));
    expect(error.message).toContain('is retired by now');
    expect(await ca.store.listCertificates({ now })).toHaveLength(before);
    await ca.authority.reload();
    await ca.authority.issue(request());
  });

  test('is due at two thirds of its life', async () => {
    const ca = await openCa();
    const [, issuer] = await ca.store.listCa();
    const { validFromDate, validToDate } = ca.authority.issuer.certificate;
    const life = validToDate.getTime() - validFromDate.getTime();
    expect(issuer && rotationTime(issuer)).toBe(Math.floor(validFromDate.getTime() + (life * 2) / 3));
  });
});
