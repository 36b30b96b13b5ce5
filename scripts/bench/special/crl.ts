// Revocation lists: what it takes to write one anew after one more revocation, against @peculiar/x509's generator for the
// same entries, and to serve a large one. The generator's time grows with the square of the entries (35 s at 20,000), so
// the two are compared at fewer, and certgate alone is measured at as many as the aim names.

// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 needs it to be there first
import 'reflect-metadata';
import { connect } from 'node:net';
import * as x509 from '@peculiar/x509';
import { turn } from '../../../src/authority/crl.ts';
import { startPublishing } from '../../../src/inbound/status/answers.ts';
import { startPlainListener } from '../../../src/inbound/status/plain-listener.ts';
import { openLog } from '../../../src/observe/log.ts';
import { createIssuer, createRoot, type Issuer, issuerOf, newSerial, signerOf } from '../../../src/pki/certificates.ts';
import { addRevoked, createCrl, openCrlEntries } from '../../../src/pki/crl.ts';
import { describeCrl } from '../../../src/pki/describe-crl.ts';
import { generateKey, type KeyPair } from '../../../src/pki/keys.ts';
import type { Revocation, Store } from '../../../src/store/store.ts';
import { say } from '../processes.ts';
import { OURS } from '../rows.ts';
import { quantileOf } from '../statistics.ts';
import type { SpecialWork } from './stage.ts';

const THEIRS = '@peculiar/x509';
const COMPARED = 2_000;
const LARGE = 100_000;
const GETS = 200;
/** The first ones are also the first that this process does. */
const WARM_UP = 20;
const NOW = Date.now();
const [FROM, UNTIL] = [new Date(NOW), new Date(NOW + 86_400_000)];

async function makeIssuer(): Promise<{ issuer: Issuer; key: KeyPair }> {
  const [rootKey, key] = await Promise.all([generateKey(), generateKey()]);
  const dates = { notBefore: new Date(NOW - 1000), notAfter: UNTIL };
  const root = issuerOf(await createRoot({ commonName: 'root', ...dates, key: rootKey }), signerOf(rootKey.privateKey));
  const request = { commonName: 'issuer', ...dates, key, root, trustDomain: 'bench.example' };
  return { issuer: issuerOf(await createIssuer(request), signerOf(key.privateKey)), key };
}

/** `count` revocations, each at a moment of its own. */
function revocations(count: number, issuer: string): Revocation[] {
  return Array.from({ length: count }, (_, i) => ({
    ...{ serial: newSerial(), issuer, identity: 'worker/etl-1', reason: 'keyCompromise' as const },
    ...{ revokedAt: NOW - (count - i) * 1000, notAfter: NOW + 86_400_000, revision: i + 1, isNew: true },
  }));
}

async function timed<T>(deed: () => Promise<T>): Promise<[ms: number, done: T]> {
  const began = performance.now();
  const done = await deed();
  return [performance.now() - began, done];
}

async function theirs(all: readonly Revocation[], { privateKey }: KeyPair): Promise<Uint8Array> {
  const crl = await x509.X509CrlGenerator.create({
    issuer: 'CN=issuer',
    thisUpdate: FROM,
    nextUpdate: UNTIL,
    entries: all.map(({ serial, revokedAt }) => ({
      serialNumber: serial,
      revocationDate: new Date(revokedAt),
      reason: x509.X509CrlReason.keyCompromise,
    })),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    signingKey: privateKey.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign']),
  });
  return new Uint8Array(crl.rawData);
}

/** Times of a list after each of `rounds` more revocations; `first`: with all entries to be encoded. */
async function ours(all: readonly Revocation[], issuer: Issuer, rounds: number) {
  const dates = { thisUpdate: FROM, nextUpdate: UNTIL, distributionPoint: null, turn };
  const entries = openCrlEntries();
  const write = (number: number) => createCrl({ issuer, entries, number, ...dates });
  const [first, { parts }] = await timed(async () => {
    for (const one of all) addRevoked(entries, one);
    return write(1);
  });
  const again: number[] = [];
  for (const [i, one] of revocations(rounds, issuer.keyId).entries()) {
    const [ms] = await timed(() => {
      addRevoked(entries, one);
      return write(i + 2);
    });
    again.push(ms);
  }
  return { first, again, der: Buffer.concat(parts) };
}

/** The part of a store that publishing asks: one writing a hundred thousand certificates would measure the disk. */
function storeOf(all: readonly Revocation[]): Store {
  let number = 0;
  const part: Partial<Store> = {
    location: 'memory',
    revision: async () => all.length,
    revocationsSince: async (revision, limit) =>
      all.slice(revision, limit === undefined ? undefined : revision + limit),
    nextCrlNumber: async () => ++number,
  };
  return part as Store;
}

/** ms to the first octet of the list's answer, after which it hangs up, or to its last. */
function getOnce(port: number, until: 'first' | 'last'): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', reject);
    socket.once('connect', () => {
      const began = performance.now();
      socket.once(until === 'first' ? 'data' : 'end', () => {
        resolve(performance.now() - began);
        if (until === 'first') socket.destroy();
      });
      socket.resume();
      socket.write('GET /crl.crl HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n');
    });
  });
}

async function served(all: readonly Revocation[], issuer: Issuer) {
  const log = openLog({ level: 'error' });
  const publishing = await startPublishing({ url: null, store: storeOf(all), issuers: () => [issuer], log });
  const listener = await startPlainListener({ host: '127.0.0.1', port: 0, flag: '--status-listen' }, publishing);
  try {
    const ms = { first: [] as number[], last: [] as number[] };
    for (let i = 0; i < WARM_UP + GETS; i++) {
      for (const until of ['first', 'last'] as const) ms[until].push(await getOnce(listener.port, until));
    }
    return { first: ms.first.slice(WARM_UP), last: ms.last.slice(WARM_UP) };
  } finally {
    await listener.stop();
    await publishing.stop();
  }
}

export const crl: SpecialWork = {
  name: 'crl',
  title: 'a revocation list, written anew after one more revocation, and served',
  async run({ options: { rounds } }) {
    const { issuer, key } = await makeIssuer();
    const few = revocations(COMPARED, issuer.keyId);
    const compared = await ours(few, issuer, rounds);
    const theirTimes: number[] = [];
    for (let i = 0; i < rounds; i++) {
      const [ms, der] = await timed(() => theirs(few, key));
      theirTimes.push(ms);
      const [a, b] = [describeCrl(der), describeCrl(compared.der)];
      if (b.revoked !== COMPARED || JSON.stringify(a.entries) !== JSON.stringify(b.entries)) {
        throw new Error('the two lists do not say the same');
      }
    }
    const many = revocations(LARGE, issuer.keyId);
    const large = await ours(many, issuer, rounds);
    if (describeCrl(large.der).revoked !== LARGE) throw new Error('the large list is not whole');
    const gets = await served(many, issuer);
    const [p50, p99] = [quantileOf(gets.first, 0.5), quantileOf(gets.first, 0.99)];
    say(`crl: ${large.again.map((ms) => ms.toFixed(1)).join(' ')} ms at ${LARGE}; first octet ${p50.toFixed(2)} ms`);
    const row = (name: string, values: readonly number[]) => {
      return { name, unit: 'ms', figures: [{ contestant: OURS, values }] };
    };
    return {
      rows: [
        {
          ...row(`crl rebuilt, ${COMPARED}`, compared.again),
          figures: [
            { contestant: OURS, values: compared.again },
            { contestant: THEIRS, values: theirTimes },
          ],
        },
        row('crl rebuilt', large.again),
        row('crl made at start', [large.first]),
        row('crl first octet p50', [p50]),
        row('crl first octet p99', [p99]),
        row('crl whole', [quantileOf(gets.last, 0.5)]),
      ],
      notes: [
        `${LARGE} entries, ${(large.der.length / 1e6).toFixed(1)} MB, unless a row says otherwise; server and client share a process`,
      ],
    };
  },
};
