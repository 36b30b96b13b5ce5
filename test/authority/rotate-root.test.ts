// A new root by prepare, activate and retire, each of which can be taken back, and none of which cuts anybody off unasked.

import { X509Certificate } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadAuthority } from '../../src/authority/load.ts';
import {
  activateRoot,
  prepareRoot,
  retireIssuers,
  retireRoot,
  rollbackActivate,
  rollbackIssuer,
  rollbackPrepare,
  rollbackRetire,
  rotateIssuer,
} from '../../src/authority/rotate.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { closing, failureOf, HOUR, newFolder } from '../store/fixture.ts';
import { openCa, request, TRUST_DOMAIN } from './fixture.ts';
import { bundleOf, issuerOfLeaf, placeOf, states } from './rotation.ts';

describe('rotating the root', () => {
  test('goes by prepare, activate and retire', async () => {
    const ca = await openCa();
    const old = await ca.authority.issue(request());
    await prepareRoot(placeOf(ca));
    expect(await states(ca)).toBe('root 1 active, root 2 prepared, issuer 1 active, issuer 2 prepared');
    await ca.authority.reload();
    expect(issuerOfLeaf((await ca.authority.issue(request())).certificatePem)).toBe(old.record.issuer);

    await activateRoot(placeOf(ca), true);
    expect(await states(ca)).toBe('root 1 retiring, root 2 active, issuer 1 retiring, issuer 2 active');
    await ca.authority.reload();
    const fresh = await ca.authority.issue(request());
    expect(fresh.record.issuer).not.toBe(old.record.issuer);
    const blocks = fresh.chainPem.match(/-----BEGIN[\s\S]+?END CERTIFICATE-----\n/g) ?? [];
    const root = new X509Certificate(readFileSync(join(ca.certsDir, 'root-2.crt')));
    expect(new X509Certificate(blocks[1] ?? '').verify(root.publicKey)).toBe(true);

    const error = await failureOf('CG_CA_IN_USE', () => retireRoot(placeOf(ca)));
    expect(error.message).toBe('root 1 is still in use by "worker/etl-1"');
    await ca.authority.revoke({ serial: old.record.serial }, 'superseded', 'test');
    const others = await ca.store.liveIdentities(old.record.issuer, Date.now());
    expect(others).toEqual(['worker/etl-1']); // issued while prepared
    await ca.authority.revoke({ identity: 'worker/etl-1' }, 'superseded', 'test');
    await retireRoot(placeOf(ca));
    expect(await states(ca)).toBe('root 1 retired, root 2 active, issuer 1 retired, issuer 2 active');
    await ca.authority.reload();
    expect(ca.authority.bundlePem.match(/BEGIN/g)).toHaveLength(2);
    expect(ca.authority.ca.trust.issuers.size).toBe(1);
  });

  test('never withdraws a root below which the issuer is that issues', async () => {
    const ca = await openCa();
    await prepareRoot(placeOf(ca));
    const [old, fresh] = (await ca.store.listCa()).filter(({ role }) => role === 'issuer');
    await ca.store.changeCa(
      {
        states: [
          { keyId: old?.keyId ?? '', from: 'active', to: 'retiring' },
          { keyId: fresh?.keyId ?? '', from: 'prepared', to: 'active' },
        ],
        at: Date.now(),
      },
      { time: Date.now(), actor: 'test', action: 'by hand', object: '', detail: {} },
    );
    const error = await failureOf('CG_CA_STEP', () => rollbackPrepare(placeOf(ca)));
    expect(error.message).toContain('issuer 2, which issues, is below root 2');
  });

  test('never retires a root below which the issuer is that issues', async () => {
    const ca = await openCa();
    const [root] = await ca.store.listCa();
    await ca.store.changeCa(
      { states: [{ keyId: root?.keyId ?? '', from: 'active', to: 'retiring' }], at: Date.now() },
      { time: Date.now(), actor: 'test', action: 'by hand', object: '', detail: {} },
    );
    const error = await failureOf('CG_CA_STEP', () => retireRoot(placeOf(ca)));
    expect(error.message).toContain('issuer 1, which issues, is below root 1');
    expect(await states(ca)).toBe('root 1 retiring, issuer 1 active');
  });

  test('withdraws no prepared root while somebody lives by it', async () => {
    const ca = await openCa();
    await prepareRoot(placeOf(ca));
    await activateRoot(placeOf(ca), true);
    await ca.authority.reload();
    const { record } = await ca.authority.issue(request());
    await rollbackActivate(placeOf(ca));
    const before = await states(ca);
    const error = await failureOf('CG_CA_IN_USE', () => rollbackPrepare(placeOf(ca)));
    expect(error.message).toBe('root 2 is still in use by "worker/etl-1"');
    expect(await states(ca)).toBe(before);
    await ca.authority.revoke({ serial: record.serial }, 'superseded', 'test');
    await rollbackPrepare(placeOf(ca));
    expect(await states(ca)).toBe('root 1 active, root 2 retired, issuer 1 active, issuer 2 retired');
  });

  test('brings back no issuer that was retired before it, and leaves what retires with its root to that', async () => {
    const ca = await openCa();
    const later = { ...placeOf(ca), clock: () => Date.now() + 8 * 24 * HOUR };
    await rotateIssuer(placeOf(ca));
    await retireIssuers(later);
    await prepareRoot(placeOf(ca));
    await activateRoot(placeOf(ca), true);
    const activated = 'root 1 retiring, root 2 active, issuer 1 retired, issuer 2 retiring, issuer 3 active';
    expect(await states(ca)).toBe(activated);
    expect(await retireIssuers({ ...later, clock: () => Date.now() + 30 * 24 * HOUR })).toBeNull();
    // The present root has no issuer but the one that issues.
    await failureOf('CG_CA_STEP', () => rollbackIssuer(placeOf(ca)));
    await retireRoot(placeOf(ca));
    await rollbackRetire(placeOf(ca));
    expect(await states(ca)).toBe(activated);
  });

  test('neither goes on nor goes back to an issuer that has expired', async () => {
    const ca = await openCa();
    await prepareRoot(placeOf(ca));
    const later = { ...placeOf(ca), clock: () => Date.now() + 400 * 24 * HOUR };
    const on = await failureOf('CG_CA_STEP', () => activateRoot(later, true));
    expect(on.message).toContain('issuer 2 expired at 20');
    await activateRoot(placeOf(ca), true);
    const back = await failureOf('CG_CA_STEP', () => rollbackActivate(later));
    expect(back.message).toContain('issuer 1 expired at 20');
    expect(await states(ca)).toBe('root 1 retiring, root 2 active, issuer 1 retiring, issuer 2 active');
  });

  test('is prepared once when two prepare it at once, and leaves no file of the other', async () => {
    const ca = await openCa();
    const other = closing(openSqliteStore(ca.storePath));
    const tries = await Promise.allSettled([prepareRoot(placeOf(ca)), prepareRoot({ ...placeOf(ca), store: other })]);
    expect(tries.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const refused = tries.find((one) => one.status === 'rejected');
    expect(refused?.reason).toMatchObject({ code: 'CG_CA_CHANGED' });
    expect(await states(ca)).toBe('root 1 active, root 2 prepared, issuer 1 active, issuer 2 prepared');
    expect(readdirSync(ca.certsDir).filter((name) => name.endsWith('.key'))).toHaveLength(4);
  });

  test('refuses a second prepared root that came since it was looked', async () => {
    const ca = await openCa();
    const between: Store = {
      ...ca.store,
      changeCa: async (change, audit) => {
        await prepareRoot(placeOf(ca));
        await ca.store.changeCa(change, audit);
      },
    };
    const error = await failureOf('CG_CA_CHANGED', () => prepareRoot({ ...placeOf(ca), store: between }));
    expect(error.message).toContain('another root is prepared by now');
    expect(await states(ca)).toMatch(/^root 1 active, root \d prepared, issuer 1 active, issuer \d prepared$/);
    await rollbackPrepare(placeOf(ca));
    await prepareRoot(placeOf(ca));
  });

  test('takes every step back', async () => {
    const ca = await openCa();
    const start = bundleOf(ca);
    await prepareRoot(placeOf(ca));
    const both = bundleOf(ca);
    await rollbackPrepare(placeOf(ca));
    expect(bundleOf(ca)).toBe(start);
    await failureOf('CG_CA_STEP', () => rollbackPrepare(placeOf(ca)));
    await prepareRoot(placeOf(ca));
    expect(bundleOf(ca)).not.toBe(both);

    await activateRoot(placeOf(ca), true);
    await rollbackActivate(placeOf(ca));
    const prepared =
      'root 1 active, root 2 retired, root 3 prepared, issuer 1 active, issuer 2 retired, issuer 3 prepared';
    expect(await states(ca)).toBe(prepared);
    await activateRoot(placeOf(ca), true);
    await retireRoot(placeOf(ca));
    await failureOf('CG_CA_STEP', () => retireRoot(placeOf(ca)));
    await rollbackRetire(placeOf(ca));
    expect(await states(ca)).toContain('root 1 retiring, root 2 retired, root 3 active, issuer 1 retiring');
    await rollbackActivate(placeOf(ca));
    expect(await states(ca)).toBe(prepared);
    await ca.authority.reload();
    await ca.authority.issue(request());
  });

  test('never brings back a root that was withdrawn before it issued, nor one that was retired before this one issued', async () => {
    const ca = await openCa();
    await prepareRoot(placeOf(ca));
    await rollbackPrepare(placeOf(ca));
    await prepareRoot(placeOf(ca));
    await activateRoot(placeOf(ca), true);
    const before = await states(ca);
    expect((await failureOf('CG_CA_STEP', () => rollbackRetire(placeOf(ca)))).message).toContain('since root 3 issues');
    expect(await states(ca)).toBe(before);
    await retireRoot(placeOf(ca));
    await prepareRoot(placeOf(ca));
    await activateRoot(placeOf(ca), true);
    await failureOf('CG_CA_STEP', () => rollbackRetire(placeOf(ca)));
    expect(await states(ca)).toContain('root 1 retired, root 2 retired, root 3 retiring, root 4 active');
  });

  test('waits until everybody has taken the bundle with both, and names who has not', async () => {
    const ca = await openCa();
    const { record } = await ca.authority.issue(request());
    await prepareRoot(placeOf(ca));
    const error = await failureOf('CG_CA_BUNDLE', () => activateRoot(placeOf(ca), false));
    expect(error.facts.identities).toEqual(['worker/etl-1']);
    await ca.authority.reload();
    const { bundleId } = ca.authority.ca.trust;
    const { serial, identity } = record;
    await ca.store.noteBundle({ serial, identity, bundle: bundleId, takenAt: Date.now() });
    await activateRoot(placeOf(ca), false);
    expect(await states(ca)).toContain('root 2 active');
  });

  test('puts the new root’s key where it is told, and never needs it to issue', async () => {
    const ca = await openCa();
    const offline = join(newFolder(), 'vault');
    await prepareRoot(placeOf(ca), { keyDir: offline });
    expect(statSync(offline).mode & 0o777).toBe(0o700);
    expect(readdirSync(offline)).toEqual(['root-2.key']);
    expect(existsSync(join(ca.certsDir, 'root-2.key'))).toBe(false);
    rmSync(offline, { recursive: true });
    await activateRoot(placeOf(ca), true);
    await ca.authority.reload();
    await ca.authority.issue(request());
    await failureOf('CG_CA_STEP', () => prepareRoot(placeOf(ca)).then(() => prepareRoot(placeOf(ca))));
  });

  test('holds after a restart, from files and store alone', async () => {
    const ca = await openCa();
    await prepareRoot(placeOf(ca));
    await activateRoot(placeOf(ca), true);
    const store = closing(openSqliteStore(ca.storePath));
    const again = await loadAuthority({ certsDir: ca.certsDir, store, trustDomain: TRUST_DOMAIN });
    expect(again.bundlePem).toBe(bundleOf(ca));
    await again.issue(request());
    rmSync(join(ca.certsDir, 'root-2.crt'));
    await failureOf('CG_CA_FILE', () => loadAuthority({ certsDir: ca.certsDir, store, trustDomain: TRUST_DOMAIN }));
  });
});
