// Checks of `certgate ca check` about what the CA has on record and whether more can be put there: the store, the clock
// that the records were made by, the backup, the room on the disks, the gate's record.
import { accessSync, constants, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { storeFile } from '../../authority/layout.ts';
import { roughDuration } from '../../config/duration.ts';
import type { Config } from '../../config/schema.ts';
import { isCertgateError, reasonOf, shellWord } from '../../errors.ts';
import { SCHEMA_VERSION } from '../../store/schema.ts';
import type { RecordsLook, StoreLook } from '../../store/sqlite-look.ts';
import { type Finding, failure, fine, skipped, warning } from '../doctor/finding.ts';
import { auditFile } from '../serve-options.ts';
import { DAY, type Subject } from './subject.ts';

/** Certificates are backdated by a minute: a clock that went back by more gives what was issued before a start ahead. */
const CLOCK_TOLERANCE = 60_000;
const BACKUP_EVERY = 7 * DAY;
const MIB = 1024 * 1024;

/** `looked` is what was read of the store, or what was thrown instead. */
export function checkStore(looked: unknown, config: Config, command: Subject['command']): Finding {
  const location = storeFile(config.stateDir);
  if (!isLook(looked)) {
    const remedy = isCertgateError(looked) ? looked.hint : `ls -la ${shellWord(config.stateDir)}`;
    // Who opens it to write puts it right.
    const unlooked = isCertgateError(looked, 'CG_STORE_IO') && looked.facts.remedy !== undefined;
    return failure('store', reasonOf(looked), unlooked ? command('list') : remedy);
  }
  const { schema, problem, records } = looked;
  if (problem !== null) {
    return failure('store', `${location} is damaged: ${problem}`, command('restore --help'));
  }
  if (schema < SCHEMA_VERSION) {
    const found = `${location} is of schema ${schema}, this certgate's is ${SCHEMA_VERSION}: the records were not checked`;
    return warning('store', found, command('ca status'));
  }
  return fine('store', `${location} is sound, schema ${schema}, ${records?.certificates ?? 0} certificates`);
}

function isLook(looked: unknown): looked is StoreLook {
  return typeof looked === 'object' && looked !== null && 'records' in looked;
}

/** Held against the newest record: time does not go back. */
export function checkClock({ newest }: RecordsLook, now: number): Finding {
  const behind = newest - now;
  if (behind <= CLOCK_TOLERANCE)
    return fine('clock', `not behind the newest record, ${new Date(newest).toISOString()}`);
  const found = `this machine is ${roughDuration(behind)} behind the newest record, ${new Date(newest).toISOString()}`;
  return failure('clock', found, 'timedatectl set-ntp true');
}

export function checkBackup({ backup, authorities }: RecordsLook, { now, command }: Subject): Finding {
  const remedy = command(`backup --out certgate-backup-${new Date(now).toISOString().slice(0, 10)}`);
  if (backup === null) {
    const made = Math.min(now, ...authorities.map(({ addedAt }) => addedAt));
    return now - made < DAY
      ? fine('backup', 'there is none yet; the CA was made today')
      : warning('backup', `no backup was ever made, and the CA is ${roughDuration(now - made)} old`, remedy);
  }
  const age = roughDuration(Math.max(0, now - backup.time));
  const changed = authorities.filter(({ changedAt }) => changedAt > backup.time && changedAt <= now).length;
  const since = `since then ${backup.issued} issued, ${backup.revoked} revoked`;
  if (changed > 0) return warning('backup', `the CA itself has changed since the last, ${age} ago; ${since}`, remedy);
  const isOld = now - backup.time > BACKUP_EVERY && backup.issued + backup.revoked > 0;
  return isOld
    ? warning('backup', `the last is ${age} old; ${since}`, remedy)
    : fine('backup', `the last is ${age} old; ${since}`);
}

/** Room where the store and the gate's record grow. */
export function checkRoom({ stateDir }: Config): Finding {
  const remedy = `df -h ${shellWord(stateDir)}`;
  try {
    const { bavail, blocks, bsize } = statfsSync(stateDir);
    const free = bavail * bsize;
    const found = `${Math.floor(free / MIB)} MiB free for ${stateDir}`;
    if (free < 64 * MIB) return failure('disk', `${found}: writes are refused once it is full`, remedy);
    return free < 1024 * MIB || bavail < blocks / 20 ? warning('disk', found, remedy) : fine('disk', found);
  } catch (error) {
    return failure('disk', reasonOf(error), remedy);
  }
}

/** Whether a gate could write its record; without it every write is refused. */
export function checkRecord(config: Config): Finding {
  const file = auditFile(config);
  for (const path of [file, dirname(file)]) {
    try {
      accessSync(path, constants.W_OK);
      return fine('record', path === file ? `${file} can be written` : `${file} is made when a gate starts`);
    } catch (error) {
      if (path === file && (error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      const remedy = `ls -la ${shellWord(dirname(file))}`;
      // Root may write everywhere, and another than the gate's user has no business here.
      return (error as NodeJS.ErrnoException).code === 'EACCES'
        ? skipped('record', `${path} cannot be written by this user`, remedy)
        : failure('record', `${path} cannot be written: ${reasonOf(error)}`, remedy);
    }
  }
  return failure('record', `${dirname(file)} does not exist`, `ls -la ${shellWord(dirname(dirname(file)))}`);
}
