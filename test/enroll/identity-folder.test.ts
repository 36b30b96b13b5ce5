import { spawn } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { prepareRenewal, takeTurn } from '../../src/enroll/identity-folder.ts';
import { generateKey, privateKeyToPem } from '../../src/pki/keys.ts';
import { type OpenCa, openCa, request } from '../authority/fixture.ts';

const script = join(import.meta.dirname, 'turn-process.ts');

async function folder(): Promise<readonly [OpenCa, string]> {
  const ca = await openCa();
  const out = join(ca.dir, 'worker');
  await issueToDirectory(ca.authority, { ...request(), out });
  return [ca, out];
}
async function renewed({ authority }: OpenCa, dir: string): Promise<string> {
  const { privateKey, publicKey } = await generateKey();
  const prepared = await prepareRenewal(dir, privateKeyToPem(privateKey));
  const { record, chainPem } = await authority.issue(request({ publicKey }));
  await prepared.install(chainPem);
  return record.serial;
}
const certificateIn = (dir: string): X509Certificate => new X509Certificate(readFileSync(join(dir, 'tls.crt')));
const isPair = (dir: string): boolean =>
  certificateIn(dir).checkPrivateKey(createPrivateKey(readFileSync(join(dir, 'tls.key'))));
const serialOf = (dir: string): string => certificateIn(dir).serialNumber.toLowerCase();

describe('the folder of an identity', () => {
  test('has the new pair under the old names after each renewal, the key for its owner alone', async () => {
    const [ca, dir] = await folder();
    for (let i = 0; i < 3; i++) {
      expect(serialOf(dir)).not.toBe('');
      const serial = await renewed(ca, dir);
      expect([serialOf(dir), isPair(dir)]).toEqual([serial, true]);
    }
    expect(statSync(join(dir, 'tls.key')).mode & 0o777).toBe(0o600);
    expect(lstatSync(join(dir, 'ca.crt')).isFile()).toBe(true);
  });

  test('keeps the new pair where the folder itself could not be flushed, whatever is discarded then', async () => {
    const [ca, dir] = await folder();
    const first = await renewed(ca, dir);
    const handle = await open(dir);
    await handle.close();
    const prototype = Object.getPrototypeOf(handle) as typeof handle;
    const sync = Object.getOwnPropertyDescriptor(prototype, 'sync')?.value as () => Promise<void>;
    const before = readlinkSync(join(dir, '.current'));
    const flushes = vi.spyOn(prototype, 'sync').mockImplementation(async function (this: typeof handle) {
      if (readlinkSync(join(dir, '.current')) !== before) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      await sync.call(this);
    });
    onTestFinished(() => flushes.mockRestore());
    const { privateKey, publicKey } = await generateKey();
    const prepared = await prepareRenewal(dir, privateKeyToPem(privateKey));
    const { record, chainPem } = await ca.authority.issue(request({ publicKey }));
    await prepared.install(chainPem).catch(() => {});
    await prepared.discard();
    expect([serialOf(dir), isPair(dir)]).toEqual([record.serial, true]);
    // What a power cut may bring back.
    expect(certificateIn(join(dir, before)).serialNumber.toLowerCase()).toBe(first);
    await prepared.install(chainPem);
    flushes.mockRestore();
    const serial = await renewed(ca, dir);
    expect([serialOf(dir), isPair(dir)]).toEqual([serial, true]);
  });

  test('shows no pair that does not fit, at any moment', async () => {
    const [ca, dir] = await folder();
    let reading = true;
    const mixed: string[] = [];
    let reads = 0;
    const reader = (async () => {
      while (reading) {
        // Two names can't be opened at one moment: what counts is a reading between two that found the same certificate.
        const [before, fits, after] = [serialOf(dir), isPair(dir), serialOf(dir)];
        reads++;
        if (before === after && !fits) mixed.push(before);
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
    })();
    for (let i = 0; i < 5; i++) await renewed(ca, dir);
    reading = false;
    await reader;
    expect(mixed).toEqual([]);
    expect(reads).toBeGreaterThan(20);
  });

  test('has a pair that fits after a kill at any moment, and can be renewed after it', async () => {
    const ca = await openCa();
    const pairs = join(ca.dir, 'pairs');
    mkdirSync(pairs);
    for (let i = 0; i < 3; i++) {
      const { privateKey, publicKey } = await generateKey();
      const { chainPem } = await ca.authority.issue(request({ publicKey }));
      writeFileSync(join(pairs, `${i}.json`), JSON.stringify([privateKeyToPem(privateKey), chainPem]));
    }
    for (let i = 0; i < 12; i++) {
      const dir = join(ca.dir, `worker-${i}`);
      await issueToDirectory(ca.authority, { ...request(), out: dir });
      const first = serialOf(dir);
      const child = spawn(process.execPath, [join(import.meta.dirname, 'renewing-process.ts'), dir, pairs]);
      await once(child.stdout, 'data');
      // From the middle of the first renewal, which makes the links, to some renewals later.
      await pause(i * 2);
      child.kill('SIGKILL');
      await once(child, 'close');
      expect([i, isPair(dir)]).toEqual([i, true]);
      const serial = await renewed(ca, dir);
      expect([serialOf(dir), isPair(dir)]).toEqual([serial, true]);
      expect(serial).not.toBe(first);
    }
  });

  test('keeps the generation before for a reader, and drops what is older', async () => {
    const [ca, dir] = await folder();
    const generations = (): string[] => readdirSync(dir).filter((name) => name.startsWith('.generation-'));
    for (let i = 0; i < 4; i++) {
      await renewed(ca, dir);
      for (const name of generations()) utimesSync(join(dir, name), 1, 1);
    }
    expect(generations()).toHaveLength(2);
    expect(isPair(dir)).toBe(true);
  });

  test('gets the new pair though somebody has removed what was in the making', async () => {
    const [ca, dir] = await folder();
    const { privateKey, publicKey } = await generateKey();
    const prepared = await prepareRenewal(dir, privateKeyToPem(privateKey));
    for (const name of readdirSync(dir).filter((one) => one.startsWith('.generation-'))) {
      rmSync(join(dir, name), { recursive: true });
    }
    const { record, chainPem } = await ca.authority.issue(request({ publicKey }));
    await prepared.install(chainPem);
    expect([serialOf(dir), isPair(dir)]).toEqual([record.serial, true]);
    expect(statSync(join(dir, 'tls.key')).mode & 0o777).toBe(0o600);
  });

  test('can still be replaced by certgate issue --force', async () => {
    const [ca, dir] = await folder();
    await renewed(ca, dir);
    const { record } = await issueToDirectory(ca.authority, { ...request(), out: dir, force: true });
    expect(serialOf(dir)).toBe(record.serial);
    expect(readdirSync(dir).toSorted()).toEqual(['ca.crt', 'tls.crt', 'tls.key']);
  });

  test('that cannot be written is found out before a certificate is asked for, and stays as it is', async () => {
    const [, dir] = await folder();
    const before = readdirSync(dir);
    if (process.getuid?.() === 0) {
      // Root may write anywhere but through a file.
      await expect(prepareRenewal(join(dir, 'tls.crt'), 'key')).rejects.toThrow('ENOTDIR');
    } else {
      chmodSync(dir, 0o500);
      await expect(prepareRenewal(dir, 'key')).rejects.toThrow('EACCES');
      chmodSync(dir, 0o700);
    }
    expect(readdirSync(dir)).toEqual(before);
  });

  test('is renewed by one at a time, who may give it back twice', async () => {
    const [, dir] = await folder();
    const giveBack = takeTurn(dir);
    expect(takeTurn(dir)).toBeNull();
    giveBack?.();
    const again = takeTurn(dir);
    giveBack?.();
    expect([again === null, takeTurn(dir)]).toEqual([false, null]);
    again?.();
    expect(statSync(join(dir, '.renewing'))).toMatchObject({ size: 0, mode: 0o100600 });
  });

  test('is free at once when who was renewing it is killed, and not before, whatever the clock says', async () => {
    const [{ dir: beside }, dir] = await folder();
    const holder = spawn(process.execPath, [script, dir, join(beside, 'inside'), 'hold'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void holder.kill('SIGKILL'));
    await once(holder.stdout, 'data');
    for (const made of [1, Date.now() / 1000 + 3_600]) {
      utimesSync(join(dir, '.renewing'), made, made);
      expect([made, takeTurn(dir)]).toEqual([made, null]);
    }
    holder.kill('SIGKILL');
    await once(holder, 'close');
    expect(takeTurn(dir)).not.toBeNull();
  });

  test('is never the turn of two, among four processes that are killed in their turn and come again', async () => {
    const [{ dir: beside }, dir] = await folder();
    const inside = join(beside, 'inside');
    const ends = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const words: string[] = [];
        for (let lives = 0; lives < 5; lives++) {
          const child = spawn(process.execPath, [script, dir, inside, '40'], { stdio: ['ignore', 'ignore', 'pipe'] });
          child.stderr.on('data', (part: Buffer) => words.push(part.toString()));
          const [, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
          words.push(signal ?? 'ended');
        }
        return words.join(' ');
      }),
    );
    expect(ends).toEqual(Array(4).fill(Array(5).fill('SIGKILL').join(' ')));
  });
});
