// certgate list: the certificates on record, newest first, in pages that continue from a key. Reads the store only.
import { Command } from 'commander';
import { storeFile } from '../authority/layout.ts';
import { type LockTable, lockOn, lockTable } from '../authority/lock-table.ts';
import { roughDuration } from '../config/duration.ts';
import { parseIdentityName } from '../identity/name.ts';
import type { FlagRecord } from '../store/flags.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import type { CertificateFilter, CertificateRecord, CertificateState, LockRecord, Store } from '../store/store.ts';
import { printable, printableJson } from './escape.ts';
import { flagJson, flagLines } from './flag-words.ts';
import { choiceFlag, countFlag, durationFlag, usage } from './flags.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { lockJson } from './lock-words.ts';
import { configOf, withSettings } from './settings.ts';
import { table } from './table.ts';

const STATES: readonly CertificateState[] = ['valid', 'expired', 'revoked'];
const PAGE = 1000;

interface Flags {
  readonly state?: string;
  readonly expiringWithin?: string;
  readonly limit: string;
  readonly after?: string;
  readonly json?: true;
}

export function listCommand(io: CommandIo): Command {
  const command = describe(new Command('list'), 'list the certificates on record, newest first', {
    examples: [
      ['all that are valid now', 'certgate list --state valid'],
      ['all workers', "certgate list 'worker/*'"],
      ['those that expire within a week', 'certgate list --state valid --expiring-within 7d'],
      [
        'serial numbers of an identity, for a script',
        "certgate list worker/etl-1 --json | jq -r '.certificates[].serial'",
      ],
    ],
    notes: [
      '--json prints {certificates, next}; when next is not null, `--after NEXT` continues from there.',
      'a valid certificate that is refused for now is marked `locked`: see certgate locks. `flagged` marks an identity whose',
      'token or key somebody else seems to have; the reason is below the table, and certgate unflag clears the flag.',
    ],
  })
    .argument('[IDENTITY]', 'only this identity, or those whose names begin so, with * at the end')
    .option('--state <STATE>', `only those that are ${STATES.join(', ')}`)
    .option('--expiring-within <DURATION>', 'only those that expire within this time')
    .option('--limit <N>', 'the maximum number', '100')
    .option('--after <CURSOR>', 'continue a --json listing')
    .option('--json', 'print JSON');
  return withSettings(command).action(async (identity: string | undefined, flags: Flags) => {
    const config = configOf(command, io);
    const now = Date.now();
    const limit = countFlag('--limit', flags.limit, { min: 1, max: 1_000_000 });
    const filter = filterOf(identity, flags, now);
    const store = openSqliteStore(storeFile(config.stateDir), { readOnly: true });
    try {
      const found = await collect(store, filter, limit + 1);
      const locks = lockTable(await store.locks(now));
      const flagged = new Map((await store.flags()).map((flag) => [flag.identity, flag]));
      const certificates = found.slice(0, limit);
      const last = found.length > limit ? certificates.at(-1) : undefined;
      if (flags.json === true) {
        io.out(
          printableJson(
            {
              certificates: certificates.map((one) => ({
                ...asJson(one, now),
                locked: lockJsonOf(one, locks, now),
                flag: flagJson(flagged.get(one.identity)),
              })),
              next: last === undefined ? null : cursorOf(last),
            },
            2,
          ),
        );
        return;
      }
      if (certificates.length === 0) return io.say('no certificate on record matches');
      for (const line of table(
        ['identity', 'state', 'ends', 'serial', 'profile'],
        certificates.map((one) => row(one, now, marksOf(one, lockOf(one, locks, now), flagged.get(one.identity)))),
      ))
        io.out(line);
      const shown = new Set(certificates.map((one) => one.identity));
      for (const flag of flagged.values()) {
        if (!shown.has(flag.identity)) continue;
        for (const line of flagLines(flag, now)) io.say(printable(line));
      }
      if (last !== undefined) io.say(`there are more: the newest ${limit} are shown, --limit shows more`);
    } finally {
      await store.close();
    }
  });
}

function filterOf(identity: string | undefined, flags: Flags, now: number): CertificateFilter {
  const within = flags.expiringWithin;
  return {
    now,
    ...(identity === undefined ? {} : namesOf(identity)),
    ...(flags.state === undefined ? {} : { state: choiceFlag('--state', flags.state, STATES) }),
    ...(within === undefined ? {} : { expiresBefore: now + durationFlag('--expiring-within', within) }),
    ...(flags.after === undefined ? {} : { after: readCursor(flags.after) }),
  };
}

function namesOf(identity: string): Pick<CertificateFilter, 'identity' | 'identityStart'> {
  if (/^(?:worker|user|service|gate)$/.test(identity)) {
    throw usage(`${identity} is a kind, and no identity`, `all of that kind: certgate list '${identity}/*'`);
  }
  if (!identity.endsWith('*')) return { identity: parseIdentityName(identity) };
  const identityStart = identity.slice(0, -1);
  if (!identityStart.includes('*')) return { identityStart };
  throw usage('only one * is possible, at the end', "for example certgate list 'worker/*'");
}

async function collect(store: Store, filter: CertificateFilter, enough: number): Promise<CertificateRecord[]> {
  const found: CertificateRecord[] = [];
  let after = filter.after;
  for (;;) {
    const limit = Math.min(enough - found.length, PAGE);
    const page = await store.listCertificates({ ...filter, limit, ...(after === undefined ? {} : { after }) });
    found.push(...page);
    const last = page.at(-1);
    if (last === undefined || page.length < limit || found.length >= enough) return found;
    after = { issuedAt: last.issuedAt, serial: last.serial };
  }
}

function stateOf(record: CertificateRecord, now: number): CertificateState {
  if (record.revokedAt !== null) return 'revoked';
  return record.notAfter <= now ? 'expired' : 'valid';
}

/** The lock that keeps its holder out; on a name that only identity.rules make, a gate alone can tell. */
function lockOf({ identity, serial, profile }: CertificateRecord, locks: LockTable, now: number): LockRecord | null {
  return profile === 'server' ? null : lockOn(locks, { identity, recorded: identity, serial }, now);
}

function lockJsonOf(record: CertificateRecord, locks: LockTable, now: number): object | null {
  const lock = lockOf(record, locks, now);
  return lock === null ? null : lockJson(lock);
}

/** What is to be said of one that is valid. */
function marksOf({ profile }: CertificateRecord, lock: LockRecord | null, flag: FlagRecord | undefined): string {
  return `${lock === null ? '' : ', locked'}${flag === undefined || profile === 'server' ? '' : ', flagged'}`;
}

function row(record: CertificateRecord, now: number, marks: string): string[] {
  const state = stateOf(record, now);
  const ends =
    record.notAfter > now
      ? `in ${roughDuration(record.notAfter - now)}`
      : `${roughDuration(now - record.notAfter)} ago`;
  return [
    record.identity,
    state === 'revoked' ? `revoked: ${record.reason ?? 'unspecified'}` : `${state}${state === 'valid' ? marks : ''}`,
    ends,
    record.serial,
    record.profile,
  ];
}

/** One certificate as `--json` prints it: times in RFC 3339, the certificate itself left out. */
export function asJson(record: CertificateRecord, now: number): object {
  const { der: _der, notBefore, notAfter, issuedAt, revokedAt, ...rest } = record;
  const time = (milliseconds: number) => new Date(milliseconds).toISOString();
  return {
    ...rest,
    groups: record.groups ?? [],
    renewable: record.renewable !== false,
    state: stateOf(record, now),
    notBefore: time(notBefore),
    notAfter: time(notAfter),
    issuedAt: time(issuedAt),
    revokedAt: revokedAt === null ? null : time(revokedAt),
  };
}

function cursorOf({ issuedAt, serial }: CertificateRecord): string {
  return `${issuedAt}.${serial}`;
}

function readCursor(text: string): { issuedAt: number; serial: string } {
  const match = /^(\d{1,15})\.([0-9a-f]{1,40})$/.exec(text);
  if (match === null) throw usage(`--after is not a cursor of this listing`, 'give the `next` of the previous page');
  return { issuedAt: Number(match[1]), serial: match[2] ?? '' };
}
