// Certificates that no command of certgate makes, for what a gate must refuse or end: expired, about to expire, for
// servers, or signed by the issuer's key behind the records' back. Made with certgate's own pki and store.

import { createHash, X509Certificate } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLeaf, derToPem, factsOf, type Issuer, newSerial, signerOf } from '../../../src/pki/certificates.ts';
import { generateKey, keyId, privateKeyFromPem, privateKeyToPem } from '../../../src/pki/keys.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import type { CertificateRecord } from '../../../src/store/store.ts';
import type { House } from './house.ts';
import type { Credentials } from './wire.ts';

const TRUST_DOMAIN = 'certgate.internal';

export interface Leaf {
  readonly identity: string;
  /** ms since the epoch; X.509 counts whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly profile?: 'client' | 'server';
  /** Whether it stands in the records. */
  readonly recorded: boolean;
  /** How long the one lives that it is renewed by, ms; absent for as long as it does. */
  readonly renewedFor?: number;
}

/** Signs `leaf` with the key of the house's issuer. */
export async function sign(home: Pick<House, 'dir'>, leaf: Leaf): Promise<Required<Credentials>> {
  const { issuer, rootPem } = await issuerOf(home);
  const { identity, profile = 'client' } = leaf;
  const key = await generateKey();
  const der = await createLeaf({
    profile,
    subjectCommonName: identity,
    spiffeUri: `spiffe://${TRUST_DOMAIN}/${identity}`,
    publicKey: key.publicKey,
    notBefore: new Date(leaf.notBefore),
    notAfter: new Date(leaf.notAfter),
    serial: newSerial(),
    issuer,
  });
  if (leaf.recorded) {
    const { notBefore, notAfter, renewedFor } = leaf;
    const wanted = renewedFor === undefined ? {} : { wantedTtl: renewedFor };
    await record(home, der, { identity, profile, notBefore, notAfter, ...wanted });
  }
  const issuerPem = derToPem(issuer.certificate.raw, 'CERTIFICATE');
  const cert = derToPem(der, 'CERTIFICATE') + issuerPem;
  return { cert, key: privateKeyToPem(key.privateKey), ca: rootPem + issuerPem };
}

/** As `sign`, into a new folder `dir`, as `certgate issue` lays it out. */
export async function signInto(home: Pick<House, 'dir'>, dir: string, leaf: Leaf): Promise<void> {
  const { cert, key, ca } = await sign(home, leaf);
  await mkdir(dir, { mode: 0o700 });
  await Promise.all([
    writeFile(join(dir, 'tls.crt'), cert),
    writeFile(join(dir, 'tls.key'), key, { mode: 0o600 }),
    writeFile(join(dir, 'ca.crt'), ca),
  ]);
}

async function record(
  home: Pick<House, 'dir'>,
  der: Uint8Array,
  facts: Pick<CertificateRecord, 'identity' | 'profile' | 'notBefore' | 'notAfter' | 'wantedTtl'>,
): Promise<void> {
  const store = openSqliteStore(join(home.dir, 'state/certgate.db'));
  try {
    const { serial, issuer } = factsOf(new X509Certificate(der));
    const now = Date.now();
    await store.addCertificate(
      {
        ...facts,
        serial,
        issuer,
        subject: `CN=${facts.identity}`,
        fingerprint: createHash('sha256').update(der).digest('hex'),
        der,
        issuedAt: facts.notBefore,
        revokedAt: null,
        reason: null,
      },
      { time: now, actor: 'test', action: 'certificate.issue', object: facts.identity, detail: { serial } },
    );
  } finally {
    await store.close();
  }
}

async function issuerOf(home: Pick<House, 'dir'>): Promise<{ readonly issuer: Issuer; readonly rootPem: string }> {
  const read = async (name: string): Promise<string> => await readFile(join(home.dir, 'certs', name), 'utf8');
  const certificate = new X509Certificate(await read('issuer.crt'));
  const privateKey = privateKeyFromPem(await read('issuer.key'));
  return {
    issuer: { certificate, signer: signerOf(privateKey), keyId: keyId(certificate.publicKey) },
    rootPem: await read('root.crt'),
  };
}
