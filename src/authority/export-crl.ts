// A list for software that gets it as a file: nginx, a verifier without a way to the gate, a company's own distribution.
// It has a number of its own and is about all certificates of its issuer, whether they name a distribution point or not.
// Needs the issuer's key, and no gate. A root signs a list of its own, about issuers, where its key is here: software
// that checks whole chains (nginx does) wants one of each.
import { X509Certificate } from 'node:crypto';
import { CertgateError, shown } from '../errors.ts';
import type { Issuer } from '../pki/certificates.ts';
import { onOneLine } from '../pki/names.ts';
import { issuerFor } from './change.ts';
import { CRL_LIFETIME, entriesOf, type SignedCrl, signCrl } from './crl.ts';
import { isMadeHere } from './generations.ts';
import { type AuthorityPlace, loadAuthority } from './load.ts';

/** A root's key is kept away, and is fetched for this seldom. ms */
const ROOT_CRL_LIFETIME = 365 * CRL_LIFETIME;

/**
 * Signs a list of `issuer`, on record as `actor`'s: a key identifier, `root` for the root of the issuer that issues now, or null for that issuer.
 * `keyFile` is where the key of a root is; null for its place among the others.
 * @throws CG_NOT_FOUND; CG_USAGE for a root, or one below it, that is another CA's; CG_CA_KEY where its key is not here; what `loadAuthority` throws
 */
export async function exportCrl(
  place: AuthorityPlace,
  issuer: string | null,
  keyFile: string | null,
  actor: string,
): Promise<SignedCrl> {
  const { store, trustDomain, clock = Date.now } = place;
  const { signer, lifetime } = await signerFor(place, issuer?.toLowerCase() ?? null, keyFile);
  const entries = await entriesOf(store, signer.keyId, clock());
  const now = clock();
  const crl = await signCrl({ store, issuer: signer, entries, distributionPoint: null, now, lifetime });
  const detail = { issuer: signer.keyId, number: crl.number, revoked: crl.listed };
  await store.addAudit({ time: now, actor, action: 'crl.export', object: trustDomain, detail });
  return crl;
}

async function signerFor(
  place: AuthorityPlace,
  wanted: string | null,
  keyFile: string | null,
): Promise<{ signer: Issuer; lifetime: number }> {
  const { ca } = await loadAuthority(place);
  const own = wanted === null ? ca.issuer : ca.issuers.find(({ keyId }) => keyId === wanted);
  if (own !== undefined) return { signer: own, lifetime: CRL_LIFETIME };
  const { records, activeRoot } = ca.trust;
  const known = wanted === 'root' ? activeRoot : records.find(({ keyId }) => keyId === wanted);
  if (known === null || known === undefined) {
    const problem = `the CA has no such certificate: ${records.map(({ role, keyId }) => `${role} ${keyId}`).join(', ')}`;
    const remedy = 'name one of those, or root; what each is: `certgate ca status`';
    throw new CertgateError('CG_NOT_FOUND', { what: `issuer ${shown(wanted ?? '')}`, problem, remedy });
  }
  const certificate = new X509Certificate(known.der);
  // A list is about all that a CA signs, and a company's, a root or one below it, signs much that is not on record here.
  if (known.role !== 'issuer' && !isMadeHere(known, certificate, place.trustDomain)) {
    const problem = `the ${known.role} ${onOneLine(certificate.subject)} is not one that certgate made`;
    throw new CertgateError('CG_USAGE', { problem, remedy: 'take its list from where its own CA publishes it' });
  }
  const signer = await issuerFor(place, known, keyFile);
  return { signer, lifetime: known.role === 'root' ? ROOT_CRL_LIFETIME : CRL_LIFETIME };
}
