// Rotation of the issuer and of the root, in steps that each can be taken back (`rollback…`). The issuer needs one step:
// whoever trusts the root trusts the new issuer at once, and the old one stays trusted until its last leaf has ended. The
// root needs three: prepare (both are trusted, the bundle reaches everybody), activate (the new one issues), retire (the
// old one is trusted no more). No step leaves anybody behind unasked: activation names who has not taken the bundle,
// retirement names whose certificate still chains to the old root, and both are refused then.
import { CertgateError } from '../errors.ts';
import { readCertificate } from '../pki/certificates.ts';
import type { CaRecord, CaState } from '../store/store.ts';
import { applyChange, type CaChanged, type CaPlace, freeGeneration, issuerFor, recordsOf } from './change.ts';
import { type Generation, newIssuer, newRoot } from './generations.ts';
import { below, rootOf, trustIn } from './trust.ts';

/** At which part of its life an issuer is rotated by itself. */
const ISSUER_ROTATES_AT = 2 / 3;

/** When the issuer is to be rotated, ms since the epoch. */
export function rotationTime(issuer: CaRecord): number {
  const { validFromDate, validToDate } = readCertificate(issuer.der);
  const [from, until] = [validFromDate.getTime(), validToDate.getTime()];
  return Math.floor(from + (until - from) * ISSUER_ROTATES_AT);
}

/**
 * A new issuer under whoever signed the present one, with that one's key (`signerKey`, else where the layout has it). It
 * issues from now on; the old one is `retiring`.
 * @throws CG_CA_KEY, CG_CA_CHANGED, CG_CA_FILE, CG_CA_EXPIRED, CG_STORE_*
 */
export async function rotateIssuer(place: CaPlace, signerKey: string | null = null): Promise<CaChanged> {
  const { certsDir, trustDomain, clock = Date.now } = place;
  const records = await recordsOf(place);
  const old = requireActive(records, 'issuer');
  const above = records.find(({ keyId }) => keyId === old.parent) ?? requireActive(records, 'root');
  const signer = await issuerFor(place, above, signerKey);
  const generation = await freeGeneration(records, 'issuer', certsDir);
  const made = await newIssuer({ trustDomain, generation, state: 'active', now: clock() }, signer);
  return applyChange(place, { action: 'ca.rotate-issuer', states: [move(old, 'retiring')], made: [made] });
}

/** The issuer before the present one issues again; the present one is `retiring`. CG_CA_STEP when there is none. */
export async function rollbackIssuer(place: CaPlace): Promise<CaChanged> {
  const records = await recordsOf(place);
  const active = requireActive(records, 'issuer');
  const root = rootOf(records, active);
  const before = latest(records, 'issuer', 'retiring', (one) => rootOf(records, one) === root);
  if (before === null) throw step('there is no earlier issuer under the same root', 'certgate ca status');
  await requireUsable(place, before);
  return applyChange(place, {
    action: 'ca.rotate-issuer.rollback',
    states: [move(active, 'retiring'), move(before, 'active')],
  });
}

/** What a new root is made of. */
export interface RootPreparation {
  /** Where the new root's key goes; `certsDir` when left out. */
  readonly keyDir?: string;
}

/** A new root and an issuer under it, trusted, not yet issuing. CG_CA_STEP when there is one already; CG_CA_FILE. */
export async function prepareRoot(place: CaPlace, { keyDir }: RootPreparation = {}): Promise<CaChanged> {
  const { certsDir, trustDomain, clock = Date.now } = place;
  const records = await recordsOf(place);
  requireActive(records, 'issuer');
  const waiting = records.find(({ role, state }) => role === 'root' && state === 'prepared');
  if (waiting !== undefined) {
    throw step(`root ${waiting.generation} is prepared already`, 'certgate ca rotate root activate');
  }
  const common = { trustDomain, state: 'prepared', now: clock() } as const;
  const generation = await freeGeneration(records, 'root', certsDir, keyDir);
  const root = await newRoot({ ...common, generation });
  const issuer: Generation = await newIssuer(
    { ...common, generation: await freeGeneration(records, 'issuer', certsDir) },
    root.issuer,
  );
  return applyChange(place, {
    action: 'ca.rotate-root.prepare',
    made: [root, issuer],
    ...(keyDir === undefined ? {} : { rootKeyDir: keyDir }),
  });
}

/** The prepared root and its issuer are trusted no more. CG_CA_STEP when there is none. */
export async function rollbackPrepare(place: CaPlace): Promise<CaChanged> {
  const records = await recordsOf(place);
  const root = requirePrepared(records);
  requireNotIssuing(records, root);
  const states = [root, ...below(records, root)].filter(({ state }) => state !== 'retired');
  const live = await liveOf(place, below(records, root));
  if (live.length > 0) throw new CertgateError('CG_CA_IN_USE', { root: root.generation, identities: live });
  return applyChange(place, {
    action: 'ca.rotate-root.prepare.rollback',
    states: states.map((one) => move(one, 'retired')),
  });
}

/**
 * The prepared root's issuer issues from now on; the old root and all below it are `retiring`.
 * @throws CG_CA_STEP, CG_CA_BUNDLE when somebody has not taken the bundle with both, unless `withoutWaiting`
 */
export async function activateRoot(place: CaPlace, withoutWaiting: boolean): Promise<CaChanged> {
  const { store, clock = Date.now } = place;
  const records = await recordsOf(place);
  const root = requirePrepared(records);
  const issuer = latest(records, 'issuer', 'prepared', (one) => rootOf(records, one) === root);
  if (issuer === null) throw step(`root ${root.generation} has no issuer`, 'certgate ca status');
  await requireUsable(place, issuer);
  if (!withoutWaiting) {
    const missing = await store.identitiesWithout(trustIn(records).bundleId, clock());
    if (missing.length > 0) throw new CertgateError('CG_CA_BUNDLE', { identities: missing });
  }
  const old = requireActive(records, 'root');
  const goes = [old, ...below(records, old)].filter(({ state }) => state === 'active');
  return applyChange(place, {
    action: 'ca.rotate-root.activate',
    states: [...goes.map((one) => move(one, 'retiring')), move(root, 'active'), move(issuer, 'active')],
  });
}

/** The root before the present one, and its last issuer, issue again; the present ones are `prepared`. CG_CA_STEP. */
export async function rollbackActivate(place: CaPlace): Promise<CaChanged> {
  const records = await recordsOf(place);
  const [root, issuer] = [requireActive(records, 'root'), requireActive(records, 'issuer')];
  const old = latest(records, 'root', 'retiring');
  if (old === null) throw step('no earlier root is trusted any more', 'certgate ca rotate root retire --rollback');
  const before = latest(records, 'issuer', 'retiring', (one) => rootOf(records, one) === old);
  if (before === null) throw step(`root ${old.generation} has no issuer`, 'certgate ca status');
  await requireUsable(place, before);
  const between = below(records, old).filter(({ role, state }) => role === 'intermediate' && state === 'retiring');
  return applyChange(place, {
    action: 'ca.rotate-root.activate.rollback',
    states: [
      ...[move(issuer, 'prepared'), move(root, 'prepared')],
      ...[old, before, ...between].map((one) => move(one, 'active')),
    ],
  });
}

/**
 * Roots that are `retiring` are trusted no more, nor is anything below them.
 * @throws CG_CA_STEP when there is none; CG_CA_IN_USE when a live identity still chains to one
 */
export async function retireRoot(place: CaPlace): Promise<CaChanged> {
  const records = await recordsOf(place);
  const roots = records.filter(({ role, state }) => role === 'root' && state === 'retiring');
  if (roots.length === 0) throw step('no root is retiring', 'certgate ca status');
  for (const root of roots) {
    requireNotIssuing(records, root);
    const live = await liveOf(place, below(records, root));
    if (live.length > 0) throw new CertgateError('CG_CA_IN_USE', { root: root.generation, identities: live });
  }
  const goes = roots.flatMap((root) => [root, ...below(records, root)]).filter(({ state }) => state !== 'retired');
  return applyChange(place, { action: 'ca.rotate-root.retire', states: goes.map((one) => move(one, 'retired')) });
}

/**
 * The root that was retired last, and what was retired with it, are trusted again. A root that was withdrawn before it
 * ever issued, or retired before the present one issued, is never brought back. CG_CA_STEP when there is none.
 */
export async function rollbackRetire(place: CaPlace): Promise<CaChanged> {
  const records = await recordsOf(place);
  const { generation, changedAt: since } = requireActive(records, 'root');
  const root = latest(records, 'root', 'retired', (one) => one.generation < generation && one.changedAt >= since);
  if (root === null) throw step(`no root was retired since root ${generation} issues`, 'certgate ca status');
  const together = [root, ...below(records, root)].filter(
    ({ state, changedAt }) => state === 'retired' && changedAt === root.changedAt,
  );
  return applyChange(place, {
    action: 'ca.rotate-root.retire.rollback',
    states: together.map((one) => move(one, 'retiring')),
  });
}

/**
 * Retires issuers under trusted roots that are `retiring` and have no live leaf; null when there are none. `waits` keeps, by key
 * identifier, until when one need not be looked at again, ms since the epoch: of a million leaves that takes a quarter of a second.
 */
export async function retireIssuers(place: CaPlace, waits = new Map<string, number>()): Promise<CaChanged | null> {
  const { store, clock = Date.now } = place;
  const records = await recordsOf(place);
  const done: CaRecord[] = [];
  for (const one of records) {
    if (one.role !== 'issuer' || one.state !== 'retiring') continue;
    if (rootOf(records, one)?.state !== 'active') continue;
    const now = clock();
    if (now - one.changedAt < SETTLING || now < (waits.get(one.keyId) ?? 0)) continue;
    const end = await store.lastEnd(one.keyId, now);
    // The last may be revoked before its end.
    if (end === null) done.push(one);
    else waits.set(one.keyId, Math.min(end, now + LOOK_AGAIN));
  }
  if (done.length === 0) return null;
  return applyChange(place, { action: 'ca.retire-issuer', states: done.map((one) => move(one, 'retired')) });
}

/** How long an issuer stays after it stopped issuing, ms: the gates' own certificates by it end within that. */
const SETTLING = 7 * 86_400_000;
/** How often an issuer that has live leaves is looked at again, ms. */
const LOOK_AGAIN = 86_400_000;

async function liveOf({ store, clock = Date.now }: CaPlace, issuers: readonly CaRecord[]): Promise<readonly string[]> {
  const live = new Set<string>();
  for (const { keyId, role } of issuers) {
    if (role !== 'issuer') continue;
    for (const identity of await store.liveIdentities(keyId, clock())) live.add(identity);
  }
  return [...live].toSorted();
}

// What can't sign, or has ended, must not be what issues.
async function requireUsable(place: CaPlace, issuer: CaRecord): Promise<void> {
  const { certificate } = await issuerFor(place, issuer, null);
  if ((place.clock ?? Date.now)() < certificate.validToDate.getTime()) return;
  const ended = certificate.validToDate.toISOString();
  throw step(`issuer ${issuer.generation} expired at ${ended}`, 'certgate ca rotate issuer');
}

// Nothing could be issued any more, and no step would lead back.
function requireNotIssuing(records: readonly CaRecord[], root: CaRecord): void {
  const issuer = below(records, root).find(({ role, state }) => role === 'issuer' && state === 'active');
  if (issuer === undefined) return;
  throw step(
    `issuer ${issuer.generation}, which issues, is below root ${root.generation}`,
    'certgate ca rotate issuer',
  );
}

function move({ keyId, state }: CaRecord, to: CaState): { keyId: string; from: CaState; to: CaState } {
  return { keyId, from: state, to };
}

function latest(
  records: readonly CaRecord[],
  role: CaRecord['role'],
  state: CaState,
  among: (record: CaRecord) => boolean = () => true,
): CaRecord | null {
  const found = records.filter((one) => one.role === role && one.state === state && among(one));
  return found.toSorted((a, b) => b.changedAt - a.changedAt || b.generation - a.generation)[0] ?? null;
}

function requireActive(records: readonly CaRecord[], role: 'root' | 'issuer'): CaRecord {
  const active = records.find((one) => one.role === role && one.state === 'active');
  if (active !== undefined) return active;
  throw new CertgateError('CG_CA_UNFINISHED', { problem: `it has no active ${role}`, request: null });
}

function requirePrepared(records: readonly CaRecord[]): CaRecord {
  const root = records.find(({ role, state }) => role === 'root' && state === 'prepared');
  if (root !== undefined) return root;
  throw step('no root is prepared', 'certgate ca rotate root prepare');
}

function step(problem: string, remedy: string): CertgateError {
  return new CertgateError('CG_CA_STEP', { problem, remedy });
}
