import { createPrivateKey, X509Certificate } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Authority } from '../../src/authority/authority.ts';
import { type DirectoryRequest, issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { generateKey } from '../../src/pki/keys.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { fill, ownFileSystem } from '../store/file-system.ts';
import { failureOf, HOUR, newFolder, newStore } from '../store/fixture.ts';
import { newCa, openCa, TRUST_DOMAIN } from './fixture.ts';

const asked = (out: string, values: Partial<DirectoryRequest> = {}): DirectoryRequest => ({
  identity: 'worker/etl-1',
  profile: 'client',
  ttlMs: 24 * HOUR,
  out,
  actor: 'test',
  ...values,
});

const newRequest = async () =>
  createRequest(signerOf((await generateKey('P-256')).privateKey), { commonName: 'etl-1' });
const serialIn = (dir: string) => new X509Certificate(readFileSync(join(dir, 'tls.crt'))).serialNumber.toLowerCase();
const fits = (dir: string) =>
  new X509Certificate(readFileSync(join(dir, 'tls.crt'))).checkPrivateKey(
    createPrivateKey(readFileSync(join(dir, 'tls.key'))),
  );

describe('issuing into a folder', () => {
  it('writes certificate, key and trust bundle under the names of a Kubernetes TLS secret', async () => {
    const { authority, dir } = await openCa();
    const out = join(dir, 'worker-etl-1');
    const { record, path, files } = await issueToDirectory(authority, asked(out));
    expect(path).toBe(out);
    expect(files).toEqual(['tls.crt', 'tls.key', 'ca.crt'].map((name) => join(out, name)));
    expect(readdirSync(out).toSorted()).toEqual(['ca.crt', 'tls.crt', 'tls.key']);
    expect(serialIn(out)).toBe(record.serial);
    expect(fits(out)).toBe(true);
    expect(readFileSync(join(out, 'ca.crt'), 'utf8')).toBe(authority.bundlePem);
    expect(readFileSync(join(out, 'tls.crt'), 'utf8').match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(readFileSync(join(out, 'tls.key'), 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
    expect(readdirSync(dir).toSorted()).toEqual(['certs', 'state', 'worker-etl-1']);
  });

  it.each([0o000, 0o777])('gives the key mode 0600 and the folder 0700, under umask %o', async (umask) => {
    const { authority, dir } = await openCa();
    const before = process.umask(umask);
    onTestFinished(() => void process.umask(before));
    const out = join(dir, 'out');
    await issueToDirectory(authority, asked(out));
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect(mode(out)).toBe(0o700);
    expect(['tls.key', 'tls.crt', 'ca.crt'].map((name) => mode(join(out, name)))).toEqual([0o600, 0o644, 0o644]);
  });

  it('for a signing request certifies its key and writes none', async () => {
    const { authority, dir } = await openCa();
    const out = join(dir, 'out');
    const pair = await generateKey('P-256');
    const csr = await createRequest(signerOf(pair.privateKey), { commonName: 'worker/etl-1' });
    const { record, files } = await issueToDirectory(authority, asked(out, { csr }));
    expect(files.map((file) => file.slice(out.length + 1))).toEqual(['tls.crt', 'ca.crt']);
    expect(readdirSync(out).toSorted()).toEqual(['ca.crt', 'tls.crt']);
    const leaf = new X509Certificate(readFileSync(join(out, 'tls.crt')));
    expect(leaf.publicKey.equals(pair.publicKey)).toBe(true);
    expect(record.identity).toBe('worker/etl-1');
    expect(leaf.subject).toBe('CN=worker/etl-1');
  });

  it('for a signing request that asks to be somebody else makes nothing and records nothing', async () => {
    const { authority, store, dir } = await openCa();
    const before = await store.revision();
    const { privateKey } = await generateKey('P-256');
    const csr = await createRequest(signerOf(privateKey), { commonName: 'user/alice' });
    await failureOf('CG_CSR_NAME', () => issueToDirectory(authority, asked(join(dir, 'out'), { csr })));
    expect(readdirSync(dir).toSorted()).toEqual(['certs', 'state']);
    expect(await store.revision()).toBe(before);
  });

  it('for a broken signing request makes nothing and records nothing', async () => {
    const { authority, store, dir } = await openCa();
    const before = await store.revision();
    const csrOf = (csr: string | Uint8Array) => () => issueToDirectory(authority, asked(join(dir, 'out'), { csr }));
    await failureOf('CG_CSR_UNREADABLE', csrOf('hello'));
    const csr = Buffer.from((await newRequest()).replace(/-----.*-----|\n/g, ''), 'base64');
    csr[csr.length - 1] = (csr[csr.length - 1] ?? 0) ^ 1;
    await failureOf('CG_CSR_SIGNATURE', csrOf(csr));
    expect(readdirSync(dir).toSorted()).toEqual(['certs', 'state']);
    expect(await store.revision()).toBe(before);
  });

  it('makes the folders above', async () => {
    const { authority, dir } = await openCa();
    await issueToDirectory(authority, asked(join(dir, 'a', 'b', 'c')));
    expect(fits(join(dir, 'a', 'b', 'c'))).toBe(true);
  });

  it('takes an empty folder for its own', async () => {
    const { authority, dir } = await openCa();
    mkdirSync(join(dir, 'out'));
    await issueToDirectory(authority, asked(join(dir, 'out')));
    expect(fits(join(dir, 'out'))).toBe(true);
  });
});

describe('issuing into a folder that exists', () => {
  it('is refused before anything is issued', async () => {
    const { authority, store, dir } = await openCa();
    const out = join(dir, 'out');
    const { record } = await issueToDirectory(authority, asked(out));
    const before = await store.revision();
    const error = await failureOf('CG_OUT_EXISTS', () => issueToDirectory(authority, asked(out)));
    expect(error.message).toContain(out);
    expect(error.hint).toContain('--force');
    expect(serialIn(out)).toBe(record.serial);
    expect(await store.revision()).toBe(before);
  });

  it('replaces all of it by force, and leaves nothing of the old', async () => {
    const { authority, dir } = await openCa();
    const out = join(dir, 'out');
    await issueToDirectory(authority, asked(out));
    const { record } = await issueToDirectory(authority, asked(out, { force: true }));
    expect(serialIn(out)).toBe(record.serial);
    expect(fits(out)).toBe(true);
    expect(readdirSync(dir).toSorted()).toEqual(['certs', 'out', 'state']);
  });

  it('takes no other files away, not even by force', async () => {
    const { authority, store, dir } = await openCa();
    const before = await store.revision();
    const error = await failureOf('CG_OUT_UNUSABLE', () => issueToDirectory(authority, asked(dir, { force: true })));
    expect(error.message).toContain('certs');
    expect(readdirSync(dir).toSorted()).toEqual(['certs', 'state']);
    expect(await store.revision()).toBe(before);
  });

  it('takes no key away for a certificate that comes without one, not even by force', async () => {
    const { authority, dir } = await openCa();
    const out = join(dir, 'out');
    await issueToDirectory(authority, asked(out));
    const key = readFileSync(join(out, 'tls.key'), 'utf8');
    const csr = await newRequest();
    await failureOf('CG_OUT_UNUSABLE', () => issueToDirectory(authority, asked(out, { csr, force: true })));
    expect(readFileSync(join(out, 'tls.key'), 'utf8')).toBe(key);
  });

  it('follows a link to it and keeps the link', async () => {
    const { authority, dir } = await openCa();
    await issueToDirectory(authority, asked(join(dir, 'real')));
    symlinkSync('real', join(dir, 'alias'));
    const issued = await issueToDirectory(authority, asked(join(dir, 'alias'), { force: true }));
    expect(issued.path).toBe(realpathSync(join(dir, 'real')));
    expect(serialIn(join(dir, 'alias'))).toBe(issued.record.serial);
    expect(readdirSync(dir).toSorted()).toEqual(['alias', 'certs', 'real', 'state']);
  });

  it.each([
    ['a file', (path: string) => writeFileSync(path, 'x'), 'CG_OUT_UNUSABLE'],
    ['a link that leads nowhere', (path: string) => symlinkSync('nowhere', path), 'CG_OUT_EXISTS'],
  ] as const)('but is %s is refused, by force too', async (_, make, code) => {
    const { authority, dir } = await openCa();
    make(join(dir, 'out'));
    for (const force of [false, true]) {
      await failureOf<typeof code>(code, () => issueToDirectory(authority, asked(join(dir, 'out'), { force })));
    }
  });
});

describe('issuing into a folder that fails', () => {
  // An authority during whose `issue` something happens, after the record is committed.
  const during = (authority: Authority, act: () => void): Authority => ({
    ...authority,
    issue: async (request) => {
      const issued = await authority.issue(request);
      act();
      return issued;
    },
  });

  it('before the record is committed leaves neither record nor folder', async () => {
    const { authority, store, dir } = await openCa();
    const before = await store.revision();
    await failureOf('CG_TTL', () => issueToDirectory(authority, asked(join(dir, 'out'), { ttlMs: 1 })));
    expect(readdirSync(dir).toSorted()).toEqual(['certs', 'state']);
    expect(await store.revision()).toBe(before);
  });

  it('after it revokes what nobody received', async () => {
    const { authority, store, dir } = await openCa();
    const out = join(dir, 'out');
    const taken = during(authority, () => {
      mkdirSync(out);
      writeFileSync(join(out, 'other'), '');
    });
    await failureOf('CG_OUT_EXISTS', () => issueToDirectory(taken, asked(out)));
    expect(readdirSync(dir).toSorted()).toEqual(['certs', 'out', 'state']);
    expect(readdirSync(out)).toEqual(['other']);
    expect(await store.listCertificates({ now: Date.now() })).toMatchObject([{ reason: 'cessationOfOperation' }]);
  });

  it('because there is no room for it says so, leaves no key, and revokes what nobody received', async (context) => {
    const { authority, store } = await openCa();
    const place = ownFileSystem(context, '64k');
    const out = join(place, 'out');
    const full = during(authority, () => void fill(place));
    const error = await failureOf('CG_OUT_UNUSABLE', () => issueToDirectory(full, asked(out)));
    expect(error.message).toContain('no room');
    expect(readdirSync(place)).toEqual(['filler']);
    expect(await store.listCertificates({ now: Date.now() })).toMatchObject([{ reason: 'cessationOfOperation' }]);
    expect((await failureOf('CG_OUT_UNUSABLE', () => issueToDirectory(authority, asked(out)))).message).toContain(out);
    expect(readdirSync(place)).toEqual(['filler']);
    rmSync(join(place, 'filler'));
    await issueToDirectory(authority, asked(out));
  });

  it('because there is no room for the record leaves neither record nor folder', async (context) => {
    const place = ownFileSystem(context, '2m');
    const { certsDir } = await newCa();
    const path = join(place, 'certgate.db');
    const store = newStore(path);
    const root = new X509Certificate(readFileSync(join(certsDir, 'root.crt')));
    const rootFingerprint = root.fingerprint256.replaceAll(':', '').toLowerCase();
    const audit = { time: 0, actor: 'test', action: 'ca.init', object: '', detail: {} };
    await store.changeCa({ meta: { trustDomain: TRUST_DOMAIN, rootFingerprint }, at: 0 }, audit);
    const authority = await loadAuthority({ certsDir, store, trustDomain: TRUST_DOMAIN });
    fill(place);
    const dir = newFolder();
    const issued: string[] = [];
    for (let full = false; !full; ) {
      const out = join(dir, `out-${issued.length}`);
      full = await issueToDirectory(authority, asked(out)).then(
        () => issued.push(out) < 0, // the log may still have some room of its own
        async (error: unknown) => {
          await failureOf('CG_STORE_FULL', () => {
            throw error;
          });
          return true;
        },
      );
    }
    expect(readdirSync(dir)).toHaveLength(issued.length);
    expect(await store.listCertificates({ now: Date.now(), limit: 1000 })).toHaveLength(issued.length);
  });

  it('because the draft vanished says which folder could not be written', async () => {
    const { authority, dir } = await openCa();
    const out = join(dir, 'sub', 'out');
    const gone = during(authority, () => rmSync(join(dir, 'sub'), { recursive: true }));
    const error = await failureOf('CG_OUT_UNUSABLE', () => issueToDirectory(gone, asked(out)));
    expect(error.message).toContain(out);
  });

  it('by a kill is cleaned up by the next issue to the same folder, once its process is gone for a minute', async () => {
    const { authority, dir } = await openCa();
    const ends = ['issuing-999999998-aaaaaaaa', 'replaced-999999998-bbbbbbbb', 'issuing-999999998-cccccccc'];
    const drafts = [...ends, `issuing-${process.pid}-dddddddd`].map((end) => join(dir, `.out.${end}`));
    for (const [i, draft] of drafts.entries()) {
      mkdirSync(draft);
      writeFileSync(join(draft, 'tls.key'), 'secret');
      if (i !== 2) utimesSync(draft, 1, 1);
    }
    await issueToDirectory(authority, asked(join(dir, 'out')));
    expect(drafts.map((draft) => existsSync(draft))).toEqual([false, false, true, true]);
  });
});
