import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type KeyPlace, openIssuerKeys } from '../../src/enroll/issuer-keys.ts';
import { privateKeyToPem } from '../../src/pki/keys.ts';
import { openCa } from '../authority/fixture.ts';
import { publicJwk } from './token-issuer.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const TIMES = { fresh: 600_000, good: 86_400_000, coolDown: 15_000 };

interface Web {
  readonly origin: string;
  readonly caFile: string;
  readonly asked: string[];
  answer: RequestListener;
}

/** An HTTPS server of a private CA. */
async function web(): Promise<Web> {
  const ca = await openCa();
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const request = { identity: 'gate/idp', profile: 'server', ttlMs: 3_600_000, publicKey, actor: 'test' } as const;
  const { chainPem } = await ca.authority.issue({ ...request, ip: ['127.0.0.1'] });
  const server = createServer({ cert: chainPem, key: privateKeyToPem(privateKey) }, (asked, answer) => {
    made.asked.push(`${asked.method} ${asked.url} ${asked.headers.authorization ?? ''}`.trim());
    made.answer(asked, answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const caFile = join(mkdtempSync(join(tmpdir(), 'certgate-idp-')), 'ca.crt');
  writeFileSync(caFile, ca.authority.bundlePem);
  const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const made: Web = { origin, caFile, asked: [], answer: (_asked, answer) => answer.end() };
  return made;
}

const json =
  (value: unknown): RequestListener =>
  (_asked, answer) =>
    void answer.end(JSON.stringify(value));
const setOf = (...kids: string[]) => ({ keys: kids.map((kid) => publicJwk(rsa, { kid, alg: 'RS256' })) });
const place = (from: Web, more: Partial<KeyPlace> = {}): KeyPlace => ({
  ...{ discoverAt: null, jwksUrl: `${from.origin}/jwks`, jwksFile: null, caFile: from.caFile, tokenFile: null },
  ...more,
});

/** Keys with a clock of the test's, and what was said of reading them. */
function opened(where: KeyPlace) {
  const at = { now: 1_000_000 };
  const said: Array<string | null> = [];
  const odd: string[] = [];
  const keys = openIssuerKeys(
    where,
    (problem, left) => {
      said.push(problem);
      odd.push(...left);
    },
    TIMES,
    () => at.now,
  );
  return Object.assign(at, { keys, said, odd });
}

describe('the keys of an issuer', () => {
  // kubernetes/kubernetes: pkg/routes/openidmetadata.go. Its router chooses by Accept, and answers 406 where nothing fits.
  test('are had from an issuer that gives them out as application/jwk-set+json and as nothing else', async () => {
    const idp = await web();
    idp.answer = (asked, answer) => {
      const types = (asked.headers.accept ?? '*/*').split(',').map((type) => type.trim());
      const status = types.includes('application/jwk-set+json') ? 200 : 406;
      answer.writeHead(status, { 'content-type': 'application/jwk-set+json' }).end(JSON.stringify(setOf('a')));
    };
    const { keys, said } = opened(place(idp));
    expect([await keys.has('a'), said]).toEqual(['known', [null]]);
  });

  test('are asked for once, however many tokens come, and kept', async () => {
    const idp = await web();
    idp.answer = json(setOf('a'));
    const { keys } = opened(place(idp));
    expect(await Promise.all(Array.from({ length: 50 }, () => keys.has('a')))).toEqual(Array(50).fill('known'));
    expect(idp.asked).toEqual(['GET /jwks']);
  });

  test('are read anew for a key that is not among them, and not again within the cool-down', async () => {
    const idp = await web();
    idp.answer = json(setOf('a'));
    const at = opened(place(idp));
    await at.keys.has('a');
    at.now += TIMES.coolDown;
    idp.answer = json(setOf('a', 'b'));
    expect(await at.keys.has('b')).toBe('known');
    for (let i = 0; i < 200; i++) expect(await at.keys.has(`invented-${i}`)).toBe('later');
    expect(idp.asked).toHaveLength(2);
    at.now += TIMES.coolDown;
    expect(await at.keys.has('invented')).toBe('unknown');
    expect(idp.asked).toHaveLength(3);
  });

  test('stay the last good ones while the issuer is down, for a day, and are used at once while they are read anew', async () => {
    const idp = await web();
    idp.answer = json(setOf('a'));
    const at = opened(place(idp));
    await at.keys.has('a');
    idp.answer = (_asked, answer) => void answer.writeHead(503).end();
    at.now += TIMES.fresh;
    expect(await at.keys.has('a')).toBe('known');
    await expect.poll(() => at.said).toEqual([null, expect.stringContaining('status 503')]);
    at.now += TIMES.good;
    expect(await at.keys.has('a')).toBe('later');
    at.now += TIMES.coolDown;
    idp.answer = json(setOf('b'));
    expect(await at.keys.has('a')).toBe('unknown');
    expect(await at.keys.has('b')).toBe('known');
  });

  test('that nobody has asked for in a while are read anew before one is believed: it may have been withdrawn', async () => {
    const idp = await web();
    idp.answer = json(setOf('a'));
    const at = opened(place(idp));
    await at.keys.has('a');
    at.now += 2 * TIMES.fresh;
    idp.answer = json(setOf('b'));
    expect(await Promise.all([at.keys.has('a'), at.keys.has('b')])).toEqual(['unknown', 'known']);
    expect(idp.asked).toHaveLength(2);
    at.now += 2 * TIMES.fresh;
    idp.answer = (_asked, answer) => void answer.writeHead(503).end();
    expect(await at.keys.has('b')).toBe('known');
  });

  test('cannot be said while the issuer has never been reached, and it is not asked again and again', async () => {
    const idp = await web();
    idp.answer = (_asked, answer) => void answer.socket?.destroy();
    const { keys, said } = opened(place(idp));
    for (let i = 0; i < 20; i++) expect(await keys.has('a')).toBe('later');
    expect(idp.asked).toHaveLength(1);
    expect(said).toHaveLength(1);
  });

  test.each<[string, RequestListener, string]>([
    [
      'a redirect',
      (_asked, answer) => void answer.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
      'no redirect',
    ],
    ['what is no JSON', (_asked, answer) => void answer.end('<html>'), 'no JSON'],
    ['what is no set', json([]), 'no JWK Set'],
    ['no key', json({ keys: [] }), 'no key that can be used'],
    ['one kid twice', json(setOf('a', 'a')), 'one kid'],
    ['too many keys', json(setOf(...Array.from({ length: 101 }, (_, i) => `${i}`))), 'more than 100'],
    ['too much', (_asked, answer) => void answer.end('x'.repeat(300_000)), 'more than 262144 bytes'],
    [
      'less than it announced',
      (_asked, answer) => {
        answer.writeHead(200, { 'content-length': '100' }).write('{');
        setTimeout(() => answer.socket?.destroy(), 20);
      },
      'aborted',
    ],
    ['only a secret', json({ keys: [{ kty: 'oct', k: 'AAAA', kid: 'a' }] }), 'is secret'],
    ['only a private key', json({ keys: [{ ...rsa.export({ format: 'jwk' }), kid: 'a' }] }), 'is secret'],
    [
      'only a short key',
      json({ keys: [publicJwk(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey, { kid: 'a' })] }),
      '1024 bits only',
    ],
    ['only a key for encryption', json({ keys: [publicJwk(rsa, { kid: 'a', use: 'enc' })] }), 'not for signatures'],
    ['only half a key', json({ keys: [{ kty: 'RSA', e: 'AQAB', kid: 'a' }] }), 'cannot be read'],
  ])('are not those of an answer with %s', async (_what, answer, problem) => {
    const idp = await web();
    idp.answer = answer;
    const { keys, said } = opened(place(idp));
    expect(await keys.has('a')).toBe('later');
    expect(said).toEqual([expect.stringContaining(problem)]);
  });

  test('are taken without those that cannot be used, which are named', async () => {
    const idp = await web();
    idp.answer = json({ keys: [{ kty: 'oct', k: 'AAAA', kid: 'x' }, ...setOf('a').keys] });
    const at = opened(place(idp));
    expect(await at.keys.has('a')).toBe('known');
    expect(at.odd).toEqual(['key 1 is secret, and should never be published']);
  });

  test('come from a server that is verified, by its own authority or not at all, whatever the environment says', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    onTestFinished(() => void vi.unstubAllEnvs());
    const idp = await web();
    idp.answer = json(setOf('a'));
    const { keys, said } = opened(place(idp, { caFile: null }));
    expect(await keys.has('a')).toBe('later');
    // Without Node's advice about its own flags: what helps here is caFile.
    expect(said).toEqual([`${idp.origin}/jwks: unable to get local issuer certificate`]);
    const named = opened(place(idp, { jwksUrl: `${idp.origin.replace('127.0.0.1', 'localhost')}/jwks` }));
    expect(await named.keys.has('a')).toBe('later');
    expect(named.said).toEqual([expect.stringMatching(/: its certificate is for 127\.0\.0\.1, not for localhost$/)]);
    expect(idp.asked).toEqual([]);
  });

  // As when it is written anew in its place.
  test('come from no server that only the system’s authorities vouch for while the file of its own has none in it', async () => {
    const idp = await web();
    idp.answer = json(setOf('a'));
    const before = getCACertificates('default');
    setDefaultCACertificates([...before, readFileSync(idp.caFile, 'utf8')]);
    onTestFinished(() => setDefaultCACertificates(before));
    expect(await opened(place(idp, { caFile: null })).keys.has('a')).toBe('known');
    for (const text of ['', '\n', 'none']) {
      writeFileSync(idp.caFile, text);
      const { keys, said } = opened(place(idp));
      expect(await keys.has('a')).toBe('later');
      expect(said).toEqual([`${idp.caFile} has no certificate in PEM`]);
    }
    expect(idp.asked).toEqual(['GET /jwks']);
  });

  test('that cannot be read from a file name the file, and why', async () => {
    const idp = await web();
    const dir = mkdtempSync(join(tmpdir(), 'certgate-idp-'));
    const [none, odd, empty] = ['none.json', 'odd.json', 'empty.json'].map((name) => join(dir, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(odd, '{');
    writeFileSync(empty, '{}');
    const said = async (more: Partial<KeyPlace>): Promise<readonly unknown[]> => {
      const at = opened(place(idp, more));
      expect(await at.keys.has('a')).toBe('later');
      return at.said;
    };
    expect(await said({ jwksUrl: null, jwksFile: none })).toEqual([`${none}: no such file or folder`]);
    expect(await said({ jwksUrl: null, jwksFile: dir })).toEqual([`${dir}: it is a folder`]);
    expect(await said({ jwksUrl: null, jwksFile: odd })).toEqual([`${odd} is no JSON`]);
    expect(await said({ jwksUrl: null, jwksFile: empty })).toEqual([`${empty} is no JWK Set: it has no keys`]);
    expect(await said({ caFile: none })).toEqual([`${none}: no such file or folder`]);
  });

  test('are asked for with the token of a file, read each time', async () => {
    const idp = await web();
    idp.answer = json(setOf('a'));
    const tokenFile = join(mkdtempSync(join(tmpdir(), 'certgate-idp-')), 'token');
    writeFileSync(tokenFile, 'first\n');
    const at = opened(place(idp, { tokenFile }));
    await at.keys.has('a');
    writeFileSync(tokenFile, 'second\n');
    at.now += TIMES.coolDown;
    await at.keys.has('b');
    expect(idp.asked).toEqual(['GET /jwks Bearer first', 'GET /jwks Bearer second']);
  });

  test('are where the OpenID configuration of the issuer says, when that is about it and on its host', async () => {
    const idp = await web();
    const discovery =
      (found: object): RequestListener =>
      (asked, answer) => {
        const isConfiguration = asked.url === '/realm/.well-known/openid-configuration';
        answer.end(JSON.stringify(isConfiguration ? found : setOf('a')));
      };
    const issuer = `${idp.origin}/realm`;
    const found = async (document: object) => {
      idp.answer = discovery(document);
      const at = opened(place(idp, { jwksUrl: null, discoverAt: issuer }));
      return [await at.keys.has('a'), ...at.said];
    };
    expect(await found({ issuer, jwks_uri: `${idp.origin}/elsewhere` })).toEqual(['known', null]);
    expect(await found({ issuer: idp.origin, jwks_uri: `${idp.origin}/jwks` })).toEqual([
      'later',
      expect.stringContaining('another issuer'),
    ]);
    for (const jwks_uri of ['https://evil.example/jwks', idp.origin.replace('https', 'http'), 'file:///etc/passwd', 7])
      expect(await found({ issuer, jwks_uri })).toEqual(['later', expect.stringContaining('another host')]);
    expect(idp.asked.filter((asked) => !asked.includes('openid-configuration'))).toEqual(['GET /elsewhere']);
  });
});
