import { spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, request } from 'node:http';
import { connect, createServer as createNetServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RunningSigner, serveSigner } from '../../src/admin/signer-server.ts';
import { openKeyStore } from '../../src/authority/key-store.ts';
import { remoteSigner, signedElsewhere, signerKeyId } from '../../src/authority/remote-signer.ts';
import { openLog } from '../../src/observe/log.ts';
import { createLeaf, issuerOf, signerOf } from '../../src/pki/certificates.ts';
import { addRevoked, createCrl, openCrlEntries } from '../../src/pki/crl.ts';
import { encodingOf } from '../../src/pki/der.ts';
import { isSignedBy, readCrl } from '../../src/pki/read-crl.ts';
import type { Content } from '../../src/pki/signing.ts';
import { readSigned } from '../../src/pki/structure.ts';
import { at, leafOf, TRUST_DOMAIN, testAuthority } from '../pki/fixture.ts';
import { failureOf } from '../store/fixture.ts';

/** The moment at which the fixture's leaves begin. */
const clock = (): number => at(-1).getTime() + 60_000;
const DAY = 86_400_000;

let folder: string;
let path: string;
let log: string[];
const open: Array<{ close(): unknown }> = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'certgate-signer-'));
  path = join(folder, 's.sock');
  log = [];
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  rmSync(folder, { recursive: true });
});

async function running(maxTtl = 3 * DAY): Promise<RunningSigner> {
  const { issuer } = await testAuthority();
  const { signer, certificate } = issuer;
  const signerServer = await serveSigner({
    path,
    keys: [{ signer, rules: { certificate, trustDomains: [TRUST_DOMAIN], maxTtl } }],
    log: openLog({ level: 'info', destination: { write: (line) => void log.push(line) } }),
    clock,
  });
  open.push(signerServer);
  return signerServer;
}

const publicKeyOf = async (): Promise<KeyObject> => (await testAuthority()).issuer.signer.publicKey;
const contentOf = async (name = 'worker/a'): Promise<Uint8Array> => {
  const der = await leafOf(name);
  return encodingOf(der, readSigned(der, 'certificate').tbs);
};

/** A question as it comes; answers status and body. */
function ask(options: { method?: string; path?: string; headers?: Record<string, string>; body?: Uint8Array }) {
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const { body, ...rest } = options;
    const question = request({ socketPath: path, agent: false, ...rest }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      response.on('error', reject);
    });
    question.on('error', reject);
    question.end(body);
  });
}

describe('a signer on a socket', () => {
  test('signs a leaf that verifies, with a line in the log for it', async () => {
    await running();
    const { issuer, leafKey } = await testAuthority();
    const signer = remoteSigner(path, issuer.signer.publicKey);
    const der = await createLeaf({
      profile: 'client',
      subjectCommonName: 'worker/a',
      spiffeUri: `spiffe://${TRUST_DOMAIN}/worker/a`,
      publicKey: leafKey.publicKey,
      notBefore: at(-1),
      notAfter: at(1),
      serial: 'aa'.repeat(16),
      issuer: issuerOf(issuer.certificate.raw, signer),
    });
    const { tbs, signature } = readSigned(der, 'certificate');
    const octets = der.subarray(signature.start + 1, signature.end);
    expect(verify('sha256', encodingOf(der, tbs), issuer.signer.publicKey, octets)).toBe(true);
    expect(log.map((line) => JSON.parse(line) as object)).toEqual([
      expect.objectContaining({
        msg: 'signed',
        kind: 'certificate',
        serial: 'aa'.repeat(16),
        names: [`spiffe://${TRUST_DOMAIN}/worker/a`],
      }),
    ]);
  });

  test('signs a list of many thousands, which comes part by part, and refuses one that is too long without a wait', async () => {
    await running();
    const { issuer } = await testAuthority();
    const [certificate, signer] = [issuer.certificate, remoteSigner(path, issuer.signer.publicKey)];
    const [entries, now] = [openCrlEntries(), new Date(clock())];
    for (let n = 0; n < 30_000; n++) {
      addRevoked(entries, {
        ...{ serial: (0x100000 + n).toString(16), revokedAt: clock(), reason: 'superseded', notAfter: clock() + DAY },
      });
    }
    let turns = 0;
    const list = await createCrl({
      ...{ issuer: { ...issuer, signer }, entries, number: 1, thisUpdate: now, nextUpdate: new Date(clock() + DAY) },
      distributionPoint: null,
      turn: async () => void turns++,
    });
    const read = readCrl(Buffer.concat(list.parts));
    expect(isSignedBy(read, certificate.publicKey)).toBe(true);
    expect(read.entries).toHaveLength(30_000);
    // Once on its way to the signer, once when what came back is verified.
    expect(turns).toBeGreaterThanOrEqual(14);
    expect(log.map((line) => JSON.parse(line) as object)).toEqual([
      expect.objectContaining({ msg: 'signed', kind: 'crl', entries: 30_000 }),
    ]);
    const part = Buffer.alloc(1024 * 1024, 0x30);
    const endless: Content = {
      length: 80 * part.length,
      async *[Symbol.asyncIterator]() {
        for (let n = 0; n < 80; n++) yield part;
      },
    };
    await failureOf('CG_SIGNER', async () => signer.signParts?.(endless));
    await signer.sign(await contentOf());
  });

  test('is for its owner alone, from its first moment, whatever the umask', async () => {
    const before = process.umask(0);
    try {
      await running();
      expect(statSync(path).mode & 0o777).toBe(0o600);
    } finally {
      process.umask(before);
    }
  });

  test('says which keys it has, and nothing of their private halves', async () => {
    await running();
    const { status, body } = await ask({ path: '/v1/keys' });
    const publicKey = await publicKeyOf();
    const spki = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual({ version: 1, keys: [{ id: signerKeyId(publicKey), kind: 'P-256', spki }] });
  });

  test('refuses what it does not sign, says why on both sides, and signs on', async () => {
    await running(DAY);
    const signer = remoteSigner(path, await publicKeyOf());
    const { message } = await failureOf('CG_SIGNER_REFUSED', async () => signer.sign(await contentOf()));
    expect(message).toContain('at most: --max-ttl');
    expect(log.join('')).toContain('"refused"');
    await failureOf('CG_SIGNER_REFUSED', () => signer.sign(Buffer.from('anything')));
  });

  test("has not another's key", async () => {
    await running();
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await failureOf('CG_SIGNER_KEY', async () => remoteSigner(path, publicKey).sign(await contentOf()));
  });

  test('takes the place of a dead one, and never that of one that runs', async () => {
    await running();
    await failureOf('CG_LISTEN', () => running());
    const dead = join(folder, 'dead.sock');
    const program = `require('node:net').createServer().listen(${JSON.stringify(dead)}, () => process.kill(process.pid, 'SIGKILL'))`;
    const child = spawn(process.execPath, ['-e', program]);
    await new Promise((resolve) => child.once('exit', resolve));
    path = dead;
    await running();
    expect((await ask({ path: '/v1/keys' })).status).toBe(200);
  });
});

describe('hostile clients of a signer', () => {
  const stillSigns = async (): Promise<void> => {
    const content = await contentOf('worker/after');
    expect(await remoteSigner(path, await publicKeyOf()).sign(content)).toBeInstanceOf(Uint8Array);
  };

  test.each([
    ['bytes that are no HTTP', '\x16\x03\x01\x02\x00\x01\r\n\r\n'],
    ['a head without an end', `GET /v1/keys HTTP/1.1\r\nx: ${'y'.repeat(9000)}`],
    ['two lengths', 'POST /v1/sign/0 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['a method that nobody has', 'FROB / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['an upgrade', 'GET /v1/keys HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n'],
  ])('%s: it goes on', async (_, text) => {
    await running();
    const socket = connect(path);
    socket.on('error', () => {});
    socket.write(text);
    await new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
    socket.destroy();
    await stillSigns();
  });

  test('paths that are none, other methods, empty bodies', async () => {
    await running();
    const id = signerKeyId(await publicKeyOf());
    expect((await ask({ path: `/v1/sign/${id}` })).status).toBe(400);
    expect((await ask({ method: 'POST', path: `/v1/sign/${id}/../x` })).status).toBe(400);
    expect((await ask({ method: 'POST', path: '/v1/sign/__proto__' })).status).toBe(400);
    expect((await ask({ method: 'POST', path: `/v1/sign/${'0'.repeat(64)}` })).status).toBe(404);
    expect((await ask({ method: 'POST', path: `/v1/sign/${id}`, body: new Uint8Array() })).status).toBe(403);
    await stillSigns();
  });

  test('a body of more than 64 MiB is not held, and is told so', async () => {
    await running();
    const id = signerKeyId(await publicKeyOf());
    const body = Buffer.alloc(65 * 1024 * 1024, 0x30);
    expect((await ask({ method: 'POST', path: `/v1/sign/${id}`, body })).status).toBe(413);
    await stillSigns();
  });

  test('a hundred that connect and say nothing keep nobody out for longer than a question may take', async () => {
    await running();
    const sockets = Array.from({ length: 100 }, () => connect(path).on('error', () => {}));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const start = performance.now();
    const signer = remoteSigner(path, await publicKeyOf());
    const content = await contentOf();
    let signature: Uint8Array | null = null;
    while (signature === null) signature = await signer.sign(content).catch(() => null);
    expect(performance.now() - start).toBeLessThan(20_000);
    for (const socket of sockets) socket.destroy();
  });

  test('one that goes away in the middle of its question leaves nothing behind', async () => {
    await running();
    const id = signerKeyId(await publicKeyOf());
    const part = Buffer.alloc(4_000_000);
    for (let i = 0; i < 20; i++) {
      const socket = connect(path);
      socket.on('error', () => {});
      socket.write(`POST /v1/sign/${id} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n`);
      await new Promise((resolve) => socket.write(part, resolve));
      socket.destroy();
    }
    // More than the signer holds at once, had any of it stayed.
    await stillSigns();
  });
});

describe('a hostile signer', () => {
  const answering = async (listener: RequestListener): Promise<void> => {
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(path, resolve));
    open.push({
      close: () => {
        server.closeAllConnections();
        return new Promise((resolve) => server.close(resolve));
      },
    });
  };
  const signing = async (patience = 2_000): Promise<Uint8Array> =>
    remoteSigner(path, await publicKeyOf(), { patience }).sign(await contentOf());

  test("that gives garbage, or another key's signature, or one over another content, gives nothing", async () => {
    const content = await contentOf();
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { issuerKey } = await testAuthority();
    const answers = [
      Buffer.from('garbage'),
      Buffer.alloc(0),
      Buffer.alloc(72, 0xff),
      sign('sha256', content, privateKey),
      sign('sha256', Buffer.from('something else'), issuerKey.privateKey),
    ];
    await answering((_question, response) => response.end(answers.shift()));
    while (answers.length > 0) {
      const { message } = await failureOf('CG_SIGNER', () => signing());
      expect(message).toContain('no signature by that key');
    }
  });

  test('that answers with more than a signature can be is cut off', async () => {
    await answering((_question, response) => {
      response.writeHead(200);
      const pour = (): void =>
        void (response.write(Buffer.alloc(65_536)) ? setImmediate(pour) : response.once('drain', pour));
      response.on('error', () => {});
      pour();
    });
    const { message } = await failureOf('CG_SIGNER', () => signing(30_000));
    expect(message).toContain('more than 8192 octets');
  });

  test('that drips, or never answers, is not waited for', async () => {
    await answering((_question, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(timer));
    });
    const { message } = await failureOf('CG_SIGNER', () => signing(400));
    expect(message).toContain('no answer within 400 ms');
  });

  test('cannot put lines or escapes into an error', async () => {
    await answering((_question, response) => {
      response.writeHead(500);
      response.end(JSON.stringify({ detail: 'x\n\u001b[2Jerror: all is well' }));
    });
    const { message } = await failureOf('CG_SIGNER', () => signing());
    expect(message).toContain('x\\u{a}\\u{1b}[2Jerror');
  });
});

describe('two signers on one socket', () => {
  const served = (): Promise<RunningSigner> => serveSigner({ path, keys: [], log: openLog({ level: 'error' }) });

  test('that start at once are one too many, and the one that is left answers', async () => {
    const started = await Promise.allSettled([served(), served(), served()]);
    open.push(...started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])));
    expect(started.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected', 'rejected']);
    for (const one of started) {
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'CG_LISTEN' });
    }
    expect((await ask({ path: '/v1/keys' })).status).toBe(200);
  });

  test('the second is refused while the first ends, and is let have it then', async () => {
    const first = await served();
    const ending = first.close();
    await failureOf('CG_LISTEN', served);
    await ending;
    open.push(await served());
  });

  test('what is in the way of the lock is named', async () => {
    mkdirSync(`${path}.lock`);
    const error = await failureOf('CG_LISTEN', served);
    expect(error.message).toContain(`${path}.lock: `);
    expect(error.hint).toContain(`ls -l ${path}.lock`);
    rmSync(`${path}.lock`, { recursive: true });
    const file = join(folder, 'no-socket');
    writeFileSync(file, '');
    const there = { path: file, keys: [], log: openLog({ level: 'error' }) };
    // Twice: who was refused holds nothing.
    for (let tries = 0; tries < 2; tries++) {
      expect((await failureOf('CG_LISTEN', () => serveSigner(there))).message).toContain('is not a socket');
    }
  });
});

describe('a signer that goes away', () => {
  test('in the middle of a signature, and comes back, is asked again: nobody notices', async () => {
    const dying: Server = createNetServer((socket) => {
      socket.once('data', () => {
        socket.destroy();
        dying.close(() => void running());
      });
    });
    await new Promise<void>((resolve) => dying.listen(path, resolve));
    const content = await contentOf();
    const signature = await remoteSigner(path, await publicKeyOf()).sign(content);
    expect(verify('sha256', content, await publicKeyOf(), signature)).toBe(true);
    expect(log.filter((line) => line.includes('"signed"'))).toHaveLength(1);
  });

  test('for good is one clear error, a status of 503', async () => {
    const signer = remoteSigner(path, await publicKeyOf());
    const error = await failureOf('CG_SIGNER', async () => signer.sign(await contentOf()));
    expect(error.status).toBe(503);
    expect(error.message).toContain(`${path} cannot be reached`);
  });
});

describe('the key store of a CA with its key elsewhere', () => {
  test("never reads or writes an issuer's key, and treats a root's as a file", async () => {
    await running();
    const { issuer, root } = await testAuthority();
    const keys = signedElsewhere(path, openKeyStore({ passphrase: null }));
    // Were it read, its mode would stop it.
    writeFileSync(join(folder, 'issuer-2.key'), 'no key', { mode: 0o644 });
    const signer = await keys.signerFor(issuer.certificate, join(folder, 'issuer-2.key'), 'issuer-2.crt');
    expect(await signer.sign(await contentOf())).toBeInstanceOf(Uint8Array);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await failureOf('CG_SIGNER_KEY', () => keys.write(join(folder, 'issuer-3.key'), privateKey));
    await keys.write(join(folder, 'root-2.key'), privateKey);
    expect((await keys.read(join(folder, 'root-2.key'))).publicKey.equals(signerOf(privateKey).publicKey)).toBe(true);
    await failureOf('CG_CA_MISMATCH', () => keys.signerFor(root.certificate, join(folder, 'root-2.key'), 'root.crt'));
  });
});
