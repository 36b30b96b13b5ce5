// Key material and certificates as files. A private key has mode 0600 from its first byte, whatever the umask; a file is
// written once, under a name that did not exist, and is on the disk before anything refers to it. A key that others
// than its owner could read is not used. Nothing here overwrites a file in place.
import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync } from 'node:fs';
import { lstat, mkdir, open, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CertgateError, fileReason, shellWord, systemCode } from '../errors.ts';

/** Owner only: private keys and what is still being made. */
export const PRIVATE_FILE = 0o600;
export const PRIVATE_FOLDER = 0o700;
/** Certificates are public. */
export const PUBLIC_FILE = 0o644;

/** How old an unfinished folder must be before it is taken for one that a kill left behind, ms. */
const LEFTOVER_AGE = 60_000;
/** For how long nothing is written to a draft that another machine has given up, ms. */
const SILENCE = 900_000;

/** What is to be said of a file of the CA that could not be read. */
export function unreadable(file: string, error: unknown): CertgateError<'CG_CA_FILE'> {
  const code = systemCode(error);
  const problem = code === 'ENOENT' ? 'does not exist' : `cannot be read: ${fileReason(error)}`;
  const remedy = `run this as the user that runs certgate: ls -ld ${shellWord(file)}`;
  const facts = { file, problem, ...(code === 'EACCES' && { remedy }) };
  return new CertgateError('CG_CA_FILE', facts, { cause: error });
}

/**
 * Writes a file that must not exist yet, with exactly this mode, and waits until it is on the disk; else there is none.
 * Node's errors, with the path.
 */
export async function writeNewFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const file = await open(path, 'wx', mode);
  try {
    try {
      await file.chmod(mode); // the umask took bits away at most, so until here it was stricter
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await rm(path, { force: true }).catch(() => {});
    throw about(path, error);
  }
}

/** The system's error, with the path that a read, a write or a flush does not name. */
export function about(path: string, error: unknown): unknown {
  return error instanceof Error && 'syscall' in error ? Object.assign(error, { path }) : error;
}

/** Makes what was created, renamed or removed in a folder survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    throw about(path, error);
  }
}

/**
 * The text of a private key's file. The mode is that of the file that was read, not of what had its name before.
 * @throws CG_KEY_MODE when group or others have any right to it; Node's errors
 */
export async function readKeyFile(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    try {
      const found = await file.stat();
      if (found.isDirectory()) throw Object.assign(new Error('it is a folder'), { code: 'EISDIR', syscall: 'read' });
      const { mode } = found;
      if ((mode & 0o077) !== 0) {
        throw new CertgateError('CG_KEY_MODE', { file: path, mode: (mode & 0o777).toString(8).padStart(4, '0') });
      }
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    throw about(path, error);
  }
}

/** What something in the making is called: `.NAME.PURPOSE-PID-RANDOM`, beside where it will be. */
export function draftName(name: string, purpose: string): string {
  return `.${name}.${purpose}-${process.pid}-${randomBytes(4).toString('hex')}`;
}

/**
 * Makes the folder `path` and those above it that are missing; answers what it made, outermost first. Step by step: Node's
 * own way never ends where a folder that can't be made says that it is not there, as below /proc. Node's errors.
 */
export async function makeFolders(path: string, mode: number): Promise<readonly string[]> {
  const missing: string[] = [];
  if ((await stat(path).catch(() => null))?.isDirectory() === false) await mkdir(path); // EEXIST, as for any file there
  for (let at = path; (await stat(at).catch(() => null)) === null; at = dirname(at)) {
    if (at === dirname(at)) break;
    missing.unshift(at);
  }
  const made: string[] = [];
  for (const folder of missing) {
    try {
      await mkdir(folder, { mode });
      made.push(folder);
    } catch (error) {
      // Somebody else was faster.
      if (systemCode(error) !== 'EEXIST' || !(await stat(folder)).isDirectory()) throw error;
    }
  }
  return made;
}

/** Makes the private folder `path`, which must not exist; else there is none. Node's errors. */
export async function makeDraftFolder(path: string): Promise<void> {
  await mkdir(path, { mode: PRIVATE_FOLDER });
  try {
    const folder = await open(path, 'r');
    try {
      await folder.chmod(PRIVATE_FOLDER);
    } finally {
      await folder.close();
    }
  } catch (error) {
    await rmdir(path).catch(() => {});
    throw error;
  }
}

/**
 * Removes what killed processes left unfinished beside `target` under any of `purposes`: drafts whose process is gone, and that
 * are `age` ms old, a minute where a process that can't be seen from here may still finish its own. They may hold private keys
 * that nobody will ever use. Never fails.
 */
export async function removeLeftovers(
  target: string,
  purposes: readonly string[],
  age: number = LEFTOVER_AGE,
): Promise<void> {
  await sweep(dirname(target), async (draft, path) => {
    if (draft.name !== basename(target) || !purposes.includes(draft.purpose)) return false;
    return Date.now() - (await stat(path)).mtimeMs >= age;
  });
}

/**
 * As `removeLeftovers`, whatever it was that they were to be: for a folder where each has another name. It may be one that
 * machines share, which do not see each other's processes: so only where nothing was written for a while. Never fails.
 */
export async function removeLeftoversOfAnyName(folder: string, purpose: string): Promise<void> {
  await sweep(folder, async (draft, path) => {
    if (draft.purpose !== purpose) return false;
    const inside = (await stat(path)).isDirectory() ? await readdir(path, { recursive: true }) : [];
    const written = await Promise.all(['.', ...inside].map(async (one) => (await lstat(join(path, one))).mtimeMs));
    return Date.now() - Math.max(...written) >= SILENCE;
  });
}

interface Draft {
  readonly name: string;
  readonly purpose: string;
  readonly pid: number;
}

/** The drafts of `target` that killed processes have left, whatever their age: where, and whose. Never fails. */
export async function leftoversOf(
  target: string,
): Promise<ReadonlyArray<{ readonly path: string; readonly pid: number }>> {
  const entries = await readdir(dirname(target)).catch(() => []);
  return entries.flatMap((entry) => {
    const draft = ownerless(entry);
    return draft?.name === basename(target) ? [{ path: join(dirname(target), entry), pid: draft.pid }] : [];
  });
}

async function sweep(folder: string, isLeft: (draft: Draft, path: string) => Promise<boolean>): Promise<void> {
  for (const entry of await readdir(folder).catch(() => [])) {
    const draft = ownerless(entry);
    if (draft === null) continue;
    const path = join(folder, entry);
    if (await isLeft(draft, path).catch(() => false)) await rm(path, { recursive: true, force: true }).catch(() => {});
  }
}

/** What killed processes left unfinished in `folder`, as `removeLeftovers` would take it for any target; sorted. Node's errors. */
export function leftoversIn(folder: string): readonly string[] {
  const old = (path: string): boolean => {
    const left = lstatSync(path, { throwIfNoEntry: false });
    return left !== undefined && Date.now() - left.mtimeMs >= LEFTOVER_AGE;
  };
  const entries = readdirSync(folder).filter((entry) => ownerless(entry) !== null);
  return entries
    .map((entry) => join(folder, entry))
    .filter(old)
    .toSorted();
}

/** The draft whose name `entry` is, and whose process is gone; null for anything else. */
function ownerless(entry: string): Draft | null {
  const [, name = '', purpose = '', pid = ''] =
    /^\.(.+)\.([a-z]+)-(\d{1,10})-[0-9a-f]{8}(?:-wal|-shm|-journal)?$/s.exec(entry) ?? [];
  if (pid === '' || isRunning(Number(pid))) return null;
  // A new store is the draft of what is a draft itself.
  return ownerless(name) ?? { name, purpose, pid: Number(pid) };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}
