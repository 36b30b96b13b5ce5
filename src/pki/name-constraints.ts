// Name constraints (RFC 5280 §4.2.1.10) of a CA above certgate's leaves, as far as they decide whether a leaf can pass: is
// the URI of the trust domain permitted, is the subject, which other names are bound. URIs are compared by their host, as
// OpenSSL does: `.example` is every host below, `a.example` that host alone.
import type { X509Certificate } from 'node:crypto';
import { CertgateError } from '../errors.ts';
import {
  childrenOf,
  contentOf,
  context,
  contextConstructed,
  DerFault,
  encodingOf,
  ofTag,
  readOnly,
  TAG,
  type Tlv,
  toHex,
} from './der.ts';
import { frameOf } from './facts.ts';
import { readGeneralName, showName } from './names.ts';

export interface Subtree {
  readonly type: 'URI' | 'DNS' | 'IP' | 'email' | 'directoryName' | 'other';
  /** An address with its mask, and what is no text, in hex; a directory name as people read it. */
  readonly value: string;
}

export interface NameConstraints {
  readonly permitted: readonly Subtree[];
  readonly excluded: readonly Subtree[];
}

/** Those of a certificate; null when it has none. CG_CERT_UNREADABLE. */
export function constraintsOf(certificate: X509Certificate): NameConstraints | null {
  try {
    const value = frameOf(certificate).extensions.find(({ oid }) => oid === '2.5.29.30')?.value;
    return value === undefined ? null : readNameConstraints(value);
  } catch (error) {
    if (!(error instanceof DerFault)) throw error;
    throw new CertgateError('CG_CERT_UNREADABLE', { problem: error.message }, { cause: error });
  }
}

/** Reads the extension's value. DerFault; also for a minimum or maximum, which nobody supports. */
function readNameConstraints(value: Uint8Array): NameConstraints {
  const lists = childrenOf(value, readOnly(value, TAG.sequence, 'nameConstraints'));
  const of = (tag: number): Subtree[] =>
    lists.filter((list) => list.tag === tag).flatMap((list) => childrenOf(value, list).map((one) => read(value, one)));
  return { permitted: of(contextConstructed(0)), excluded: of(contextConstructed(1)) };
}

function read(value: Uint8Array, subtree: Tlv): Subtree {
  const [base, ...bounds] = childrenOf(value, ofTag(subtree, TAG.sequence, 'nameConstraints'));
  if (base === undefined || bounds.length > 0) throw new DerFault('nameConstraints has a subtree with bounds');
  if (base.tag === context(7)) return { type: 'IP', value: toHex(contentOf(value, base)) };
  if (base.tag === contextConstructed(4)) {
    return { type: 'directoryName', value: showName(value, childrenOf(value, base)[0] ?? base, 'nameConstraints') };
  }
  if ([context(1), context(2), context(6)].includes(base.tag)) return readGeneralName(value, base, 'nameConstraints');
  return { type: 'other', value: toHex(encodingOf(value, base)) };
}

/** Why no leaf of `trustDomain` can pass; null when one can. */
export function constraintProblem({ permitted, excluded }: NameConstraints, trustDomain: string): string | null {
  const uris = valuesOf(permitted, 'URI');
  if (uris.length > 0 && !uris.some((base) => holdsHost(base, trustDomain))) {
    return `permits URIs of ${uris.join(', ')} only, not spiffe://${trustDomain}`;
  }
  const barred = valuesOf(excluded, 'URI').find((base) => holdsHost(base, trustDomain));
  if (barred !== undefined) return `excludes URIs of ${barred === '' ? 'every host' : barred}`;
  // Leaves are called by their identity alone, issuers `CN=certgate issuer …`.
  const names = valuesOf(permitted, 'directoryName');
  if (names.length > 0 && !names.includes('')) return `permits subjects in ${names.join('; ')} only`;
  return valuesOf(excluded, 'directoryName').includes('') ? 'excludes every subject' : null;
}

/** The kinds of names that a leaf may also have and that are bound: DNS names, addresses. */
export function boundKinds({ permitted, excluded }: NameConstraints): readonly ('DNS' | 'IP')[] {
  return (['DNS', 'IP'] as const).filter((type) => [...permitted, ...excluded].some((one) => one.type === type));
}

/** The hosts that URIs may have; none where that is not bound. */
export function permittedHosts({ permitted }: NameConstraints): readonly string[] {
  return valuesOf(permitted, 'URI');
}

function valuesOf(subtrees: readonly Subtree[], type: Subtree['type']): string[] {
  return subtrees.filter((one) => one.type === type).map(({ value }) => value);
}

function holdsHost(base: string, host: string): boolean {
  const [wanted, there] = [base.toLowerCase(), host.toLowerCase()];
  return wanted === '' || (wanted.startsWith('.') ? there.endsWith(wanted) : there === wanted);
}
