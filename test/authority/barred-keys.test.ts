import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openBarredKeys } from '../../src/authority/barred-keys.ts';
import { caFiles } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { createRoot } from '../../src/pki/certificates.ts';
import { generateKey, keyId } from '../../src/pki/keys.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { closing, failureOf } from '../store/fixture.ts';
import { newPublicKey, openCa, request, TRUST_DOMAIN } from './fixture.ts';

describe('a key is not certified', () => {
  it.each([
    ['root', 'rootCertificate'],
    ['issuer', 'issuerCertificate'],
  ] as const)('that is the key of the %s', async (name, file) => {
    const { authority, certsDir, store } = await openCa();
    const before = await store.revision();
    const publicKey = createPublicKey(readFileSync(caFiles(certsDir)[file]));
    const error = await failureOf('CG_KEY_BARRED', () => authority.issue(request({ publicKey })));
    expect(error.message).toBe(`key not certified: it is the key of the ${name} of generation 1`);
    expect(await store.revision()).toBe(before);
  });

  it('that is the key of a CA certificate of another generation', async () => {
    const { authority, store } = await openCa();
    const key = await generateKey('P-256');
    const { publicKey } = key;
    const [notBefore, notAfter] = [new Date(Date.now() - 1000), new Date(Date.now() + 1_000_000)];
    const der = await createRoot({ commonName: 'of another generation', notBefore, notAfter, key });
    const record = { role: 'issuer', generation: 7, parent: 'aa', state: 'retired', addedAt: 1, changedAt: 1 } as const;
    const entry = { time: 1, actor: 'test', action: 'ca.test', object: 'issuer', detail: {} };
    await store.changeCa({ add: [{ ...record, keyId: keyId(publicKey), der }], at: 1 }, entry);
    await authority.reload();
    const error = await failureOf('CG_KEY_BARRED', () => authority.issue(request({ publicKey })));
    expect(error.message).toContain('the key of the issuer of generation 7');
  });

  it('once a certificate with it was revoked for keyCompromise, by this process or another, to whomever', async () => {
    const { authority, certsDir, storePath } = await openCa();
    const publicKey = newPublicKey();
    const { record } = await authority.issue(request({ publicKey }));
    const again = await authority.issue(request({ publicKey, identity: 'user/alice' }));
    const store = closing(openSqliteStore(storePath));
    const other = await loadAuthority({ certsDir, store, trustDomain: TRUST_DOMAIN });
    await other.revoke({ serial: record.serial }, 'keyCompromise', 'test');
    for (const each of [authority, other]) {
      const error = await failureOf('CG_KEY_BARRED', () => each.issue(request({ publicKey, identity: 'user/alice' })));
      expect(error.message).toContain(`certificate ${record.serial} of worker/etl-1`);
    }
    expect(again.record.identity).toBe('user/alice');
  });

  it('once the store has come back from another past, in which it was revoked sooner', async () => {
    const { store, authority } = await openCa();
    const publicKey = newPublicKey();
    const { record } = await authority.issue(request({ publicKey }));
    let openings = 1;
    const pastOf = (revision: number) => ({
      serial: record.serial,
      identity: record.identity,
      der: record.der,
      revision,
    });
    let past = { ...pastOf(1_000), der: (await authority.issue(request())).record.der };
    const lost: Store = {
      ...store,
      get openings() {
        return openings;
      },
      compromisedSince: async (after) => (past.revision > after ? [past] : []),
    };
    const keys = openBarredKeys(lost, () => []);
    await keys.check(publicKey);
    [past, openings] = [pastOf(900), 2];
    await failureOf('CG_KEY_BARRED', () => keys.check(publicKey));
  });

  it('but is after a revocation for another reason', async () => {
    const { authority } = await openCa();
    const publicKey = newPublicKey();
    const { record } = await authority.issue(request({ publicKey }));
    await authority.revoke({ serial: record.serial }, 'superseded', 'test');
    expect((await authority.issue(request({ publicKey }))).record.identity).toBe('worker/etl-1');
  });
});
