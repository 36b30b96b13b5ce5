// Another passphrase for keys that are files, a first one, or none: each key is written anew beside its file and takes the
// file's name by a rename, so that at every moment each file is whole and opens with the old passphrase or the new one.
// All are opened and written before the first is renamed: a wrong passphrase or a full disk changes nothing. A kill
// between two renames leaves some keys with the new one; running it again finishes, since it takes keys that the new
// one opens already. The key inside never changes, so certificates and running gates are not touched.
import { readdir, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CertgateError, fileReason, isCertgateError } from '../errors.ts';
import type { OpenedKey } from '../pki/encrypted-keys.ts';
import { isEncryptedPem } from '../pki/keys.ts';
import {
  draftName,
  PRIVATE_FILE,
  readKeyFile,
  removeLeftovers,
  syncFolder,
  unreadable,
  writeNewFile,
} from './files.ts';
import { keyText, readKey } from './key-store.ts';
import type { PassphraseSource } from './passphrase.ts';

const PURPOSE = 'passphrase';

export interface PassphraseChange {
  /** The keys' files, or links to them. */
  readonly paths: readonly string[];
  /** What opens them now; asked only for keys that are encrypted. */
  readonly from: PassphraseSource | null;
  /** What will open them; null to write them in the clear. */
  readonly to: PassphraseSource | null;
  /** Puts the change on record: when nothing but the renames is left to be done. */
  readonly record?: () => Promise<unknown>;
}

/** The private keys of the CA in `certsDir`: of every generation, sorted by name. CG_CA_FILE. */
export async function caKeyFiles(certsDir: string): Promise<readonly string[]> {
  const names = await readdir(certsDir).catch((error: unknown) => {
    throw unreadable(certsDir, error);
  });
  const keys = names.filter((name) => /^(?:root|issuer)(?:-\d+)?\.key$/.test(name)).toSorted();
  return keys.map((name) => join(certsDir, name));
}

/**
 * Writes the keys anew under `to`.
 * @throws CG_PASSPHRASE, CG_KEY_MODE, CG_KEY_UNREADABLE, CG_CA_FILE: before the first rename, nothing has changed
 */
export async function changePassphrase({ paths: named, from, to, record }: PassphraseChange): Promise<void> {
  // A link stays one: it is the key behind it that is written anew, beside itself.
  const paths = await Promise.all(named.map((path) => realpath(path).catch(() => path)));
  const drafts: Array<readonly [draft: string, path: string]> = [];
  try {
    for (const [path, { key }] of await openAll(paths, from, to)) {
      const draft = join(dirname(path), draftName(basename(path), PURPOSE));
      drafts.push([draft, path]);
      await writeNewFile(draft, await keyText(key, to), PRIVATE_FILE);
    }
    await record?.();
    for (const [draft, path] of drafts) await rename(draft, path);
    for (const folder of new Set(paths.map(dirname))) await syncFolder(folder);
    for (const path of paths) await removeLeftovers(path, [PURPOSE]);
  } catch (error) {
    if (isCertgateError(error)) throw error;
    const file = drafts.at(-1)?.[1] ?? '';
    throw new CertgateError(
      'CG_CA_FILE',
      { file, problem: `cannot be written: ${fileReason(error)}` },
      { cause: error },
    );
  } finally {
    for (const [draft] of drafts) await rm(draft, { force: true }).catch(() => {});
  }
}

/** The keys by their paths. Where a change was killed half-way, the new passphrase opens those that the old one does not. */
async function openAll(
  paths: readonly string[],
  from: PassphraseSource | null,
  to: PassphraseSource | null,
): Promise<ReadonlyMap<string, OpenedKey>> {
  const texts = await Promise.all(paths.map((path) => readKeyFile(path).catch(() => '')));
  // What is wrong with the passphrase itself is said here; below, that it opens nothing.
  if (texts.some(isEncryptedPem)) await from?.read();
  const opened = new Map<string, OpenedKey>();
  const unopened = new Map<string, CertgateError>();
  for (const path of paths) {
    await readKey(path, from).then(
      (key) => opened.set(path, key),
      (error: unknown) => {
        if (!isCertgateError(error, 'CG_PASSPHRASE')) throw error;
        unopened.set(path, error);
      },
    );
  }
  for (const [path, error] of unopened) {
    // When the old one opens nothing it is a wrong one, and nobody needs to be asked for another.
    if (to === null || opened.size === 0) throw error;
    const again = await readKey(path, to).catch(() => null);
    if (again === null) throw error;
    opened.set(path, again);
  }
  return opened;
}
