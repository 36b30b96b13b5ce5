// The door as a stranger meets it: a whole gate with its listener, TLS and all, asked in certgate's own words and in EST's.
// That a refusal costs the same work whatever it is for, test/enroll/refusals.test.ts counts; here are the octets.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { caFiles, storeFile } from '../../src/authority/layout.ts';
import { recordToken, revokeToken } from '../../src/authority/tokens.ts';
import { credentialOf, newToken, secretHashOf, type Token, writeToken } from '../../src/enroll/token.ts';
import { pemToDer } from '../../src/pki/pem.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { newKey } from '../enroll/fixture.ts';
import { namingGate } from './naming-gate.ts';

/** The desk's own, ms. */
const TICK = 300;
const WORDS = ['certgate', 'EST'] as const;
type Words = (typeof WORDS)[number];
const gates = namingGate();
let store: Store;
let ca: Buffer;
beforeAll(() => {
  const { certsDir } = gates.house();
  store = openSqliteStore(storeFile(join(dirname(certsDir), 'state')));
  ca = readFileSync(caFiles(certsDir).bundle);
});
afterAll(() => store.close());

async function newTokenFor(subject: string, at = Date.now()): Promise<Token> {
  const token = newToken({ subject, gate: 'https://localhost:8443', rootFingerprint: 'ab'.repeat(32) });
  const kept = { id: token.id, secretHash: secretHashOf(token.secret), subject, uses: 1, ttlMs: 3_600_000 };
  await recordToken(store, { ...kept, lastsMs: 600_000, actor: 'test' }, at);
  return token;
}
const wrong = (token: Token): Token => ({ ...token, secret: new Uint8Array(32) });
const unknown = (): Token => newToken({ subject: 'worker/a', gate: 'https://a', rootFingerprint: 'ab'.repeat(32) });

/** Knocks from `address`, its handshake done; answers what sends the request. */
async function knock(port: number, address: string): Promise<(request: string) => Promise<Knocked>> {
  const how = { host: '127.0.0.1', port, localAddress: address, servername: 'localhost', ca };
  const socket = connect(how);
  await new Promise((resolve, reject) => socket.once('secureConnect', () => resolve(null)).once('error', reject));
  return (request) =>
    new Promise((resolve, reject) => {
      let text = '';
      const started = performance.now();
      socket.once('close', () => reject(new Error(`closed after ${JSON.stringify(text)}`)));
      socket.on('data', (bytes: Buffer) => {
        text += bytes.toString('latin1');
        const [head = '', body = ''] = text.split('\r\n\r\n');
        const length = Number(/content-length: (\d+)/.exec(head)?.[1] ?? Number.NaN);
        if (body.length !== length) return;
        resolve({ text, status: Number(text.slice(9, 12)), took: performance.now() - started });
        socket.destroy();
      });
      socket.write(request);
    });
}
interface Knocked {
  readonly status: number;
  /** All of the answer. */
  readonly text: string;
  /** ms */
  readonly took: number;
}

async function requestOf(token: Token, words: Words): Promise<string> {
  const csr = await createRequest(signerOf(newKey()), { commonName: null });
  const post = (path: string, body: string, ...lines: string[]) =>
    [`POST /.well-known/${path} HTTP/1.1`, 'Host: a', ...lines, `Content-Length: ${body.length}`, '', body].join(
      '\r\n',
    );
  if (words === 'certgate') return post('certgate/enroll', JSON.stringify({ token: credentialOf(token), csr }));
  const body = Buffer.from(pemToDer(csr, 'CERTIFICATE REQUEST')).toString('base64');
  const basic = btoa(`:${writeToken(token)}`);
  return post('est/simpleenroll', body, `Authorization: Basic ${basic}`, 'Content-Type: application/pkcs10');
}
const enroll = async (port: number, token: Token, words: Words, address = '127.0.0.1'): Promise<Knocked> => {
  // Made before: who has knocked and says nothing is turned away after two seconds, in which a busy machine makes no sixty keys.
  const request = await requestOf(token, words);
  return (await knock(port, address))(request);
};

const medianOf = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

describe('a token that is unknown, wrong, used, expired or revoked', () => {
  test('is refused in the same octets by each way of asking, and none before its time', async () => {
    const { port } = await gates.start();
    /** One of each kind. */
    const kinds = async (): Promise<ReadonlyArray<readonly [kind: string, token: Token]>> => {
      const [used, revoked, lost] = [await newTokenFor('worker/a'), await newTokenFor('worker/b'), unknown()];
      expect((await enroll(port, used, 'certgate')).status).toBe(200);
      await revokeToken(store, revoked.id, 'test', Date.now());
      return [
        ['unknown', lost],
        ['wrong', wrong(await newTokenFor('worker/c'))],
        ['used', used],
        ['expired', await newTokenFor('worker/d', Date.now() - 700_000)],
        ['revoked', revoked],
      ];
    };
    const told = new Map<Words, Set<string>>(WORDS.map((words) => [words, new Set()]));
    const all = (await kinds()).flatMap(([kind, token]) => {
      const times: number[] = [];
      return WORDS.map((words) => ({ kind, token, words, times }));
    });
    // All of them at once, in rounds, each time another first.
    for (let round = 0; round < 5; round++) {
      // One address a round: none comes near its limit.
      const address = `127.0.${Math.floor(Math.random() * 200) + 1}.${round + 1}`;
      const turn = [...all.slice(round), ...all.slice(0, round)];
      const requests = await Promise.all(turn.map(({ token, words }) => requestOf(token, words)));
      const asks = await Promise.all(turn.map(() => knock(port, address)));
      await Promise.all(
        turn.map(async ({ words, times }, i) => {
          const said = await asks[i]?.(requests[i] ?? '');
          told.get(words)?.add((said?.text ?? '').replace(/^date: .*$/m, 'date: now'));
          times.push(said?.took ?? Number.NaN);
        }),
      );
    }
    expect(Math.min(...all.flatMap(({ times }) => times))).toBeGreaterThanOrEqual(TICK - 1);
    // How far apart they are is the machine's matter too: printed. That each costs the same work is counted elsewhere.
    const medians = new Map(all.map(({ kind, times }) => [kind, Math.round(medianOf(times))]));
    process.stderr.write(`refused tokens, median ms: ${JSON.stringify(Object.fromEntries(medians))}\n`);
    expect([...(told.get('certgate') ?? [])]).toEqual([
      expect.stringMatching(/^HTTP\/1\.1 403 Forbidden\r\n/) as string,
    ]);
    expect([...(told.get('EST') ?? [])]).toEqual([expect.stringMatching(/^HTTP\/1\.1 403 Forbidden\r\n/) as string]);
  });
});

describe('refused tries', () => {
  const PUT_OFF = /^HTTP\/1\.1 429 Too Many Requests\r\n(?:.+\r\n)*retry-after: 2\r\n/;
  /** Tries until it is put off. What is forgiven meanwhile, one in five seconds, is on top of what may come at once. */
  const untilPutOff = async (started: number, attempt: () => Promise<Knocked>): Promise<Knocked> => {
    for (let more = 0; ; more++) {
      const said = await attempt();
      if (said.status === 429) return said;
      expect(said.status).toBe(403);
      expect(more).toBeLessThanOrEqual((performance.now() - started) / 5_000);
    }
  };
  const many = async (count: number, attempt: (words: Words) => Promise<Knocked>): Promise<readonly number[]> => {
    const all = Array.from({ length: count }, (_, i) => attempt(WORDS[i % 2] ?? 'EST'));
    return [...new Set((await Promise.all(all)).map(({ status }) => status))];
  };

  test('of one address are put off after sixty, by whichever way, and another address goes in', async () => {
    const { port } = await gates.start();
    const started = performance.now();
    expect(await many(60, (words) => enroll(port, unknown(), words))).toEqual([403]);
    for (const words of WORDS) {
      expect((await untilPutOff(started, () => enroll(port, unknown(), words))).text).toMatch(PUT_OFF);
      expect((await enroll(port, unknown(), words, '127.0.0.2')).status).toBe(403);
      expect((await enroll(port, await newTokenFor(`worker/${words.toLowerCase()}`), words, '127.0.0.2')).status).toBe(
        200,
      );
    }
  });

  test('of one token are put off after twenty, from any address, and neither another token nor its own machine is', async () => {
    const { port } = await gates.start();
    const [started, token] = [performance.now(), await newTokenFor('worker/owner')];
    expect(await many(20, (words) => enroll(port, wrong(token), words))).toEqual([403]);
    for (const [i, words] of WORDS.entries()) {
      const attempt = () => enroll(port, wrong(token), words, `127.0.0.${i + 2}`);
      expect((await untilPutOff(started, attempt)).text).toMatch(PUT_OFF);
      expect((await enroll(port, wrong(await newTokenFor('worker/x')), words, `127.0.0.${i + 2}`)).status).toBe(403);
    }
    expect((await enroll(port, token, 'EST')).status).toBe(200);
  });
});

test('who has asked in time is answered, though the gate was too busy to read it until its time was over', async () => {
  const { port } = await gates.start();
  const request = await requestOf(unknown(), 'certgate');
  const ask = await knock(port, '127.0.0.1');
  // Its time has begun: a stranger has two seconds from the handshake on.
  await new Promise((resolve) => setTimeout(resolve, 100));
  // After what is read, timers are next.
  await new Promise((resolve) => setImmediate(resolve));
  const asked = ask(request);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_100);
  expect((await asked).text).toContain('enrolment refused');
});
