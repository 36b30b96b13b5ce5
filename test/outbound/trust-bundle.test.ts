// The gate is played by a TLS server of Node, so that it can say what no gate would.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { activateRoot, prepareRoot, rollbackIssuer, rotateIssuer } from '../../src/authority/rotate.ts';
import { openLog } from '../../src/observe/log.ts';
import { createSidecarState, type SidecarState } from '../../src/outbound/sidecar-state.ts';
import { followTrust } from '../../src/outbound/trust-bundle.ts';
import { signBundle } from '../../src/pki/bundle-signature.ts';
import { generateKey, privateKeyToPem } from '../../src/pki/keys.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { type OpenCa, openCa, TRUST_DOMAIN } from '../authority/fixture.ts';
import { quietLog } from '../observe/quiet-log.ts';

const placeOf = ({ certsDir, store }: OpenCa) => ({ certsDir, store, trustDomain: TRUST_DOMAIN, actor: 'test' });

/** Of a follower that takes nothing, and asks by itself once. */
const usual = {
  state: createSidecarState(),
  host: 'localhost',
  interval: 3_600_000,
  take: () => {},
  number: { seen: () => 0, note: () => {} },
  hear: () => {},
};

interface Told {
  readonly asked: string[];
  readonly taken: string[];
  readonly logged: string[];
  readonly noted: number[];
  readonly state: SidecarState;
}

/** A gate with a certificate of `ca` that does `served` with each connection; `connect` verifies it against a bundle. */
async function listening(ca: OpenCa, served: (socket: TLSSocket) => void) {
  const { privateKey, publicKey } = await generateKey();
  const issued = await ca.authority.issue({
    ...{ identity: 'gate/inbound', profile: 'server', ttlMs: 3_600_000, publicKey, dns: ['localhost'], actor: 'test' },
  });
  const server = createServer({ key: privateKeyToPem(privateKey), cert: issued.chainPem }, (socket) => {
    socket.on('error', () => {});
    served(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  onTestFinished(() => void server.close());
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  return { connect: (bundle: string) => connect({ host: '127.0.0.1', port, ca: bundle, servername: 'localhost' }) };
}

/** Follows a gate with a certificate of `ca` that answers `answer`, from the bundle `held` on, until it was asked `times`. */
async function follow(
  ca: OpenCa,
  held: string,
  answer: string | (() => string),
  times: number,
  seen = 0,
): Promise<Told> {
  const told: Told = { asked: [], taken: [], logged: [], noted: [], state: createSidecarState() };
  let number = seen;
  const done = Promise.withResolvers<void>();
  let current = held;
  const gate = await listening(ca, (socket) => {
    socket.once('data', (part: Buffer) => {
      const id = /if-none-match: "([0-9a-f]+)"/.exec(part.toString('latin1'))?.[1] ?? '';
      told.asked.push(id);
      socket.end(typeof answer === 'string' ? answer : answer());
      if (told.asked.length === times) setTimeout(() => done.resolve(), 100);
    });
  });
  const log = openLog({ level: 'debug', destination: { write: (line: string) => void told.logged.push(line) } });
  const { stop } = followTrust({
    host: 'localhost',
    interval: 50,
    current: () => current,
    connect: gate.connect,
    take: (bundle) => {
      told.taken.push(bundle);
      current = bundle;
    },
    number: {
      seen: () => number,
      note: (one) => {
        told.noted.push(one);
        number = one;
      },
    },
    hear: () => {},
    state: told.state,
    log,
  });
  onTestFinished(stop);
  await done.promise;
  await stop();
  return told;
}

const idOf = (pem: string): string => createHash('sha256').update(pem).digest('hex');
/** After all that a test changes. */
const LATE = Date.now() + 3_600_000;
const headersOf = (signature: string, number: number): string =>
  `x-certgate-bundle-number: ${number}\r\nx-certgate-signature: ${signature}\r\n`;
const answerOf = (pem: string, signature: string, number = LATE): string =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${pem.length}\r\n${headersOf(signature, number)}\r\n${pem}`;
/** As signed by `ca`, or by another. */
const signed = (pem: string, { authority }: Pick<OpenCa, 'authority'>, number = LATE): Promise<string> =>
  signBundle({ pem, number }, authority.issuer.signer);
const bundleOf = ({ certsDir }: OpenCa): string => readFileSync(join(certsDir, 'ca.crt'), 'utf8');

describe('a sidecar that follows the trust bundle', () => {
  test('takes one that an issuer it knows has signed, tries it first, and says that it has it', async () => {
    const ca = await openCa();
    const held = bundleOf(ca);
    await prepareRoot(placeOf(ca));
    const fresh = bundleOf(ca);
    const told = await follow(ca, held, answerOf(fresh, await signed(fresh, ca)), 3);
    expect(told.taken[0]).toBe(fresh);
    expect(told.asked.slice(0, 3)).toEqual([idOf(held), idOf(held), idOf(fresh)]);
    expect(told.state).toMatchObject({ gate: true, counts: { bundlesTaken: 1, bundlesRefused: 0 } });
    expect(told.state.bundleConfirmed).toBeGreaterThan(Date.now() - 60_000);
  });

  test('takes one that is signed by an issuer which the root it knows has made meanwhile', async () => {
    const ca = await openCa();
    const held = bundleOf(ca);
    await rotateIssuer(placeOf(ca));
    await ca.authority.reload();
    const fresh = bundleOf(ca);
    const told = await follow(ca, held, answerOf(fresh, await signed(fresh, ca)), 3);
    expect(told.taken[0]).toBe(fresh);
  });

  test('refuses one by which it could not reach the gate', async () => {
    const ca = await openCa();
    const held = bundleOf(ca);
    await prepareRoot(placeOf(ca));
    // The gate still shows the old issuer's certificate, and the bundle has the new root alone.
    const only = readFileSync(join(ca.certsDir, 'root-2.crt'), 'utf8');
    const told = await follow(ca, held, answerOf(only, await signed(only, ca)), 3);
    expect(told.taken).toEqual([]);
  });

  test.each<[string, (ca: OpenCa, fresh: string) => Promise<string>, string]>([
    ['without a signature', async (_ca, fresh) => answerOf(fresh, ''), 'not signed by an issuer known here'],
    [
      'signed by a key of the thief’s',
      async (_ca, fresh) =>
        answerOf(fresh, await signBundle({ pem: fresh, number: LATE }, signerOf((await generateKey()).privateKey))),
      'not signed by an issuer known here',
    ],
    [
      'signed for another bundle',
      async (ca, fresh) => answerOf(fresh, await signed(`${fresh}\n`, ca)),
      'not signed by an issuer known here',
    ],
    [
      'with a root in it that signed its own issuer, which signed the bundle',
      async (ca) => {
        const other = await openCa();
        const pem = bundleOf(ca) + bundleOf(other);
        return answerOf(pem, await signed(pem, other));
      },
      'not signed by an issuer known here',
    ],
    [
      'with something besides certificates in it',
      async (ca, fresh) => answerOf(`# hello\n${fresh}`, await signed(`# hello\n${fresh}`, ca)),
      'it is not plain PEM',
    ],
    [
      'of more certificates than any CA has',
      async (ca, fresh) => {
        const pem = fresh.replace(/(?<=END CERTIFICATE-----\n)[\s\S]*/, '').repeat(31);
        return answerOf(pem, await signed(pem, ca));
      },
      'it holds 31 certificates',
    ],
    [
      'without a certificate in it',
      async (ca) => answerOf('\n', await signed('\n', ca)),
      'no usable PEM of a CERTIFICATE',
    ],
    [
      'with a leaf in it',
      async (ca, fresh) => {
        const { publicKey } = await generateKey();
        const asked = { identity: 'worker/x', profile: 'client', ttlMs: 3_600_000, publicKey, actor: 'test' } as const;
        const pem = fresh + (await ca.authority.issue(asked)).certificatePem;
        return answerOf(pem, await signed(pem, ca));
      },
      'which is no CA',
    ],
  ])('refuses a bundle %s, says so, and asks again', async (_what, made, reason) => {
    const ca = await openCa();
    const held = bundleOf(ca);
    await prepareRoot(placeOf(ca));
    const told = await follow(ca, held, await made(ca, bundleOf(ca)), 2);
    expect(told.taken).toEqual([]);
    expect(told.logged.join('')).toContain(reason);
    expect(told.state).toMatchObject({ gate: true, bundleConfirmed: 0, counts: { bundlesTaken: 0 } });
    expect(told.state.counts.bundlesRefused).toBeGreaterThan(0);
  });

  test.each([
    // An older gate knows no bundle.
    ['HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n', true, false],
    ['HTTP/1.1 304 Not Modified\r\n\r\n', true, true],
    ['HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n', false, false],
    ['HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc', false, false],
    ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', false, false],
    ['HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n', false, false],
    ['\x16\x03\x01', false, false],
    ['', false, false],
  ])('asks again after %o, and notes what that says of the gate and of the bundle', async (answer, gate, confirmed) => {
    const ca = await openCa();
    const told = await follow(ca, bundleOf(ca), answer, 3);
    expect(told.taken).toEqual([]);
    expect([told.state.gate, told.state.bundleConfirmed > 0]).toEqual([gate, confirmed]);
  });

  test('refuses an old one that a rightful issuer has signed, told by whoever has the gate’s key', async () => {
    const ca = await openCa();
    await rotateIssuer(placeOf(ca));
    await ca.authority.reload();
    const { bundlePem: old, bundleNumber } = ca.authority.ca.trust;
    const recording = answerOf(old, await signed(old, ca, bundleNumber), bundleNumber);
    await rollbackIssuer(placeOf(ca));
    await ca.authority.reload();
    const { bundlePem: held, bundleNumber: later } = ca.authority.ca.trust;
    expect(later).toBeGreaterThan(bundleNumber);
    // One that was never told a number would take it: nothing in the two tells which is older.
    expect((await follow(ca, held, recording, 3)).taken).toContain(old);
    const told = await follow(ca, held, recording, 3, later);
    expect([told.taken, told.noted]).toEqual([[], []]);
    expect(told.logged.join('')).toContain(`it is an old one: its number is ${bundleNumber}, and ${later} was seen`);
  });

  test('refuses an old one that lacks a certificate which it has, though it was never told a number', async () => {
    const ca = await openCa(() => Date.now() - 120_000);
    const { bundlePem: old, bundleNumber } = ca.authority.ca.trust;
    const signature = await signed(old, ca, bundleNumber);
    await rotateIssuer(placeOf(ca));
    const told = await follow(ca, bundleOf(ca), answerOf(old, signature, bundleNumber), 3);
    expect(told.taken).toEqual([]);
    expect(told.logged.join('')).toContain('it is an old one');
  });

  test('learns the number of the one that it has, when that is signed', async () => {
    const ca = await openCa();
    const held = bundleOf(ca);
    const same = (signature: string): string => `HTTP/1.1 304 Not Modified\r\n${headersOf(signature, LATE)}\r\n`;
    expect((await follow(ca, held, same(await signed(held, ca)), 3)).noted).toEqual([LATE]);
    expect((await follow(ca, held, same(await signed(`${held}x`, ca)), 3)).noted).toEqual([]);
    expect((await follow(ca, held, same(await signed(held, ca, LATE - 1)), 3)).noted).toEqual([]);
  });

  test('refuses one without a number', async () => {
    const ca = await openCa();
    const held = bundleOf(ca);
    await prepareRoot(placeOf(ca));
    const answer = answerOf(bundleOf(ca), await signed(bundleOf(ca), ca)).replace(/x-certgate-bundle-number.*\r\n/, '');
    const told = await follow(ca, held, answer, 2);
    expect(told.taken).toEqual([]);
    expect(told.logged.join('')).toContain('it has no number');
  });

  test('refuses to take back what it was told before by a gate of the old root', async () => {
    const ca = await openCa();
    const old = bundleOf(ca);
    const signature = await signed(old, ca);
    await prepareRoot(placeOf(ca));
    await activateRoot(placeOf(ca), true);
    await ca.authority.reload();
    // A recording of the old bundle, told by a gate with a certificate of the new root: it could not be reached by it.
    const told = await follow(ca, bundleOf(ca), answerOf(old, signature), 3);
    expect(told.taken).toEqual([]);
  });

  test('says once that the gate does not take the certificate, in its words, and once that it takes it again', async () => {
    const ca = await openCa();
    const body = '{"detail":"certgate: the certificate of worker/etl-1 was revoked"}';
    const refusal = `HTTP/1.1 403 Forbidden\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    let asked = 0;
    const known = 'HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\n\r\n';
    const told = await follow(ca, bundleOf(ca), () => (++asked <= 3 ? refusal : known), 6);
    const lines = told.logged.map((line) => JSON.parse(line) as { level: string; msg: string; reason?: string });
    expect(lines.map(({ level, msg, reason }) => [level, msg, reason])).toEqual([
      ['warn', 'the gate does not take the certificate', 'the certificate of worker/etl-1 was revoked'],
      ['info', 'the gate takes the certificate again', undefined],
    ]);
  });

  test('waits at its end for what the gate says to a question that is under way', async () => {
    const ca = await openCa();
    const held = bundleOf(ca);
    const said: string[] = [];
    const [asked, stopping] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const gate = await listening(ca, (socket) => {
      socket.once('data', () => {
        asked.resolve();
        void stopping.promise.then(() => socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n{}'));
      });
    });
    const trust = followTrust({
      ...usual,
      current: () => held,
      connect: gate.connect,
      log: openLog({ level: 'warn', destination: { write: (line: string) => void said.push(line) } }),
    });
    trust.askSoon();
    await asked.promise;
    const stopped = trust.stop();
    stopping.resolve();
    await stopped;
    expect(said.join('')).toContain('the gate does not take the certificate');
  });

  test('asks out of turn when the gate may have something to say, and ever more seldom while that goes on', async () => {
    const ca = await openCa();
    const held = bundleOf(ca);
    const dates: (string | null)[] = [];
    const answers = Promise.withResolvers<void>();
    let asked = 0;
    const gate = await listening(ca, (socket) => {
      socket.once('data', () => {
        asked++;
        socket.end('HTTP/1.1 403 Forbidden\r\ndate: Mon, 01 Jun 2026 12:00:00 GMT\r\ncontent-length: 0\r\n\r\n');
      });
    });
    const trust = followTrust({
      ...usual,
      current: () => held,
      connect: gate.connect,
      hear: (date) => {
        dates.push(date);
        if (dates.length === 2) answers.resolve();
      },
      log: quietLog,
    });
    onTestFinished(() => trust.stop());
    const begun = performance.now();
    // As often as a client that is refused may ask.
    const often = setInterval(() => trust.askSoon(), 5);
    onTestFinished(() => clearInterval(often));
    await answers.promise;
    expect(performance.now() - begun).toBeGreaterThan(1_900);
    expect([asked, new Set(dates)]).toEqual([2, new Set(['Mon, 01 Jun 2026 12:00:00 GMT'])]);
  });
});
