// The folder of an identity whose certificate renews itself. Key and certificate change as one: both names lead through
// one link, `.current`, to a folder that is written once and never changed, and the link is replaced in one step. So a
// reader finds the old pair or the new one under the two names, at every moment and after a kill at any. The names stay;
// what stood there as plain files becomes links the first time. One process renews a folder at a time. The key of a
// renewal is on the disk before anybody is asked for its certificate: a folder that cannot be written is found then.
import { randomBytes } from 'node:crypto';
import { copyFile, lstat, open, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { makeDraftFolder, PRIVATE_FILE, PUBLIC_FILE, syncFolder, writeNewFile } from '../authority/files.ts';
import { CURRENT_LINK, GENERATION, RENEWING } from '../authority/output-folder.ts';

const NAMES = ['tls.key', 'tls.crt'] as const;
/** A renewal takes seconds; what is older was left behind by a kill, ms. */
const STALE = 120_000;
/** How often two who meet stand back for each other. */
const TAKING_TRIES = 3;

/** A renewal whose key is on the disk. */
export interface PreparedRenewal {
  /** Makes key and certificate the folder's. Node's errors; then the folder is as it was. */
  install(certificatePem: string): Promise<void>;
  /** Removes it. Never fails. */
  discard(): Promise<void>;
}

/** Writes the key of a renewal into a new generation of the folder `dir`. Node's errors. */
export async function prepareRenewal(dir: string, keyPem: string): Promise<PreparedRenewal> {
  const name = `${GENERATION}${randomBytes(8).toString('hex')}`;
  const generation = join(dir, name);
  const discard = (): Promise<void> => rm(generation, { recursive: true, force: true }).catch(() => {});
  try {
    await makeDraftFolder(generation);
    await writeNewFile(join(generation, 'tls.key'), keyPem, PRIVATE_FILE);
  } catch (error) {
    await discard();
    throw error;
  }
  return {
    async install(certificatePem) {
      // A try that failed after this point may have left it.
      await rm(join(generation, 'tls.crt'), { force: true });
      await writeNewFile(join(generation, 'tls.crt'), certificatePem, PUBLIC_FILE);
      await syncFolder(generation);
      const before = await linkNames(dir);
      await pointTo(dir, name);
      await syncFolder(dir);
      await removeOthers(dir, [name, before]);
    },
    discard,
  };
}

/** Has both names lead through the link, to a copy of what they are, where they don't yet. Answers the generation. */
async function linkNames(dir: string): Promise<string> {
  const linked = await Promise.all(NAMES.map((name) => readlink(join(dir, name)).catch(() => '')));
  const current = await readlink(join(dir, CURRENT_LINK)).catch(() => '');
  if (current !== '' && NAMES.every((name, i) => linked[i] === join(CURRENT_LINK, name))) return current;
  const first = `${GENERATION}${randomBytes(8).toString('hex')}`;
  await makeDraftFolder(join(dir, first));
  for (const name of NAMES) {
    const copy = join(dir, first, name);
    await copyFile(join(dir, name), copy);
    const file = await open(copy, 'r');
    try {
      await file.chmod(name === 'tls.key' ? PRIVATE_FILE : PUBLIC_FILE);
      await file.sync();
    } finally {
      await file.close();
    }
  }
  await pointTo(dir, first);
  for (const name of NAMES) await replaceByLink(join(dir, name), join(CURRENT_LINK, name));
  return first;
}

async function pointTo(dir: string, generation: string): Promise<void> {
  await replaceByLink(join(dir, CURRENT_LINK), generation);
}

/** In one step, whatever was there. */
async function replaceByLink(path: string, target: string): Promise<void> {
  const draft = join(dirname(path), `${GENERATION}link-${randomBytes(4).toString('hex')}`);
  await symlink(target, draft);
  try {
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** The one before stays for a reader that is between two opens; those before it go. */
async function removeOthers(dir: string, keep: readonly string[]): Promise<void> {
  for (const name of await readdir(dir)) {
    if (!name.startsWith(GENERATION) || keep.includes(name)) continue;
    const path = join(dir, name);
    const made = await lstat(path).catch(() => null);
    // Another process may be about to renew: what is in the making is young.
    if (made !== null && Date.now() - made.mtimeMs > STALE) await rm(path, { recursive: true, force: true });
  }
}

/**
 * Takes the right to renew the folder `dir`; null when somebody has it. Answers how to give it back. Node's errors. Each
 * taker has a lock of its own name, which nobody else ever has, and looks at the others' after it is made: of two, the
 * later sees the earlier, so that both never have the turn, whatever was taken over from whom. That both stand back is
 * possible, and tried again.
 */
export async function takeTurn(dir: string): Promise<(() => Promise<void>) | null> {
  for (let tries = 1; tries <= TAKING_TRIES; tries++) {
    const name = `${RENEWING}${randomBytes(8).toString('hex')}`;
    const giveBack = (): Promise<void> => rm(join(dir, name), { force: true }).catch(() => {});
    await writeFile(join(dir, name), `${process.pid}\n`, { flag: 'wx', mode: PRIVATE_FILE });
    try {
      const locks = (await readdir(dir)).filter((one) => one.startsWith(RENEWING));
      const others = locks.filter((one) => one !== name);
      const young = await Promise.all(others.map((one) => isYoung(join(dir, one))));
      // Its own is missing when it slept until it was itself taken for dead.
      if (locks.includes(name) && !young.includes(true)) {
        for (const one of others) await rm(join(dir, one), { force: true });
        return giveBack;
      }
    } catch (error) {
      await giveBack();
      throw error;
    }
    await giveBack();
    await pause(Math.random() * 20);
  }
  return null;
}

// By a clock that may have gone back meanwhile.
async function isYoung(path: string): Promise<boolean> {
  const made = await lstat(path).catch(() => null);
  return made !== null && Math.abs(Date.now() - made.mtimeMs) < STALE;
}
