// Checks of `certgate doctor` about an identity's files, the key's mode and expiry, and about folders that are closed.
// What the CA has of both is `certgate ca check`'s.

import { accessSync, constants, statSync } from 'node:fs';
import type { Config } from '../../config/schema.ts';
import { isCertgateError, shellWord, systemCode } from '../../errors.ts';
import { auditLockFile } from '../../observe/audit-lock.ts';
import { certificateOf } from '../../outbound/credentials.ts';
import { holderOf } from '../../store/lock-file.ts';
import { auditFile } from '../serve-options.ts';
import { filesOf } from '../sidecar-options.ts';
import { type Finding, failure, fine, warning } from './finding.ts';
import { checkMode } from './modes.ts';

const DAY = 86_400_000;

/** That a process which is stopped keeps others from the gate's record: writes are refused meanwhile. */
export function checkRecord(config: Config): Finding[] {
  const holder = holderOf(auditLockFile(auditFile(config)));
  if (holder?.stopped !== true) return [];
  const found = `process ${holder.pid} is stopped and holds the record, so no other gate can write it`;
  return [failure('record', found, `continue it: kill -CONT ${holder.pid}; or end it: kill -KILL ${holder.pid}`)];
}

/** Folders of the gate that are here and closed to this user, so that nothing in them can be judged; `again` is this command. */
export function checkFolders({ certsDir, stateDir }: Config, again: string): Finding[] {
  return [certsDir, stateDir].flatMap((folder) => {
    try {
      accessSync(folder, constants.R_OK | constants.X_OK);
      return [];
    } catch (error) {
      if (systemCode(error) !== 'EACCES') return [];
      const found = `${folder} cannot be read by this user, so nothing in it was checked`;
      return [failure('folder', found, `run it as its owner: sudo ${asOwnerOf(folder)}${again}`)];
    }
  });
}

function asOwnerOf(folder: string): string {
  try {
    const { uid } = statSync(folder);
    return uid === 0 ? '' : `-u '#${uid}' `;
  } catch {
    return '';
  }
}

/** Judges the files an outbound sidecar would use; nothing when none are configured. */
export function checkIdentityFiles(config: Config, now: number): Finding[] {
  if (config.connect.identityDir === null && config.connect.cert === null) return [];
  const { cert, key, ca } = filesOf(config);
  const { gate, identityDir } = config.connect;
  const ended = "make a new one on the CA's machine: certgate issue NAME --out DIR --force";
  const ending =
    gate === null || identityDir === null
      ? ended
      : `renew it: certgate renew --gate ${shellWord(gate)} --identity ${shellWord(identityDir)}`;
  // What renews itself has done so long before its last sixth, however short its life.
  const late = (life: number): number => Math.min(DAY / 12, life / 6);
  const copy = 'copy the new ca.crt from the gate';
  return [
    checkMode(key, 0o600),
    checkExpiry('identity certificate', cert, { late, ending, ended }, now),
    checkExpiry('trust bundle', ca, { late: () => 30 * DAY, ending: copy, ended: copy }, now),
  ].filter((finding) => finding !== null);
}

interface Expiry {
  /** From when on it is late, ms before the end; of its lifetime, ms. */
  readonly late: (life: number) => number;
  /** What to do then, and after the end. */
  readonly ending: string;
  readonly ended: string;
}

function checkExpiry(check: string, path: string, { late, ending, ended }: Expiry, now: number): Finding {
  try {
    const certificate = certificateOf(path);
    const end = certificate.validToDate.getTime();
    const life = end - certificate.validFromDate.getTime();
    const shown = `${path} ${end <= now ? 'expired' : 'expires'} at ${certificate.validToDate.toISOString()}`;
    if (certificate.validFromDate.getTime() > now) {
      const from = certificate.validFromDate.toISOString();
      return failure(check, `${path} is valid only from ${from}`, "check this machine's clock: timedatectl");
    }
    if (end <= now) return failure(check, shown, ended);
    return end - now < late(life) ? warning(check, shown, ending) : fine(check, shown);
  } catch (error) {
    if (!isCertgateError(error, 'CG_CREDENTIALS')) throw error;
    return failure(check, error.message, error.facts.remedy ?? ended);
  }
}
