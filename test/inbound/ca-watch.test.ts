// A gate whose CA changes under it: what it takes over by itself, and what it does that nobody should have to remember.

import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createAuthority } from '../../src/authority/create.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { type KeyStore, plainKeyStore } from '../../src/authority/key-store.ts';
import { caFiles } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { activateRoot, prepareRoot, retireRoot, rotateIssuer } from '../../src/authority/rotate.ts';
import { CertgateError } from '../../src/errors.ts';
import { watchCa } from '../../src/inbound/ca-watch.ts';
import { startGate } from '../../src/inbound/gate.ts';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { openLog } from '../../src/observe/log.ts';
import { bundleIdOf } from '../../src/pki/bundle-signature.ts';
import { bind } from '../../src/proxy/connection-set.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { eventually } from '../e2e/harness/eventually.ts';
import { quietLog } from '../observe/quiet-log.ts';
import { portOf } from '../proxy/plain-proxy.ts';
import { closing, newFolder } from '../store/fixture.ts';
import { GATE_OPTIONS } from './gate-options.ts';

const DAY = 86_400_000;
const trustDomain = 'test.internal';

/** A running gate whose CA was made `age` ms ago, and a client certificate in `worker/`. */
async function gateOf(age: number, keysFrom: (files: KeyStore) => KeyStore = (files) => files) {
  const dir = newFolder();
  const [certsDir, stateDir] = [join(dir, 'certs'), join(dir, 'state')];
  const made = await createAuthority({ certsDir, stateDir, trustDomain, actor: 'test', clock: () => Date.now() - age });
  const store = closing(openSqliteStore(made.store));
  const authority = await loadAuthority({ certsDir, store, trustDomain });
  const asked = { identity: 'worker/etl-1', profile: 'client', ttlMs: 3_600_000, actor: 'test' } as const;
  await issueToDirectory(authority, { ...asked, out: join(dir, 'worker') });
  const place = { certsDir, store, trustDomain, actor: 'gate', keys: keysFrom(plainKeyStore) };
  const seen: string[] = [];
  const upstream = createServer((socket: Socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      seen.push(bytes.toString('latin1'));
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  });
  await bind(upstream, { host: '127.0.0.1', port: 0 });
  const logged: string[] = [];
  const start = async () => {
    const audit = await openAuditLog(join(stateDir, 'audit.jsonl'));
    const gate = await startGate({
      ...GATE_OPTIONS,
      ...{ listen: { host: '127.0.0.1', port: 0 }, upstream: { host: '127.0.0.1', port: portOf(upstream) } },
      ...{ names: ['localhost'], serverTtl: 3_600_000, trustDomain, policy: null },
      ...{ unsafeUnrecorded: true, authority, caPlace: place, store, audit },
      log: openLog({ level: 'info', destination: { write: (line: string) => void logged.push(line) } }),
    });
    onTestFinished(async () => {
      await gate.drain(0);
      await audit.close();
      upstream.close();
    });
    return gate;
  };
  return { dir, certsDir, store, authority, place, start, seen, logged };
}

interface Client {
  readonly socket: TLSSocket;
  /** The key identifier of the issuer of what the gate has shown. */
  readonly issuer: string;
  ask(head: string): Promise<string>;
}

async function clientOf(dir: string, port: number): Promise<Client> {
  const socket = connect({
    ...{ host: '127.0.0.1', port, servername: 'localhost', ca: readFileSync(caFiles(join(dir, 'certs')).bundle) },
    cert: readFileSync(join(dir, 'worker', 'tls.crt')),
    key: readFileSync(join(dir, 'worker', 'tls.key')),
  });
  onTestFinished(() => void socket.destroy());
  await new Promise((resolve, reject) => socket.once('secureConnect', () => resolve(null)).once('error', reject));
  const shown = socket.getPeerX509Certificate();
  let text = '';
  let heard = Promise.withResolvers<void>();
  socket.on('error', () => {});
  socket.on('data', (part: Buffer) => {
    text += part.toString('latin1');
    heard.resolve();
  });
  return {
    socket,
    issuer: shown?.issuer ?? '',
    async ask(head) {
      [text, heard] = ['', Promise.withResolvers<void>()];
      socket.write(`${head}\r\nHost: localhost\r\n\r\n`);
      await heard.promise;
      return text;
    },
  };
}

describe('a gate whose issuer has passed two thirds of its life', () => {
  test('makes another, gives itself a certificate by it, and lets everybody go on', async () => {
    const house = await gateOf(300 * DAY);
    const gate = await house.start();
    const before = await clientOf(house.dir, gate.port);
    expect(before.issuer).toBe('CN=certgate issuer test.internal');
    await eventually('the gate shows a certificate by another issuer', async () => {
      const now = await clientOf(house.dir, gate.port);
      return now.issuer === 'CN=certgate issuer 2 test.internal' || undefined;
    });
    expect((await house.store.listCa()).map(({ role, state }) => `${role} ${state}`)).toEqual([
      ...['root active', 'issuer retiring', 'issuer active'],
    ]);
    expect(await before.ask('GET /api/health HTTP/1.1')).toContain('200 OK');
    expect(readFileSync(caFiles(house.certsDir).bundle, 'utf8')).toBe(house.authority.bundlePem);
    expect(
      (await house.store.listAudit({})).some(({ action, actor }) => action === 'ca.rotate-issuer' && actor === 'gate'),
    ).toBe(true);
  });

  test('says what to do where the root’s key is elsewhere, and changes nothing', async () => {
    const house = await gateOf(300 * DAY);
    renameSync(join(house.certsDir, 'root.key'), join(house.dir, 'away'));
    await house.start();
    await eventually(
      'it says so',
      () => house.logged.some((line) => line.includes('certgate ca rotate issuer --root-key')) || undefined,
    );
    expect(await house.store.listCa()).toHaveLength(2);
  });

  test('says what to do where the issuer’s key is a signer’s, as no failure, and changes nothing', async () => {
    const house = await gateOf(300 * DAY, (files) => ({
      ...files,
      write: async () => {
        throw new CertgateError('CG_SIGNER_KEY', { signer: 's.sock', problem: 'keeps the keys' });
      },
    }));
    await house.start();
    await eventually(
      'it says so',
      () => house.logged.some((line) => line.includes('certgate ca rotate issuer --key-here')) || undefined,
    );
    expect(house.logged.filter((line) => line.includes('"level":50'))).toEqual([]);
    expect(await house.store.listCa()).toHaveLength(2);
  });
});

describe('a gate whose CA is changed by another process', () => {
  test('shows a certificate by the new issuer to the next handshake', async () => {
    const house = await gateOf(0);
    const gate = await house.start();
    const { store, ...place } = house.place;
    await rotateIssuer({ ...place, store: closing(openSqliteStore(store.location)) });
    await eventually('the gate shows it', async () => {
      return (await clientOf(house.dir, gate.port)).issuer.includes('issuer 2') || undefined;
    });
  });

  test('takes it over though ca.crt cannot be written, and says so', async () => {
    const house = await gateOf(0);
    const gate = await house.start();
    const { bundle } = caFiles(house.certsDir);
    const pem = readFileSync(bundle, 'utf8');
    rmSync(bundle);
    mkdirSync(bundle);
    await rotateIssuer(house.place);
    await eventually(
      'it says so',
      () => house.logged.some((line) => line.includes('ca.crt is not up to date')) || undefined,
    );
    rmSync(bundle, { recursive: true });
    writeFileSync(bundle, pem);
    await eventually('the gate shows it', async () => {
      return (await clientOf(house.dir, gate.port)).issuer.includes('issuer 2') || undefined;
    });
  });

  test('cuts who came by an issuer that is trusted no more, and lets them in no more', async () => {
    const house = await gateOf(0);
    const gate = await house.start();
    const client = await clientOf(house.dir, gate.port);
    expect(await client.ask('GET /api/health HTTP/1.1')).toContain('200 OK');
    const closed = new Promise((resolve) => client.socket.once('close', resolve));
    await prepareRoot(house.place);
    await activateRoot(house.place, true);
    // As if its time had come: else the root could not be retired.
    const [first] = await house.store.listCertificates({ identity: 'worker/etl-1', now: Date.now() });
    await retireRoot({ ...house.place, clock: () => (first?.notAfter ?? 0) + 1 });
    await closed;
    const again = await clientOf(house.dir, gate.port);
    expect(await again.ask('GET /api/health HTTP/1.1')).toContain('403');
  });

  test('keeps the CA it has while the new one cannot be read, says so once, and takes it when it can', async () => {
    const house = await gateOf(0);
    const gate = await house.start();
    // Away before it is on record: the gate looks four times a second.
    const store: typeof house.store = {
      ...house.store,
      async changeCa(...change) {
        renameSync(join(house.certsDir, 'issuer-2.crt'), join(house.dir, 'away'));
        await house.store.changeCa(...change);
      },
    };
    await rotateIssuer({ ...house.place, store });
    await eventually(
      'it says so',
      () => house.logged.some((line) => line.includes('could not be brought up to date')) || undefined,
    );
    expect(await (await clientOf(house.dir, gate.port)).ask('GET /api/health HTTP/1.1')).toContain('200 OK');
    renameSync(join(house.dir, 'away'), join(house.certsDir, 'issuer-2.crt'));
    await eventually('the gate shows it', async () => {
      return (await clientOf(house.dir, gate.port)).issuer.includes('issuer 2') || undefined;
    });
    expect(house.logged.filter((line) => line.includes('could not be brought up to date'))).toHaveLength(1);
  });
});

test('what follows from a change is tried again until it is installed, though nothing changes any more', async () => {
  const house = await gateOf(0);
  await rotateIssuer(house.place);
  const told: boolean[] = [];
  const installed = Promise.withResolvers<void>();
  const watch = watchCa({
    ...{ authority: house.authority, place: house.place, log: quietLog },
    async changed(issuerChanged) {
      told.push(issuerChanged);
      if (told.length < 3) throw new Error('the signer is away');
      installed.resolve();
    },
  });
  onTestFinished(() => watch.stop());
  await installed.promise;
  expect(told).toEqual([true, true, true]);
});

test('a trust bundle that is not the one that is trusted is written anew when a gate starts', async () => {
  const house = await gateOf(0);
  const { bundle } = caFiles(house.certsDir);
  const before = readFileSync(bundle, 'utf8');
  writeFileSync(bundle, '{}');
  await house.start();
  await eventually('it is written', () => Promise.resolve(readFileSync(bundle, 'utf8') === before || undefined));
  expect(house.logged.join('')).not.toContain('the CA has changed');
});

describe('a gate that is asked for its trust bundle', () => {
  const PATH = '/.well-known/certgate/bundle';

  test('tells it, signed, and notes who has it; nothing of that reaches Prefect', async () => {
    const house = await gateOf(0);
    const gate = await house.start();
    const client = await clientOf(house.dir, gate.port);
    const bundle = readFileSync(caFiles(house.certsDir).bundle, 'utf8');
    const id = bundleIdOf(bundle);
    const told = await client.ask(`GET ${PATH} HTTP/1.1`);
    expect(told).toContain('HTTP/1.1 200 OK');
    expect(told).toContain(`etag: "${id}"`);
    expect(told).toMatch(/x-certgate-signature: [\w+/=]{40,}\r\n/);
    expect(told.slice(told.indexOf('\r\n\r\n') + 4)).toBe(bundle);
    expect(await house.store.identitiesWithout(id, Date.now())).toEqual(['worker/etl-1']);
    const again = await client.ask(`GET ${PATH} HTTP/1.1\r\nIf-None-Match: "${id}"`);
    expect(again).toMatch(/^HTTP\/1\.1 304 Not Modified\r\n[\s\S]*\r\n\r\n$/);
    await eventually(
      'it is noted',
      async () => (await house.store.identitiesWithout(id, Date.now())).length === 0 || undefined,
    );
    expect(await client.ask('GET /api/health HTTP/1.1')).toContain('200 OK');
    expect(house.seen.join('')).not.toContain('well-known');
  });

  test.each(['POST', 'DELETE', 'OPTIONS'])('refuses %s', async (method) => {
    const house = await gateOf(0);
    const gate = await house.start();
    const client = await clientOf(house.dir, gate.port);
    expect(await client.ask(`${method} ${PATH} HTTP/1.1`)).toContain('HTTP/1.1 405 ');
    expect(house.seen).toEqual([]);
  });
});

test('a certificate of the gate’s own is never taken for one that keeps an old root in use', async () => {
  const house = await gateOf(0);
  await house.start();
  rmSync(join(house.dir, 'worker'), { recursive: true });
  const [issuer] = (await house.store.listCa()).filter(({ role }) => role === 'issuer');
  expect(new X509Certificate(issuer?.der ?? '').subject).toBe('CN=certgate issuer test.internal');
  expect(await house.store.liveIdentities(issuer?.keyId ?? '', Date.now())).toEqual(['worker/etl-1']);
});
