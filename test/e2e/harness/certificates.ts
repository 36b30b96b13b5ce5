// Certificates that no command of certgate makes, for what a gate must refuse or end: expired, about to expire, for
// servers, or signed by the issuer's key behind the records' back. Made with certgate's own authority and a false clock.

import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openAuthority } from '../../../src/authority/authority.ts';
import { createLeaf, derToPem, type Issuer, newSerial } from '../../../src/pki/certificates.ts';
import { generateKey, keyId, privateKeyFromPem, privateKeyToPem } from '../../../src/pki/keys.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import type { House } from './house.ts';
import type { Credentials } from './wire.ts';

const SHORTEST_TTL = 300_000;
const TRUST_DOMAIN = 'certgate.internal';

/** A recorded certificate that ends at `notAfter`, ms since the epoch; its validity may lie wholly in the past. */
export async function issueUntil(
  home: House,
  identity: string,
  notAfter: number,
  profile: 'client' | 'server' = 'client',
): Promise<Required<Credentials>> {
  const { issuer, rootPem } = await issuerOf(home);
  const store = openSqliteStore(join(home.dir, 'state/certgate.db'));
  try {
    const key = await generateKey();
    const clock = (): number => notAfter - SHORTEST_TTL;
    const authority = openAuthority({ store, issuer, rootPem, trustDomain: TRUST_DOMAIN, clock });
    const issued = await authority.issue({
      identity,
      profile,
      ttlMs: SHORTEST_TTL,
      publicKey: key.publicKey,
      actor: 'test',
    });
    return { cert: issued.chainPem, key: privateKeyToPem(key.privateKey), ca: authority.bundlePem };
  } finally {
    await store.close();
  }
}

/** A certificate signed with the issuer's key that stands in no record. */
export async function signUnrecorded(home: House, identity: string): Promise<Required<Credentials>> {
  const { issuer, rootPem } = await issuerOf(home);
  const key = await generateKey();
  const der = await createLeaf({
    profile: 'client',
    subjectCommonName: identity,
    spiffeUri: `spiffe://${TRUST_DOMAIN}/${identity}`,
    publicKey: key.publicKey,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    serial: newSerial(),
    issuer,
  });
  const issuerPem = derToPem(issuer.certificate.raw, 'CERTIFICATE');
  return {
    cert: derToPem(der, 'CERTIFICATE') + issuerPem,
    key: privateKeyToPem(key.privateKey),
    ca: rootPem + issuerPem,
  };
}

async function issuerOf(home: House): Promise<{ readonly issuer: Issuer; readonly rootPem: string }> {
  const read = async (name: string): Promise<string> => await readFile(join(home.dir, 'certs', name), 'utf8');
  const certificate = new X509Certificate(await read('issuer.crt'));
  const privateKey = privateKeyFromPem(await read('issuer.key'));
  return { issuer: { certificate, privateKey, keyId: keyId(certificate.publicKey) }, rootPem: await read('root.crt') };
}
