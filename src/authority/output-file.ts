// One file that is handed over, whole or not at all: it is written beside its place under another name, with its final
// mode from the first byte, and then takes its name. Without `force` it takes it by a link, which fails when anything is
// there; with it by a rename, which replaces a file in one step. A kill leaves at most a private `.NAME.exporting-…`
// that the next one removes. Never writes through a link or into a file that is there.
import { link, lstat, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CertgateError, systemCode } from '../errors.ts';
import { draftName, removeLeftovers, syncFolder, writeNewFile } from './files.ts';

const PURPOSE = 'exporting';

/** Whether something stands in the way at `path`: found before the work is done. @throws CG_FILE_EXISTS; Node's errors */
export async function requireFreePlace(
  path: string,
  { force, flag }: { readonly force: boolean; readonly flag?: string },
): Promise<void> {
  await stat(dirname(path));
  const there = await lstat(path).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  });
  if (there === null || (force && there.isFile())) return;
  const problem = there.isFile() ? 'exists already' : 'already exists and is not a regular file';
  throw new CertgateError('CG_FILE_EXISTS', {
    path,
    problem,
    replaceable: there.isFile(),
    ...(flag !== undefined && { flag }),
  });
}

/** Writes `path` with exactly this mode and waits until it is on the disk. @throws CG_FILE_EXISTS; Node's errors */
export async function writeOutputFile(
  path: string,
  content: Uint8Array,
  { mode, force }: { readonly mode: number; readonly force: boolean },
): Promise<void> {
  const draft = join(dirname(path), draftName(basename(path), PURPOSE));
  try {
    await writeNewFile(draft, content, mode);
    await requireFreePlace(path, { force });
    if (force) await rename(draft, path);
    else await linkNew(draft, path);
  } catch (error) {
    // What it says, it says of the file that was asked for.
    throw error instanceof Error && 'path' in error && error.path === draft ? Object.assign(error, { path }) : error;
  } finally {
    await rm(draft, { force: true }).catch(() => {});
  }
  await syncFolder(dirname(path));
  await removeLeftovers(path, [PURPOSE]);
}

async function linkNew(draft: string, path: string): Promise<void> {
  try {
    await link(draft, path);
  } catch (cause) {
    if (systemCode(cause) !== 'EEXIST') throw cause;
    throw new CertgateError('CG_FILE_EXISTS', { path, problem: 'exists already', replaceable: true }, { cause });
  }
}
