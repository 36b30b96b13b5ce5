// One certificate, from a name to a folder on the disk. The order is the promise: (1) the key is written to a draft of the
// folder, (2) record and audit entry are committed, (3) the certificate joins the draft, (4) the draft takes the
// folder's name. A kill before (2) leaves nothing issued; between (2) and (4) a recorded certificate that nobody has,
// in a draft that only its owner can read and that the next issue to this folder removes; after (4) everything. An error
// after (2) revokes what was recorded but not handed over.
import { join } from 'node:path';
import { spiffeUri } from '../identity/name.ts';
import { generateKey, type KeyKind, privateKeyToPem } from '../pki/keys.ts';
import { requireGranted } from '../pki/requested-names.ts';
import { readRequest } from '../pki/requests.ts';
import type { CertificateRecord } from '../store/store.ts';
import type { Authority } from './authority.ts';
import { PRIVATE_FILE, PUBLIC_FILE } from './files.ts';
import { startOutputFolder } from './output-folder.ts';

export interface DirectoryRequest {
  readonly identity: string;
  readonly profile: 'client' | 'server';
  /** ms */
  readonly ttlMs: number;
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly groups?: readonly string[];
  /** A certificate signing request, PEM or DER: then the key stays where it is. Names it asks for are never taken over. */
  readonly csr?: string | Uint8Array;
  /** What key to make; P-256 when left out. Nothing for a request, which has its own. */
  readonly keyKind?: KeyKind;
  /** The folder to make. */
  readonly out: string;
  readonly actor: string;
  /** Replace a folder that holds nothing but an earlier certificate; false when left out. */
  readonly force?: boolean;
}

export interface IssuedDirectory {
  readonly record: CertificateRecord;
  /** Absolute. */
  readonly path: string;
  /** The files in it, in the order certificate, key (not for a CSR), trust bundle. */
  readonly files: readonly string[];
}

/**
 * Issues into the folder `out`: `tls.crt` (leaf, issuer), `tls.key` (PKCS#8, 0600; not for a CSR), `ca.crt` (root, issuer).
 * @throws CG_OUT_EXISTS, CG_OUT_UNUSABLE, CG_CSR_UNREADABLE, CG_CSR_SIGNATURE, CG_CSR_KEY, CG_CSR_NAME and what
 *   `Authority.issue` throws
 */
export async function issueToDirectory(authority: Authority, request: DirectoryRequest): Promise<IssuedDirectory> {
  const {
    identity,
    profile,
    ttlMs,
    dns = [],
    ip = [],
    groups = [],
    csr,
    keyKind = 'P-256',
    actor,
    force = false,
  } = request;
  const asked = csr === undefined ? null : readRequest(csr);
  if (asked !== null) {
    requireGranted(asked, { identity, spiffeUri: spiffeUri(authority.trustDomain, identity), dns, ip, profile });
  }
  const folder = await startOutputFolder(request.out, { force, withKey: asked === null });
  let record: CertificateRecord | undefined;
  try {
    let publicKey = asked?.publicKey;
    if (publicKey === undefined) {
      const pair = await generateKey(keyKind);
      await folder.write('tls.key', privateKeyToPem(pair.privateKey), PRIVATE_FILE);
      publicKey = pair.publicKey;
    }
    const issued = await authority.issue({ identity, profile, ttlMs, publicKey, dns, ip, groups, actor });
    record = issued.record;
    await folder.write('tls.crt', issued.chainPem, PUBLIC_FILE);
    await folder.write('ca.crt', authority.bundlePem, PUBLIC_FILE);
    await folder.publish();
    const files = asked === null ? ['tls.crt', 'tls.key', 'ca.crt'] : ['tls.crt', 'ca.crt'];
    return { record, path: folder.path, files: files.map((name) => join(folder.path, name)) };
  } catch (error) {
    await folder.discard();
    if (record !== undefined) await withdraw(authority, record.serial, actor);
    throw error;
  }
}

// Nobody has it; if this fails too, it stays in the records as valid, which harms nobody.
async function withdraw(authority: Authority, serial: string, actor: string): Promise<void> {
  await authority.revoke({ serial }, 'cessationOfOperation', actor).catch(() => {});
}
