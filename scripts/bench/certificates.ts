// The run's certificates, all from certgate's own CA, in a folder that goes when the run ends: `certgate init` and
// `certgate issue` for the client, as a user would; and one server certificate of the same CA for the other contestants
// (certgate serve issues its own). It asks for no openssl.

import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { storeFile } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { generateKey, privateKeyToPem } from '../../src/pki/keys.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';

export const TRUST_DOMAIN = 'bench.test';

/** Whose certificate the load generator presents. */
export const IDENTITY = 'worker/bench';

/** Paths of PEM files, but for the folder that `certgate init` filled. */
export interface Certificates {
  readonly authorityDir: string;
  readonly bundle: string;
  readonly serverChain: string;
  readonly serverKey: string;
  readonly clientChain: string;
  readonly clientKey: string;
}

const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const DAY_MS = 86_400_000;

async function run(cwd: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(process.execPath, [main, ...args], { cwd });
}

/** A server certificate for localhost, as nginx, HAProxy and http-proxy need one. */
async function makeServerCertificate(authorityDir: string, chainFile: string, keyFile: string): Promise<void> {
  const store = openSqliteStore(storeFile(join(authorityDir, 'state')));
  try {
    const authority = await loadAuthority({ certsDir: join(authorityDir, 'certs'), store, trustDomain: TRUST_DOMAIN });
    const key = await generateKey('P-256');
    const issued = await authority.issue({
      identity: 'gate/bench',
      profile: 'server',
      ttlMs: DAY_MS,
      publicKey: key.publicKey,
      dns: ['localhost'],
      ip: ['127.0.0.1'],
      actor: 'bench',
    });
    await writeFile(chainFile, issued.chainPem);
    await writeFile(keyFile, privateKeyToPem(key.privateKey), { mode: 0o600 });
  } finally {
    await store.close();
  }
}

/** Makes a CA and the run's certificates in `dir`, which it creates. */
export async function makeCertificates(dir: string): Promise<Certificates> {
  const clientDir = join(dir, 'client');
  await run('.', ['init', '--dir', dir, '--trust-domain', TRUST_DOMAIN]);
  await run(dir, ['issue', IDENTITY, '--out', clientDir]);
  // Who may do everything is decided about like anyone else.
  await writeFile(join(dir, 'policy.yaml'), "bindings: [{role: Owner, match: '.+'}]\n");
  const certificates: Certificates = {
    authorityDir: dir,
    bundle: join(dir, 'certs', 'ca.crt'),
    serverChain: join(dir, 'server.crt'),
    serverKey: join(dir, 'server.key'),
    clientChain: join(clientDir, 'tls.crt'),
    clientKey: join(clientDir, 'tls.key'),
  };
  await makeServerCertificate(dir, certificates.serverChain, certificates.serverKey);
  return certificates;
}
