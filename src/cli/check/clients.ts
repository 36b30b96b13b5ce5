// Checks of `certgate ca check` about whom the CA lets in: certificates that end without another, identities that have too
// many or too long ones, weak keys, the trust bundle that somebody has not taken, locks and tokens that were forgotten.
import { X509Certificate } from 'node:crypto';
import { debianWeaknessOf } from '../../authority/debian-weak-keys.ts';
import { targetWords } from '../../authority/lock-table.ts';
import { roughDuration } from '../../config/duration.ts';
import { shellWord } from '../../errors.ts';
import { spkiHashOf } from '../../pki/public-keys.ts';
import { weaknessOf } from '../../pki/weak-keys.ts';
import { LONGEST_LIFE, MOST_CERTIFICATES, type RecordsLook } from '../../store/sqlite-look.ts';
import type { LockRecord } from '../../store/store.ts';
import { type Finding, failure, fine, warning } from '../doctor/finding.ts';
import { DAY, type Subject, someOf } from './subject.ts';

/** How long an identity that has ended is still named, ms. */
export const FORGOTTEN = 7 * DAY;
/** How many flagged identities are named. */
const MOST_FLAGS = 20;
/** How long a lock without an end, or a token that nobody used, may stand before it looks forgotten, ms. */
const LONG_AGO = 7 * DAY;

export async function checkIdentities(records: RecordsLook, subject: Subject): Promise<Finding[]> {
  const { now, command } = subject;
  const ended = records.ending.filter(({ notAfter }) => notAfter <= now).map(({ identity }) => identity);
  const ending = records.ending.filter(({ notAfter }) => notAfter > now);
  const findings: Finding[] = [];
  if (ended.length > 0) {
    const [first = ''] = ended;
    const found = `${ended.length} expired within the last ${roughDuration(FORGOTTEN)} and have no other certificate: ${someOf(ended)}`;
    findings.push(warning('identities', found, command(`token create ${shellWord(first)}`)));
  }
  if (ending.length > 0) {
    const [first] = ending;
    const found = `${ending.length} expire soon and were not renewed: ${someOf(ending.map(({ identity, notAfter }) => `${identity} in ${roughDuration(notAfter - now)}`))}`;
    findings.push(warning('identities', found, command(`list ${shellWord(first?.identity ?? '')}`)));
  }
  for (const { identity, certificates } of records.crowded.slice(0, 5)) {
    const found = `${identity} has ${certificates} certificates that can be used, more than ${MOST_CERTIFICATES}`;
    findings.push(warning('identities', found, command(`list ${shellWord(identity)} --state valid`)));
  }
  const { longLived } = records;
  if (longLived.certificates > 0) {
    const found = `${longLived.certificates} live longer than ${LONGEST_LIFE / DAY} days, one of ${longLived.identity}`;
    findings.push(warning('lifetimes', found, command(`list ${shellWord(longLived.identity)}`)));
  }
  findings.push(...(await checkWeakKeys(records, subject)));
  if (findings.length > 0) return findings;
  return [fine('identities', 'each has a certificate that lasts, or was left to end a while ago')];
}

// What was issued before a fault of its key was known.
async function checkWeakKeys({ newestCertificates }: RecordsLook, { command }: Subject): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { serial, identity, der } of newestCertificates) {
    const { publicKey } = new X509Certificate(der);
    const weakness = weaknessOf(publicKey, spkiHashOf(publicKey)) ?? (await debianWeaknessOf(publicKey));
    if (weakness === null) continue;
    const remedy = command(`revoke --serial ${serial} --reason keyCompromise`);
    findings.push(failure('weak key', `${identity} has a certificate for a key ${weakness}`, remedy));
  }
  return findings;
}

/** `without` are the identities that were not seen to have the bundle that is trusted now. */
export function checkBundle(without: readonly string[], { records, command }: Subject): Finding {
  if (without.length === 0) return fine('trust bundle', 'everybody has the one that is trusted now');
  const found = `${without.length} ${without.length === 1 ? 'was' : 'were'} not seen to have the one that is trusted now: ${someOf(without)}`;
  // It matters when a root is to go or to come; until then what they have is enough.
  const rotating = records?.authorities.some(
    ({ role, state }) => role === 'root' && state !== 'active' && state !== 'retired',
  );
  return rotating === true
    ? warning('trust bundle', `${found}; the root's rotation is waiting for them`, command('ca status'))
    : fine('trust bundle', found);
}

export function checkLocks({ locks }: RecordsLook, { now, command }: Subject): Finding[] {
  if (locks.length === 0) return [fine('locks', 'nobody is locked out')];
  return locks.slice(0, 20).map((lock) => {
    const end = lock.until === null ? 'without an end' : `for another ${roughDuration(lock.until - now)}`;
    const found = `${targetWords(lock)} since ${roughDuration(Math.max(0, now - lock.lockedAt))}, ${end}, by ${lock.actor}: ${lock.reason}`;
    const forgotten = lock.until === null && now - lock.lockedAt > LONG_AGO;
    return lock.scope === 'all' || forgotten ? warning('lock', found, command(unlock(lock))) : fine('lock', found);
  });
}

function unlock({ scope, subject }: LockRecord): string {
  return scope === 'all' ? 'unlock all' : `unlock ${scope} ${shellWord(subject)}`;
}

export function checkFlags({ flags }: RecordsLook, { now, command }: Subject): Finding[] {
  if (flags.length === 0) return [fine('flags', 'nobody is flagged')];
  const more = flags.length > MOST_FLAGS ? [`${flags.length - MOST_FLAGS} more are flagged`] : [];
  return [
    ...flags.slice(0, MOST_FLAGS).map(({ identity, reason, flaggedAt }) => {
      const ago = roughDuration(Math.max(0, now - flaggedAt));
      const look = command(`audit --identity ${shellWord(identity)}`);
      const found = `${identity} was flagged ${ago} ago: ${reason}; look at ${look} before you clear the flag`;
      return failure('flag', found, command(`unflag ${shellWord(identity)}`));
    }),
    ...more.map((found) => failure('flag', found, command('ca check --json'))),
  ];
}

export function checkTokens({ tokens }: RecordsLook, { now, command }: Subject): Finding[] {
  const findings = tokens.flatMap((token) => {
    const { id, subject, uses, usesLeft, createdAt, expiresAt, flag } = token;
    const revoke = command(`token revoke ${id}`);
    const name = `${id} for ${subject}`;
    if (flag !== null) return [failure('token', `${name} was used as a thief would: ${flag}`, revoke)];
    const left = roughDuration(expiresAt - now);
    // `*`, `worker/*`: everybody, or everybody of a kind.
    if (/^([a-z]+\/)?\*$/.test(subject)) {
      return [
        warning('token', `${name} admits any name of that pattern, ${usesLeft} more times within ${left}`, revoke),
      ];
    }
    if (usesLeft === uses && now - createdAt > LONG_AGO) {
      return [warning('token', `${name} has been unused for ${roughDuration(now - createdAt)}`, revoke)];
    }
    return [];
  });
  return findings.length > 0 ? findings : [fine('tokens', `${tokens.length} can be used, none that is odd`)];
}
