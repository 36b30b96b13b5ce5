// Runs the `openssl` of the machine in a folder that ends with the test: the verifier that is not ours.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

export interface Answer {
  readonly ok: boolean;
  /** Standard output and error, in that order. */
  readonly text: string;
}

/** A folder with these files, gone after the test. */
export function folderWith(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'certgate-pki-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content, { mode: 0o600 });
  return folder;
}

export function openssl(folder: string, ...args: readonly string[]): Promise<Answer> {
  return new Promise((resolve) => {
    execFile('openssl', args, { cwd: folder }, (error, out, err) =>
      resolve({ ok: error === null, text: `${out}${err}` }),
    );
  });
}
