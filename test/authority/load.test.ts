import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { loadAuthority } from '../../src/authority/load.ts';
import { rotateIssuer } from '../../src/authority/rotate.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { closing, failureOf, newFolder, newStore } from '../store/fixture.ts';
import { type MadeCa, newCa, request, TRUST_DOMAIN } from './fixture.ts';

const load = ({ certsDir, storePath }: MadeCa, values: { trustDomain?: string; clock?: () => number } = {}) =>
  loadAuthority({ certsDir, store: closing(openSqliteStore(storePath)), trustDomain: TRUST_DOMAIN, ...values });

const encrypt = (key: string): void => {
  const from = ['pkcs8', '-topk8', '-in', key, '-out', `${key}.new`, '-passout', 'pass:nobody-has-this'];
  expect(spawnSync('openssl', from).status).toBe(0);
  renameSync(`${key}.new`, key);
};

describe('loading the CA from its files', () => {
  it('gives an authority that issues', async () => {
    const ca = await newCa();
    const authority = await load(ca);
    expect(authority.trustDomain).toBe(TRUST_DOMAIN);
    expect((await authority.issue(request())).record.issuer).toBe(authority.issuer.keyId);
  });

  it('does not need the key of the root', async () => {
    const ca = await newCa();
    rmSync(join(ca.certsDir, 'root.key'));
    await (await load(ca)).issue(request());
  });

  it.each(['issuer.crt', 'issuer.key', 'root.crt'])('fails without %s, names it and what to do', async (name) => {
    const ca = await newCa();
    rmSync(join(ca.certsDir, name));
    const error = await failureOf('CG_CA_FILE', () => load(ca));
    expect(error.message).toBe(`${join(ca.certsDir, name)} does not exist`);
    expect(error.hint).toContain('--config FILE');
    expect(error.hint).toContain('restore it from a backup');
  });

  it.each(['issuer.crt', 'issuer.key', 'root.crt'])('fails when %s is not PEM, and names it', async (name) => {
    const ca = await newCa();
    writeFileSync(join(ca.certsDir, name), 'hello');
    expect((await failureOf('CG_CA_FILE', () => load(ca))).message).toContain(join(ca.certsDir, name));
  });

  it.each([0o640, 0o604, 0o660, 0o644, 0o601, 0o777])(
    'fails when the key has mode %o, with the command',
    async (mode) => {
      const ca = await newCa();
      const key = join(ca.certsDir, 'issuer.key');
      chmodSync(key, mode);
      const error = await failureOf('CG_KEY_MODE', () => load(ca));
      expect(error.hint).toBe(`chmod 600 ${key}`);
      expect(error.message).toContain(`0${mode.toString(8)}`);
    },
  );

  it('takes a key that its owner may only read', async () => {
    const ca = await newCa();
    chmodSync(join(ca.certsDir, 'issuer.key'), 0o400);
    await load(ca);
  });

  it('fails when the key is not the one of the issuer', async () => {
    const ca = await newCa();
    copyFileSync(join(ca.certsDir, 'root.key'), join(ca.certsDir, 'issuer.key'));
    const error = await failureOf('CG_CA_MISMATCH', () => load(ca));
    expect(error.message).toContain('issuer.key is not the key of');
  });

  it.each([
    ['of another certificate', 'is not the key of', (key: string, other: string) => copyFileSync(other, key)],
    ['of something else', 'cannot be read', (key: string) => writeFileSync(key, 'hello')],
    ['of a passphrase that nobody has', 'is encrypted', (key: string) => encrypt(key)],
    ['gone', 'does not exist', (key: string) => rmSync(key)],
  ])('goes on, and says so, when the key of an issuer that issues no more is one %s', async (_, words, spoil) => {
    const ca = await newCa();
    const store = closing(openSqliteStore(ca.storePath));
    await rotateIssuer({ certsDir: ca.certsDir, store, trustDomain: TRUST_DOMAIN, actor: 'test' });
    spoil(join(ca.certsDir, 'issuer.key'), join(ca.certsDir, 'root.key'));
    const said: string[] = [];
    const warn = (sentence: string): void => void said.push(sentence);
    const authority = await loadAuthority({ certsDir: ca.certsDir, store, trustDomain: TRUST_DOMAIN, warn });
    expect((await authority.issue(request())).record.issuer).toBe(authority.issuer.keyId);
    expect(authority.ca.issuers).toEqual([authority.issuer]);
    expect(said).toEqual([expect.stringMatching(/^issuer 1, retiring, can sign no revocation list: /)]);
    expect(said[0]).toContain(words);
  });

  it('fails when others may read the key of an issuer that issues no more', async () => {
    const ca = await newCa();
    const store = closing(openSqliteStore(ca.storePath));
    await rotateIssuer({ certsDir: ca.certsDir, store, trustDomain: TRUST_DOMAIN, actor: 'test' });
    chmodSync(join(ca.certsDir, 'issuer.key'), 0o644);
    await failureOf('CG_KEY_MODE', () => load(ca));
  });

  it('fails when the root did not issue the issuer', async () => {
    const [ca, other] = [await newCa(), await newCa()];
    copyFileSync(join(other.certsDir, 'root.crt'), join(ca.certsDir, 'root.crt'));
    const error = await failureOf('CG_CA_MISMATCH', () => load(ca));
    expect(error.message).toContain('was not issued by');
  });

  it('fails when the root is not a root', async () => {
    const ca = await newCa();
    copyFileSync(join(ca.certsDir, 'issuer.crt'), join(ca.certsDir, 'root.crt'));
    expect((await failureOf('CG_CA_MISMATCH', () => load(ca))).message).toContain('is not a root');
  });

  it('fails when what should be the issuer is a leaf', async () => {
    const ca = await newCa();
    const { certificatePem } = await (await load(ca)).issue(request());
    writeFileSync(join(ca.certsDir, 'issuer.crt'), certificatePem);
    await failureOf('CG_CA_MISMATCH', () => load(ca)); // the key is looked at first
    writeFileSync(join(ca.certsDir, 'root.crt'), certificatePem);
    rmSync(join(ca.certsDir, 'issuer.crt'));
    await failureOf('CG_CA_FILE', () => load(ca));
  });

  it('fails when the issuer has expired or is not valid yet, and names file and moment', async () => {
    const ca = await newCa();
    const { issuer } = await load(ca);
    const expired = await failureOf('CG_CA_EXPIRED', () =>
      load(ca, { clock: () => issuer.certificate.validToDate.getTime() }),
    );
    expect(expired.message).toContain('issuer.crt expired at 20');
    const early = await failureOf('CG_CA_EXPIRED', () => load(ca, { clock: () => Date.UTC(2020, 0, 1) }));
    expect(early.message).toContain('not valid before');
  });

  it('fails when the configuration names another trust domain than the store, and says which', async () => {
    const ca = await newCa();
    const error = await failureOf('CG_TRUST_DOMAIN_MISMATCH', () => load(ca, { trustDomain: 'other.example' }));
    expect(error.facts).toEqual({ configured: 'other.example', recorded: TRUST_DOMAIN, location: ca.storePath });
    expect(error.hint).toContain(TRUST_DOMAIN);
  });

  it('fails when the store is another CA’s, even of the same trust domain', async () => {
    const [ca, other] = [await newCa(), await newCa()];
    const mixed = { ...ca, storePath: other.storePath };
    expect((await failureOf('CG_CA_MISMATCH', () => load(mixed))).message).toContain(other.storePath);
  });

  it('fails when the store belongs to no CA', async () => {
    const ca = await newCa();
    const store = newStore();
    const { certsDir } = ca;
    await failureOf('CG_CA_MISMATCH', () => loadAuthority({ certsDir, store, trustDomain: TRUST_DOMAIN }));
  });

  it('works from a copy of both folders', async () => {
    const ca = await newCa();
    const copy = newFolder();
    cpSync(ca.dir, copy, { recursive: true });
    const certsDir = join(copy, 'certs');
    const authority = await load({ dir: copy, certsDir, storePath: join(copy, 'state', 'certgate.db') });
    expect(authority.bundlePem).toBe(readFileSync(join(ca.certsDir, 'ca.crt'), 'utf8'));
  });
});

describe('a CA from before the store kept its certificates', () => {
  it('is taken over from its files, once', async () => {
    const ca = await newCa();
    const known = closing(openSqliteStore(ca.storePath));
    const before = (await known.listCa()).map(({ keyId, role, parent, state }) => ({ keyId, role, parent, state }));
    const db = new DatabaseSync(ca.storePath);
    db.exec('DELETE FROM authorities');
    db.close();
    for (let i = 0; i < 2; i++) await (await load(ca)).issue(request());
    const after = (await known.listCa()).map(({ keyId, role, parent, state }) => ({ keyId, role, parent, state }));
    expect(after).toEqual(before);
    expect((await known.listAudit({})).filter(({ action }) => action === 'ca.adopt')).toHaveLength(1);
  });
});
