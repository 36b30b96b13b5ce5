// certgate token create: prints one string, and nothing else, to stdout. It is shown once: the records keep its hash.
import { createHash } from 'node:crypto';
import { Command } from 'commander';
import { SHORTEST_TTL } from '../../authority/authority.ts';
import { recordsOf } from '../../authority/change.ts';
import { LONGEST_TOKEN, MOST_USES, recordToken, SHORTEST_TOKEN } from '../../authority/tokens.ts';
import { rootOf, type Trust, trustIn } from '../../authority/trust.ts';
import { bracketed, parseHostPort } from '../../config/address.ts';
import { roughDuration } from '../../config/duration.ts';
import type { Config } from '../../config/schema.ts';
import { newToken, requireSubject, secretHashOf, type Token, writeToken } from '../../enroll/token.ts';
import { CertgateError, shown } from '../../errors.ts';
import { parseGroups } from '../../identity/groups.ts';
import type { TokenRecord } from '../../store/tokens.ts';
import { actor, openStoreToAct } from '../actor.ts';
import { printable, printableJson } from '../escape.ts';
import { collect, countFlag, durationFlag, usage } from '../flags.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';
import { asServed } from '../running-gate.ts';
import { configOf, withSettings } from '../settings.ts';
import { type PoolStanding, poolGroups, poolStanding } from './pool.ts';
import { tokenJson } from './token-words.ts';

/** As issue.ttl has it, ms. */
const LONGEST_TTL = 3_650 * 86_400_000;

interface Flags {
  readonly ttl: string;
  readonly certTtl?: string;
  readonly uses: string;
  readonly group?: readonly string[];
  readonly pool?: readonly string[];
  readonly json?: true;
}

export function createCommand(io: CommandIo): Command {
  const command = describe(new Command('create'), 'create a token; it is printed once', {
    examples: [
      ['for one worker, for ten minutes', 'certgate token create worker/etl-1'],
      ['… whose certificates will last a week', 'certgate token create worker/etl-1 --cert-ttl 7d'],
      [
        '… which is limited to one work pool, whatever the policy says',
        'certgate token create worker/etl-1 --pool etl',
      ],
      ['into a file that only you can read', '(umask 077; certgate token create worker/etl-1 > token)'],
      ['for a fleet: fifty workers, each with its own name', "certgate token create 'worker/etl-*' --uses 50 --ttl 8h"],
    ],
    notes: [
      'on the new machine: certgate run --token-file FILE -- prefect worker start …, or certgate enroll --token-file FILE.',
      "the token contains the gate's address (--gate), the root's fingerprint, and a secret.",
    ],
  })
    .argument('<NAME>', "worker/…, user/… or service/…, or a pattern with * as its end, e.g. 'worker/etl-*'")
    .option('--ttl <DURATION>', 'how long the token can be used', '10m')
    .option('--cert-ttl <DURATION>', 'lifetime of the certificates (default: that of `certgate issue`)')
    .option('--uses <N>', 'how many certificates it can be used for', '1')
    .option('--group <NAME>', 'a group that its machines are in; may be repeated', collect)
    .option('--pool <NAME>', 'limit its machines to this work pool; may be repeated', collect)
    .option('--json', 'print JSON');
  return withSettings(command, ['connect.gate']).action(async (name: string, flags: Flags) => {
    const subject = requireSubject(name);
    const uses = countFlag('--uses', flags.uses, { min: 1, max: MOST_USES });
    const lastsMs = durationFlag('--ttl', flags.ttl);
    if (lastsMs < SHORTEST_TOKEN || lastsMs > LONGEST_TOKEN) {
      throw usage(`--ttl is ${shown(flags.ttl)}; a token lasts from 1s to 366d`, 'for example --ttl 10m');
    }
    const certTtl = flags.certTtl === undefined ? null : durationFlag('--cert-ttl', flags.certTtl);
    if (certTtl !== null && (certTtl < SHORTEST_TTL || certTtl > LONGEST_TTL)) {
      throw usage(`--cert-ttl is ${shown(flags.certTtl ?? '')}; it is 5m to 3650d`, 'for example --cert-ttl 24h');
    }
    const pools = flags.pool ?? [];
    const groups = parseGroups([...(flags.group ?? []), ...poolGroups(pools)]);
    const { config, differing } = await asServed(configOf(command, io));
    const standing = pools.length === 0 ? null : poolStanding(config.serve.policy, io.cwd, { subject, pools, groups });
    const now = Date.now();
    const store = openStoreToAct(config.stateDir, io);
    try {
      // No key of the CA is needed: whoever may write the records may make a token.
      const rootFingerprint = fingerprintOf(trustIn(await recordsOf({ store })));
      const about = { subject, gate: gateOf(config), rootFingerprint };
      const token = newToken(about);
      const { id, secret } = token;
      const request = {
        id,
        secretHash: secretHashOf(secret),
        subject,
        uses,
        ttlMs: certTtl ?? config.issue.ttl,
        lastsMs,
        groups,
      };
      const record = await recordToken(store, { ...request, actor: actor() }, now);
      const text = writeToken(token);
      const said = { token: text, ...tokenJson(record, now), gate: token.gate, binding: standing?.binding ?? null };
      if (flags.json === true) io.out(printableJson(said, 2));
      else tell(text, token, record, io);
      const elsewhere = differing.filter((one) => /^serve\.(?:listen|names) /.test(one));
      if (config.connect.gate === null && elsewhere.length > 0) {
        io.say(printable(`by the gate that runs here, not by the configuration: ${elsewhere.join(', ')}`));
      }
      if (standing !== null) tellStanding(standing, io);
    } finally {
      await store.close();
    }
  });
}

function tell(text: string, { gate }: Token, record: TokenRecord, io: CommandIo): void {
  io.out(text);
  const { id, subject, uses } = record;
  const good = uses === 1 ? 'one certificate' : `${uses} certificates`;
  io.say(`token ${id} for ${subject}: ${good}, within ${roughDuration(record.expiresAt - record.createdAt)}`);
  io.say(`its machine must reach ${gate}; it is shown only this once`);
}

function tellStanding({ words, binding }: PoolStanding, io: CommandIo): void {
  io.say(printable(words));
  if (binding === null) return;
  io.say(printable(`put this into the policy, at ${binding.place}:`));
  for (const line of binding.line.split('\n')) io.say(printable(line));
}

/** Where the others reach the gate: what --gate says, else the first of its names, at the port where it listens. */
function gateOf({ connect, serve }: Config): string {
  if (connect.gate !== null) return new URL(connect.gate).origin;
  const [name = 'localhost'] = serve.names;
  const port = parseHostPort(serve.listen)?.port;
  if (port === undefined) {
    throw usage(
      `serve.listen is ${serve.listen}, which says no port, and no gate runs here that could tell it`,
      'start the gate, or give the address at which others reach it: --gate https://HOST:PORT',
    );
  }
  return new URL(`https://${bracketed(name)}:${port}`).origin;
}

/** SHA-256 of the root that the gate's certificate chains to, hex. */
function fingerprintOf({ records, activeIssuer, activeRoot }: Trust): string {
  const root = activeIssuer === null ? activeRoot : rootOf(records, activeIssuer);
  if (root !== null) return createHash('sha256').update(root.der).digest('hex');
  throw new CertgateError('CG_CA_UNFINISHED', { problem: 'it has no root on record', request: null });
}
