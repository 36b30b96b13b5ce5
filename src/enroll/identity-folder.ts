// The folder of an identity whose certificate renews itself. Key and certificate change as one: both names lead through
// one link, `.current`, to a folder that is written once and never changed, and the link is replaced in one step. So a
// reader finds the old pair or the new one under the two names, at every moment and after a kill at any. The names stay;
// what stood there as plain files becomes links the first time. One process renews a folder at a time. The key of a
// renewal is on the disk before anybody is asked for its certificate: a folder that cannot be written is found then.
import { randomBytes } from 'node:crypto';
import { copyFile, lstat, open, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeDraftFolder, PRIVATE_FILE, PUBLIC_FILE, syncFolder, writeNewFile } from '../authority/files.ts';
import { CURRENT_LINK, GENERATION, RENEWING } from '../authority/output-folder.ts';
import { systemCode } from '../errors.ts';
import { isHeldElsewhere, openLockFile } from '../store/lock-file.ts';

const NAMES = ['tls.key', 'tls.crt'] as const;
/** A renewal takes seconds; a generation that is older and not in use was left behind by a kill, ms. */
const STALE = 120_000;

/** A renewal whose key is on the disk. */
export interface PreparedRenewal {
  /** Makes key and certificate the folder's. Node's errors; then the folder is as it was. Nothing when it has them already. */
  install(certificatePem: string): Promise<void>;
  /** Removes it, unless it is the folder's. Never fails. */
  discard(): Promise<void>;
}

/** Writes the key of a renewal into a new generation of the folder `dir`. Node's errors. */
export async function prepareRenewal(dir: string, keyPem: string): Promise<PreparedRenewal> {
  const name = `${GENERATION}${randomBytes(8).toString('hex')}`;
  const generation = join(dir, name);
  // Never the folder's own pair: a failure may have come after the link was replaced.
  const discard = async (): Promise<void> => {
    const isOurs = await isCurrent(dir, name).catch(() => true);
    if (!isOurs) await rm(generation, { recursive: true, force: true }).catch(() => {});
  };
  const write = async (): Promise<void> => {
    await makeDraftFolder(generation);
    await writeNewFile(join(generation, 'tls.key'), keyPem, PRIVATE_FILE);
  };
  try {
    await write();
  } catch (error) {
    await discard();
    throw error;
  }
  return {
    async install(certificatePem) {
      if (await isCurrent(dir, name)) return;
      // Somebody may have tidied it away meanwhile, and the certificate is for this key alone.
      if ((await lstat(join(generation, 'tls.key')).catch(() => null)) === null) {
        await discard();
        await write();
      }
      // A try that failed after this point may have left it.
      await rm(join(generation, 'tls.crt'), { force: true });
      await writeNewFile(join(generation, 'tls.crt'), certificatePem, PUBLIC_FILE);
      await syncFolder(generation);
      const before = await linkNames(dir);
      await pointTo(dir, name);
      // From here on it is the folder's. Where that could not be made durable, a power cut brings the pair before back.
      await syncFolder(dir)
        .then(() => removeOthers(dir, [name, before]))
        .catch(() => {});
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

/** Whether the folder's names lead to `generation`. Node's errors. */
async function isCurrent(dir: string, generation: string): Promise<boolean> {
  const current = await readlink(join(dir, CURRENT_LINK)).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw error;
    return null;
  });
  return current === generation;
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
 * Takes the right to renew the folder `dir`; null when somebody has it. Answers how to give it back. It is a lock of the
 * kernel's (store/lock-file.ts): whoever ends, killed or not, has given it back. The system's errors, or SQLite's.
 */
export function takeTurn(dir: string): (() => void) | null {
  const lock = openLockFile(join(dir, RENEWING));
  try {
    lock.exec('BEGIN IMMEDIATE');
  } catch (error) {
    lock.close();
    if (isHeldElsewhere(error)) return null;
    throw error;
  }
  return () => {
    if (lock.isOpen) lock.close();
  };
}
