// What follows from the CA's certificates and their states: whom to trust, what to show a peer, which bundle everybody
// should have. Pure: records in, PEM and sets out. Whatever is not `retired` is trusted, so that a rotation has both
// sides trusted until the old one has nothing left that lives.
import { bundleIdOf } from '../pki/bundle-signature.ts';
import { derToPem } from '../pki/pem.ts';
import type { CaRecord, CaState } from '../store/store.ts';

export interface Trust {
  readonly records: readonly CaRecord[];
  /** Null until an issuer's certificate was imported. */
  readonly activeIssuer: CaRecord | null;
  readonly activeRoot: CaRecord | null;
  /** Roots, intermediates, issuers, the active one of each first: what others verify with. PEM. */
  readonly bundlePem: string;
  /** SHA-256 of `bundlePem`, hex: which bundle somebody has. */
  readonly bundleId: string;
  /** When the CA last changed, ms since the epoch: `Store.changeCa` has it grow with each change. */
  readonly bundleNumber: number;
  /** The issuers alone, PEM: whose leaves a gate lets in. A root may be a company's, which signs much else. */
  readonly issuersPem: string;
  /** Key identifiers of those issuers. */
  readonly issuers: ReadonlySet<string>;
}

const rank: Readonly<Record<CaState, number>> = { active: 0, prepared: 1, retiring: 2, retired: 3 };

/** What `records`, ordered as `Store.listCa` does, say. */
export function trustIn(records: readonly CaRecord[]): Trust {
  const trusted = (['root', 'intermediate', 'issuer'] as const).flatMap((role) =>
    records
      .filter((record) => record.role === role && record.state !== 'retired')
      .toSorted((a, b) => rank[a.state] - rank[b.state] || a.generation - b.generation),
  );
  const issuers = trusted.filter(({ role }) => role === 'issuer');
  const bundlePem = trusted.map(pemOf).join('');
  const active = (role: CaRecord['role']): CaRecord | null =>
    trusted.find((record) => record.role === role && record.state === 'active') ?? null;
  return {
    records,
    activeIssuer: active('issuer'),
    activeRoot: active('root'),
    bundlePem,
    bundleId: bundleIdOf(bundlePem),
    bundleNumber: Math.max(1, ...records.map(({ changedAt }) => changedAt)),
    issuersPem: issuers.map(pemOf).join(''),
    issuers: new Set(issuers.map(({ keyId }) => keyId)),
  };
}

/** From `issuer` up to, but without, its root: what a TLS peer is to be shown after its leaf. */
export function chainOf(records: readonly CaRecord[], issuer: CaRecord): readonly CaRecord[] {
  const chain: CaRecord[] = [];
  for (let one: CaRecord | undefined = issuer; one !== undefined && one.role !== 'root' && !chain.includes(one); ) {
    chain.push(one);
    const { parent }: CaRecord = one;
    one = records.find(({ keyId }) => keyId === parent);
  }
  return chain;
}

/** The CA with the key identifier `keyId` and those above it, up to its root. */
export function knownAbove(records: readonly CaRecord[], keyId: string): readonly CaRecord[] {
  const one = records.find((record) => record.keyId === keyId);
  if (one === undefined) return [];
  const root = rootOf(records, one);
  return [...chainOf(records, one), ...(root === null ? [] : [root])];
}

/** The root that `record` chains to; itself for a root. Null when the records are not whole. */
export function rootOf(records: readonly CaRecord[], record: CaRecord): CaRecord | null {
  const top = chainOf(records, record).at(-1) ?? record;
  return records.find(({ keyId, role }) => keyId === top.parent && role === 'root') ?? null;
}

/** All that chain to `root`, without it: issuers and intermediates. */
export function below(records: readonly CaRecord[], root: CaRecord): readonly CaRecord[] {
  return records.filter((record) => record.role !== 'root' && rootOf(records, record)?.keyId === root.keyId);
}

/** The next generation's number in `role`. */
export function nextGeneration(records: readonly CaRecord[], role: CaRecord['role']): number {
  return Math.max(0, ...records.filter((record) => record.role === role).map(({ generation }) => generation)) + 1;
}

/** The records of a CA are few, and each leaf is handed out with those above it. */
const pems = new WeakMap<CaRecord, string>();

export function pemOf(record: CaRecord): string {
  let pem = pems.get(record);
  if (pem === undefined) {
    pem = derToPem(record.der, 'CERTIFICATE');
    pems.set(record, pem);
  }
  return pem;
}
