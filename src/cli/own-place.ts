// A file that a command writes again and again: an earlier one of its kind is replaced, whole, and nothing else is, so that a
// mistyped name costs nobody a file.
import { readFile } from 'node:fs/promises';
import { PUBLIC_FILE } from '../authority/files.ts';
import { requireFreePlace, writeOutputFile } from '../authority/output-file.ts';
import { CertgateError, isCertgateError } from '../errors.ts';

export interface OwnFile {
  /** What it is called: `revocation list`. */
  readonly kind: string;
  /** Reads one; throws when a file holds something else. */
  readonly read: (content: Buffer) => unknown;
  /** The flag that names the file. */
  readonly flag?: string;
}

/**
 * Finds out, before the work is done, whether `path` may be written: nothing is there, an earlier one, or an empty file.
 * Answers what writes it (0644). @throws CG_FILE_EXISTS; Node's errors
 */
export async function takeOwnPlace(
  path: string,
  { kind, read, flag }: OwnFile,
): Promise<(content: Uint8Array) => Promise<void>> {
  const force = await readFile(path)
    .then((content) => {
      if (content.length > 0) read(content);
      return true;
    })
    .catch(() => false);
  const problem = `exists already and is not a ${kind}`;
  const about = (error: unknown): never => {
    if (!isCertgateError(error, 'CG_FILE_EXISTS')) throw error;
    const facts = { path: error.facts.path, problem, replaceable: false, ...(flag !== undefined && { flag }) };
    throw new CertgateError('CG_FILE_EXISTS', facts, { cause: error });
  };
  await requireFreePlace(path, { force }).catch(about);
  return (content) => writeOutputFile(path, content, { mode: PUBLIC_FILE, force }).catch(about);
}
