// What the work of revocation does by the command line, as an operator would: a certificate for an identity, and taking it
// back. Time zero is the first line of `certgate revoke`, which it prints when the revocation is committed, before it tells the
// gate; so whatever the gate needs to hear of it counts.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { mainOf } from '../build.ts';
import { keep } from '../processes.ts';
import type { Stage } from './stage.ts';

/** Paths of PEM files. */
export interface ClientFiles {
  readonly chain: string;
  readonly key: string;
  readonly bundle: string;
}

/** ns of the machine's monotonic clock: of the command's start, its first line and its end. */
export interface Revoked {
  readonly began: bigint;
  readonly committed: bigint;
  readonly ended: bigint;
  /** All that it said. */
  readonly said: string;
}

/** Issues a certificate for `identity`. */
export async function issue(identity: string, stage: Stage): Promise<ClientFiles> {
  const { authorityDir, bundle } = stage.ground.certificates;
  const out = join(authorityDir, identity.replace('/', '-'));
  const args = [mainOf(stage.options.form), 'issue', identity, '--out', out];
  await promisify(execFile)(process.execPath, args, { cwd: authorityDir });
  return { chain: join(out, 'tls.crt'), key: join(out, 'tls.key'), bundle };
}

/** Runs `certgate revoke`. @throws with what it said when it fails */
export async function revoke(identity: string, stage: Stage): Promise<Revoked> {
  const { form } = stage.options;
  const began = process.hrtime.bigint();
  const child = keep(
    spawn(process.execPath, [mainOf(form), 'revoke', identity], {
      cwd: stage.ground.certificates.authorityDir,
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  let committed: bigint | null = null;
  let said = '';
  const hear = (text: Buffer): void => {
    said += text.toString();
  };
  child.stdout.on('data', (text: Buffer) => {
    committed ??= process.hrtime.bigint();
    hear(text);
  });
  child.stderr.on('data', hear);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0 || committed === null) throw new Error(`certgate revoke ended with ${code}: ${said}`);
  return { began, committed, ended: process.hrtime.bigint(), said };
}
