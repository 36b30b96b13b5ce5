// The keys that Debian's OpenSSL made. debian-weak.csr was made for this with one of its private keys (rsa2048, be32,
// process 10023, with .rnd) as the archive badkeys/debianopenssl has it; debian-weak.pub is the example that badkeys tests
// itself with. Neither was taken from the list that they are looked up in.
import { spawnSync } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { debianWeaknessOf } from '../../src/authority/debian-weak-keys.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { openKeyList } from '../../src/pki/listed-keys.ts';
import { readRequest } from '../../src/pki/requests.ts';
import { failureOf } from '../store/fixture.ts';
import { newPublicKey, openCa, request } from './fixture.ts';

const read = (name: string): Buffer => readFileSync(new URL(name, import.meta.url));
const list = read('../../src/authority/debian-weak-keys.bin');
const csr = read('debian-weak.csr').toString('utf8');
const WORDS = "that Debian's OpenSSL made in 2006 to 2008, which anybody can reproduce (CVE-2008-0166)";

/** Found as scripts/weak-keys describes the list, by the hash of what OpenSSL calls the modulus; all of it is walked. */
function isListed(modulusHex: string): boolean {
  const hash = createHash('sha256').update(Buffer.from(modulusHex, 'hex')).digest('hex');
  const listed: string[] = [];
  let at = 65_536;
  for (let bucket = 0; bucket < 65_536; bucket++) {
    const first = bucket.toString(16).padStart(4, '0');
    for (let n = list[bucket] ?? 0; n > 0; n--, at += 3) {
      if (first === hash.slice(0, 4)) listed.push(first + list.toString('hex', at, at + 3));
    }
  }
  expect(at).toBe(list.length);
  expect(listed).toEqual(listed.toSorted());
  return listed.includes(hash.slice(0, 10));
}

const modulusOf = (args: readonly string[], input: string): string => {
  const { stdout } = spawnSync('openssl', [...args, '-noout', '-modulus'], { input, encoding: 'utf8' });
  return /^Modulus=([0-9A-F]+)$/m.exec(stdout)?.[1] ?? '';
};

describe('a key that Debian made', () => {
  test.each([
    ['in a request', readRequest(csr).publicKey, modulusOf(['req'], csr)],
    ['badkeys’ example', createPublicKey(read('debian-weak.pub')), null],
  ])('is known: %s', async (_, publicKey, modulus) => {
    expect(await debianWeaknessOf(publicKey)).toBe(WORDS);
    if (modulus !== null) expect(isListed(modulus)).toBe(true);
  });

  test('is not certified, neither by itself nor in a request that is signed with it', async () => {
    const { authority, store, dir } = await openCa();
    const before = await store.revision();
    const { publicKey } = readRequest(csr);
    const error = await failureOf('CG_CSR_KEY', () => authority.issue(request({ publicKey })));
    expect(error.message).toBe(`key not accepted: RSA-2048 ${WORDS}`);
    const asked = { identity: 'worker/etl-1', profile: 'client', ttlMs: 3_600_000, actor: 'test', csr } as const;
    await failureOf('CG_CSR_KEY', () => issueToDirectory(authority, { ...asked, out: `${dir}/out` }));
    expect(await store.revision()).toBe(before);
  });
});

describe('another key', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

  test('of RSA is certified, and by the list itself is not on it', async () => {
    const { authority } = await openCa();
    expect((await authority.issue(request({ publicKey }))).record.identity).toBe('worker/etl-1');
    const pem = publicKey.export({ type: 'spki', format: 'pem' });
    expect(isListed(modulusOf(['rsa', '-pubin'], pem))).toBe(false);
  });

  test('of an elliptic curve is not looked for', async () => {
    expect(await debianWeaknessOf(newPublicKey())).toBeNull();
    expect(openKeyList(list).has(newPublicKey())).toBe(false);
  });
});

test('the list is the one that scripts/weak-keys makes, and no part of it is taken for all', () => {
  const sha256 = createHash('sha256').update(list).digest('hex');
  expect(sha256).toBe('f2f633860f7052509951e07e8a709859e452fc53067fbeaadbb05f62b749fe2f');
  expect(openKeyList(list).size).toBe(1_348_571);
  expect(() => openKeyList(list.subarray(0, -1))).toThrow(RangeError);
  expect(() => openKeyList(new Uint8Array(10))).toThrow(RangeError);
});
