import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type MadeBackup, makeBackup } from '../../src/authority/backup.ts';
import { parseManifest } from '../../src/authority/backup-manifest.ts';
import { createAuthority } from '../../src/authority/create.ts';
import { SCHEMA_VERSION } from '../../src/store/schema.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { readStoreFacts } from '../../src/store/sqlite-copy.ts';
import { closing, failureOf, integrityOf, newFolder, runScript } from '../store/fixture.ts';
import { backupOf } from './backup-fixture.ts';
import { newCa, openCa, request, TRUST_DOMAIN } from './fixture.ts';

const writer = join(import.meta.dirname, '../store/writing-process.ts');

it('holds the whole CA, private, with a manifest that is true of every file', async () => {
  const ca = await openCa();
  const { record } = await ca.authority.issue(request());
  await ca.authority.revoke({ serial: record.serial }, 'keyCompromise', 'test');
  expect(await ca.store.nextCrlNumber(ca.authority.issuer.keyId, 41)).toBe(42);
  const configuration = join(ca.dir, 'certgate.yaml');
  writeFileSync(configuration, 'trustDomain: prefect.example\n');
  writeFileSync(join(ca.dir, 'state', 'audit.jsonl'), '{"a":1}\n{"b":2}\n{"c'); // the gate is writing its third line
  mkdirSync(join(ca.certsDir, 'older'));
  writeFileSync(join(ca.certsDir, 'older', 'issuer-1.crt'), readFileSync(join(ca.certsDir, 'issuer.crt')));

  const out = join(newFolder(), 'deep', 'backup');
  const made = await makeBackup(backupOf(ca, out, { configuration, now: Date.UTC(2026, 10, 25), version: '1.2.3' }));
  const manifest = parseManifest(readFileSync(join(out, 'manifest.json'), 'utf8'), 'm');
  expect(manifest).toEqual(made.manifest);
  expect(manifest).toMatchObject({
    certgate: '1.2.3',
    madeAt: '2026-11-25T00:00:00.000Z',
    trustDomain: 'prefect.example',
    store: { schema: SCHEMA_VERSION, revision: await ca.store.revision(), certificates: 1 },
    crlNumbers: { [ca.authority.issuer.keyId]: 42 },
    keys: true,
    leftOut: [],
  });
  const names = ['ca.crt', 'issuer.crt', 'issuer.key', 'older/issuer-1.crt', 'root.crt', 'root.key'];
  expect(manifest.files.map(({ path }) => path).toSorted()).toEqual(
    ['certgate.yaml', ...names.map((name) => `certs/${name}`), 'state/audit.jsonl', 'state/certgate.db'].toSorted(),
  );
  for (const { path, bytes, sha256 } of manifest.files) {
    const content = readFileSync(join(out, path));
    expect([path, content.length, createHash('sha256').update(content).digest('hex')]).toEqual([path, bytes, sha256]);
  }
  for (const entry of readdirSync(out, { recursive: true, withFileTypes: true })) {
    const mode = statSync(join(entry.parentPath, entry.name)).mode & 0o777;
    expect([entry.name, mode.toString(8)]).toEqual([entry.name, entry.isDirectory() ? '700' : '600']);
  }
  expect(readFileSync(join(out, 'state', 'audit.jsonl'), 'utf8')).toBe('{"a":1}\n{"b":2}\n');
  expect(readdirSync(join(out, '..'))).toEqual(['backup']);
  expect(integrityOf(join(out, 'state', 'certgate.db'))).toBe('ok');
});

it.each([
  ['the folder of the keys', '.', '.'],
  ['a folder below that', '.', 'state'],
  ['the folder above it', 'certs', '.'],
])(
  'takes the state once where it is in %s, and is not kept waiting by what a gate writes there',
  async (_where, certs, state) => {
    const dir = newFolder();
    const [certsDir, stateDir] = [join(dir, certs), join(dir, state)];
    const made = await createAuthority({ certsDir, stateDir, trustDomain: TRUST_DOMAIN, actor: 'test' });
    const store = closing(openSqliteStore(made.store));
    await store.revision();
    const record = join(stateDir, 'audit.jsonl');
    for (const name of ['audit.jsonl', 'audit.jsonl.1', 'audit.jsonl.lock', 'audit.reserve', 'gate.lock']) {
      writeFileSync(join(stateDir, name), name === 'audit.jsonl' ? '{"a":1}\n' : '');
    }
    const out = join(newFolder(), 'backup');
    const { manifest } = await makeBackup(backupOf({ dir, certsDir, storePath: made.store }, out, { record }));
    const names = ['ca.crt', 'issuer.crt', 'issuer.key', 'root.crt', 'root.key'].map((name) => `certs/${name}`);
    const rest = ['state/audit.jsonl', 'state/audit.jsonl.1', 'state/certgate.db'];
    expect(manifest.files.map(({ path }) => path).toSorted()).toEqual([...names, ...rest]);
  },
);

it('is of one revision, and sound, while two processes issue and revoke', async () => {
  const ca = await newCa();
  const { revision: first } = readStoreFacts(ca.storePath);
  const working = [1, 2].map(() => runScript(writer, [ca.storePath, '150']));
  const seen: Array<readonly [revision: number, certificates: number]> = [];
  for (let n = 0; n < 6; n++) {
    const out = join(newFolder(), 'backup');
    const { manifest } = await makeBackup(backupOf(ca, out));
    const store = openSqliteStore(join(out, 'state', 'certgate.db'));
    const [all, revoked] = [
      await store.listCertificates({ now: Date.now(), limit: 1000 }),
      await store.revocationsSince(0),
    ];
    // Every change is one revision; the first ones are the CA's own.
    expect(all.length + revoked.length + first).toBe(manifest.store.revision);
    expect(await store.listAudit({ limit: 1000 })).toHaveLength(manifest.store.revision);
    await store.close();
    seen.push([manifest.store.revision, manifest.store.certificates]);
  }
  const ended = await Promise.all(working);
  expect(ended.map(({ code, err }) => ({ code, err }))).toEqual([
    { code: 0, err: '' },
    { code: 0, err: '' },
  ]);
  expect(seen.map(([revision]) => revision)).toEqual(seen.map(([revision]) => revision).toSorted((a, b) => a - b));
  expect(readStoreFacts(ca.storePath)).toMatchObject({ revision: first + 450, certificates: 300 });
}, 120_000);

describe('a backup while the CA’s files change under it', () => {
  /** Of a CA whose configuration is a pipe, which is read after the CA's files: `meanwhile` runs then, again and again. */
  async function changing(meanwhile: (certsDir: string, time: number) => void): Promise<MadeBackup> {
    const ca = await newCa();
    const configuration = join(ca.dir, 'certgate.yaml');
    expect(spawnSync('mkfifo', [configuration]).status).toBe(0);
    let over = false;
    const writing = (async () => {
      for (let time = 1; !over; time++) {
        const pipe = await open(configuration, 'w'); // once it is opened to be read
        if (!over) meanwhile(ca.certsDir, time);
        await pipe.close();
      }
    })();
    try {
      return await makeBackup(backupOf(ca, join(newFolder(), 'backup'), { configuration }));
    } finally {
      over = true;
      const reading = await open(configuration, constants.O_RDONLY | constants.O_NONBLOCK);
      await writing;
      await reading.close();
    }
  }

  it('is begun anew, and is of one state', async () => {
    const { manifest, path } = await changing((certsDir, time) => {
      if (time === 1) writeFileSync(join(certsDir, 'issuer-2.crt'), readFileSync(join(certsDir, 'issuer.crt')));
    });
    expect(manifest.files.map((file) => file.path)).toContain('certs/issuer-2.crt');
    expect(readdirSync(join(path, 'certs'))).toContain('issuer-2.crt');
  });

  it('gives up where that does not end', async () => {
    const changes = changing((certsDir, time) => writeFileSync(join(certsDir, 'ca.crt'), `${time}`.repeat(time)));
    const error = await failureOf('CG_CA_FILE', async () => await changes);
    expect(error.message).toContain('changed each time while it was copied');
  });
});

it('without keys leaves out all that is not known to be public, and says what', async () => {
  const ca = await newCa();
  const keyAndCertificate = ['issuer.crt', 'issuer.key'].map((name) => readFileSync(join(ca.certsDir, name), 'utf8'));
  writeFileSync(join(ca.certsDir, 'both.pem'), keyAndCertificate.join(''));
  writeFileSync(join(ca.certsDir, 'bundle.p12'), Buffer.from([0x30, 0x82, 1, 2]));
  const out = join(newFolder(), 'backup');
  const { manifest } = await makeBackup(backupOf(ca, out, { withKeys: false }));
  expect(manifest.keys).toBe(false);
  expect([...manifest.leftOut].toSorted()).toEqual(
    ['both.pem', 'bundle.p12', 'issuer.key', 'root.key'].map((name) => `certs/${name}`),
  );
  expect(readdirSync(join(out, 'certs')).toSorted()).toEqual(['ca.crt', 'issuer.crt', 'root.crt']);
});

it('goes on where a key’s medium is away, and says what is not in it', async () => {
  const ca = await newCa();
  const key = join(ca.certsDir, 'root.key');
  rmSync(key);
  symlinkSync(join(newFolder(), 'not', 'mounted', 'root.key'), key);
  const out = join(newFolder(), 'backup');
  const { manifest } = await makeBackup(backupOf(ca, out));
  expect(manifest.leftOut).toEqual(['certs/root.key']);
  expect(readdirSync(join(out, 'certs')).toSorted()).toEqual(['ca.crt', 'issuer.crt', 'issuer.key', 'root.crt']);
});

it('never replaces anything, nor lies in the folder that it is of', async () => {
  const ca = await newCa();
  const out = newFolder();
  writeFileSync(join(out, 'mine'), 'x');
  expect((await failureOf('CG_FOLDER_TAKEN', () => makeBackup(backupOf(ca, out)))).message).toContain('mine');
  await failureOf('CG_FOLDER_TAKEN', () => makeBackup(backupOf(ca, join(out, 'mine'))));
  await failureOf('CG_USAGE', () => makeBackup(backupOf(ca, join(ca.certsDir, 'backup'))));
  const alias = join(newFolder(), 'alias');
  symlinkSync(ca.certsDir, alias);
  await failureOf('CG_USAGE', () => makeBackup(backupOf(ca, join(alias, 'backup'))));
  expect(readdirSync(out)).toEqual(['mine']);
  const empty = newFolder();
  await makeBackup(backupOf(ca, empty));
  expect(readdirSync(empty)).toContain('manifest.json');
});

it('leaves nothing of an attempt that failed, and says what is wrong with what it was to copy', async () => {
  const ca = await newCa();
  const folder = newFolder();
  const out = join(folder, 'backup');
  await failureOf('CG_CA_FILE', () => makeBackup(backupOf(ca, out, { certsDir: join(ca.dir, 'none') })));
  const missing = await failureOf('CG_STORE_MISSING', () =>
    makeBackup(backupOf(ca, out, { store: join(ca.dir, 'no') })),
  );
  expect(missing.message).toContain(join(ca.dir, 'no'));
  appendFileSync(ca.storePath, 'x'); // harmless to SQLite
  writeFileSync(join(ca.dir, 'text'), 'no database\n'.repeat(500));
  await failureOf('CG_STORE_FOREIGN', () => makeBackup(backupOf(ca, out, { store: join(ca.dir, 'text') })));
  expect(readdirSync(folder)).toEqual([]);
});

it('removes what a killed backup left under any name, and nothing that may still be in the making', async () => {
  const ca = await newCa();
  const folder = newFolder();
  const gone = spawnSync('true').pid;
  const left = (name: string, pid: number, agoMs: number): string => {
    const draft = join(folder, `.${name}.backup-${pid}-0011aabb`);
    mkdirSync(join(draft, 'certs'), { recursive: true, mode: 0o700 });
    writeFileSync(join(draft, 'certs', 'root.key'), 'secret', { mode: 0o600 });
    const at = new Date(Date.now() - agoMs);
    for (const path of [join(draft, 'certs', 'root.key'), join(draft, 'certs'), draft]) utimesSync(path, at, at);
    return basename(draft);
  };
  left('certgate-2026-11-24', gone, 3_600_000);
  const running = left('certgate-2026-11-23', process.ppid, 3_600_000);
  const recent = left('certgate-2026-11-22', gone, 120_000); // by another machine, perhaps, on a disk that both have
  const written = left('certgate-2026-11-21', gone, 3_600_000);
  writeFileSync(join(folder, written, 'certs', 'issuer.key'), 'secret'); // it is still being filled
  const mine = ['.x.backup-1', '.x.restoring-4194000-0011aabb', `x.backup-${gone}-0011aabb`];
  for (const name of mine) writeFileSync(join(folder, name), '');
  await makeBackup(backupOf(ca, join(folder, 'certgate-2026-11-25')));
  const kept = [running, recent, written, ...mine, 'certgate-2026-11-25'];
  expect(readdirSync(folder).toSorted()).toEqual(kept.toSorted());
});
