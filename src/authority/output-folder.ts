// The folder that an issued certificate is handed over in, `DIR/{tls.crt, tls.key, ca.crt}`, whole or not at all: it is
// made under another name beside DIR and renamed. An existing DIR is replaced only on request and only when it holds
// nothing else: it is moved aside, the new one takes its name, the old one is removed. Between those two renames there
// is no DIR; at no moment is there one with a certificate and a key that don't fit. A kill there leaves the old pair
// beside as `.DIR.replaced-…` and the new one as `.DIR.issuing-…`, both private; issuing again puts things right.
import { lstat, mkdir, readdir, realpath, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { CertgateError, fileReason, isCertgateError, shellWord, systemCode } from '../errors.ts';
import { draftName, makeDraftFolder, removeLeftovers, syncFolder, writeNewFile } from './files.ts';

const OUTPUT_FILES: readonly string[] = ['tls.crt', 'tls.key', 'ca.crt'];
/** What a sidecar that renews its certificate keeps in the folder besides: see src/enroll/identity-folder.ts. */
export const CURRENT_LINK = '.current';
export const GENERATION = '.generation-';
/** Locked by who renews. */
export const RENEWING = '.renewing';
/** The number of the newest trust bundle that a sidecar has seen, beside that: see src/enroll/bundle-number.ts. */
export const bundleNumberFile = (bundle: string): string => `.${bundle}.number`;
const isOfRenewals = (name: string): boolean =>
  name === bundleNumberFile('ca.crt') || name === CURRENT_LINK || name === RENEWING || name.startsWith(GENERATION);

export interface OutputFolder {
  /** Where it will be: absolute, links followed. */
  readonly path: string;
  /** Adds a file and waits until it is on the disk. */
  write(name: 'tls.crt' | 'tls.key' | 'ca.crt', content: string, mode: number): Promise<void>;
  /** Gives it its name. CG_OUT_EXISTS when something has taken that meanwhile. */
  publish(): Promise<void>;
  /** Removes what was written, keys included. Never fails. */
  discard(): Promise<void>;
}

export interface OutputOptions {
  /** Replace a folder that holds an earlier certificate. */
  readonly force: boolean;
  /** Whether the new folder will hold a key; without one, an earlier key is never taken away. */
  readonly withKey: boolean;
}

/**
 * Starts an output folder at `target`; what stands in the way is found now, before anything is issued.
 * @throws CG_OUT_EXISTS, CG_OUT_UNUSABLE
 */
export async function startOutputFolder(target: string, options: OutputOptions): Promise<OutputFolder> {
  const path = await placeOf(resolve(target));
  try {
    await requireFree(path, options);
    await mkdir(dirname(path), { recursive: true });
    const draft = join(dirname(path), draftName(basename(path), 'issuing'));
    // Whether it can be made. What comes first may wait for a person, who may give up: until then nothing is there.
    await makeDraftFolder(draft);
    await rmdir(draft);
    let begun: Promise<void> | null = null;
    return {
      path,
      async write(name, content, mode) {
        begun ??= makeDraftFolder(draft);
        await begun
          .then(() => writeNewFile(join(draft, name), content, mode))
          .catch((error: unknown) => {
            throw outputFailure(error, path);
          });
      },
      publish: () =>
        publish(draft, path, options).catch((error: unknown) => {
          throw outputFailure(error, path);
        }),
      discard: () => rm(draft, { recursive: true, force: true }).catch(() => {}),
    };
  } catch (error) {
    throw outputFailure(error, path);
  }
}

async function publish(draft: string, path: string, options: OutputOptions): Promise<void> {
  await syncFolder(draft);
  if ((await requireFree(path, options)) === 'free') {
    await rename(draft, path); // fails, rather than replaces, when a folder with anything in it is there
  } else {
    const aside = join(dirname(path), draftName(basename(path), 'replaced'));
    await rename(path, aside);
    try {
      await rename(draft, path);
    } catch (error) {
      await rename(aside, path);
      throw error;
    }
    await syncFolder(dirname(path));
    await rm(aside, { recursive: true, force: true }).catch(() => {}); // the next issue tries again
  }
  await syncFolder(dirname(path));
  await removeLeftovers(path, ['issuing', 'replaced']);
}

async function placeOf(path: string): Promise<string> {
  if ((await lstat(path).catch(() => null)) === null) return path;
  return realpath(path).catch((error: unknown) => {
    throw new CertgateError('CG_OUT_EXISTS', { path, problem: `is a dangling link (${systemCode(error)})` });
  });
}

async function requireFree(path: string, { force, withKey }: OutputOptions): Promise<'free' | 'earlier'> {
  const entries = await readdir(path).catch((error: unknown): string[] => {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  });
  if (entries.length === 0) return 'free';
  if (!force) throw new CertgateError('CG_OUT_EXISTS', { path, problem: 'exists already' });
  const others = entries.filter((name) => !OUTPUT_FILES.includes(name) && !isOfRenewals(name));
  if (others.length > 0) {
    const problem = `contains other files, which replacing it would delete: ${others.slice(0, 5).join(', ')}`;
    throw new CertgateError('CG_OUT_UNUSABLE', { path, problem, remedy: 'name a separate folder with --out DIR' });
  }
  if (!withKey && entries.includes('tls.key')) {
    const problem =
      'holds tls.key, and a certificate from a request comes without one: replacing it would lose that key';
    throw new CertgateError('CG_OUT_UNUSABLE', { path, problem, remedy: 'name another folder with --out DIR' });
  }
  return 'earlier';
}

function outputFailure(error: unknown, path: string): CertgateError {
  if (isCertgateError(error)) return error;
  const options = { cause: error };
  const unusable = (problem: string, remedy: string): CertgateError =>
    new CertgateError('CG_OUT_UNUSABLE', { path, problem, remedy }, options);
  switch (systemCode(error)) {
    case 'EEXIST':
    case 'ENOTEMPTY':
      return new CertgateError('CG_OUT_EXISTS', { path, problem: 'exists already' }, options);
    case 'ENOTDIR':
      return unusable('is, or is below, something that is not a folder', 'name another folder with --out DIR');
    case 'EBUSY':
    case 'EXDEV':
      return unusable(
        'is a mount point, which cannot be replaced',
        `name a folder in it: --out ${shellWord(`${path}/tls`)}`,
      );
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return unusable(
        `cannot be written: no room (${fileReason(error)})`,
        `free some space: df -h ${shellWord(dirname(path))}`,
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return unusable(
        `cannot be written: ${fileReason(error)}`,
        'name a folder that this user may write: --out DIR, or --identity DIR for run and connect',
      );
    default:
      return unusable(`cannot be written: ${fileReason(error)}`, `look at it: ls -la ${shellWord(dirname(path))}`);
  }
}
