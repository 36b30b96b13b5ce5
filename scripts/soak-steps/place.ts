// What a soak runs against: an installation of certgate in a temporary folder, the upstream, a gate whose own certificate
// renews every few minutes, a sidecar; and ways to connect to them.

import { mkdtemp, rm } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storeFile } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { generateKey, privateKeyToPem } from '../../src/pki/keys.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Echo } from '../../test/e2e/harness/echo.ts';
import { credentialsIn, makeHouse, type Serving } from '../../test/e2e/harness/house.ts';
import { stopAll } from '../../test/e2e/harness/processes.ts';
import type { Credentials } from '../../test/e2e/harness/wire.ts';
import { INSPECTED } from './probe.ts';
import { startUpstream } from './upstream.ts';

export interface Place {
  readonly gate: Serving;
  readonly sidecar: Serving & { readonly url: string };
  readonly upstream: Echo;
  /** The sidecar's identity, whose files are written anew now and then. */
  readonly identityDir: string;
  readonly credentials: Required<Credentials>;
  /** Of another CA. */
  readonly stranger: Required<Credentials>;
  /** Kept connections: to the sidecar, and to the gate itself. */
  readonly plain: HttpAgent;
  readonly mutual: HttpsAgent;
  /** A new certificate of this CA. */
  issue(identity: string): Promise<Required<Credentials>>;
  revoke(identity: string): Promise<void>;
  stop(): Promise<void>;
}

const HOUR = 3_600_000;
/** The least there is: the gate renews its certificate about every three minutes. */
const SERVER_TTL = '5m';

export async function makePlace(): Promise<Place> {
  const dir = await mkdtemp(join(tmpdir(), 'certgate-soak-'));
  const [house, other] = await Promise.all([makeHouse(join(dir, 'house')), makeHouse(join(dir, 'other'))]);
  const identityDir = await house.issue('worker/soak');
  const [credentials, stranger] = await Promise.all([
    credentialsIn(identityDir),
    other.issue('worker/soak').then(credentialsIn),
  ]);
  const upstream = await startUpstream();
  const gate = await house.serve({
    upstream: upstream.url,
    env: { ...INSPECTED, CERTGATE_SERVE_SERVER_TTL: SERVER_TTL },
  });
  const sidecar = await house.connect(gate, identityDir, [], INSPECTED);
  const store = openSqliteStore(storeFile(join(house.dir, 'state')));
  const trustDomain = (await store.meta('trustDomain')) ?? '';
  const authority = await loadAuthority({ certsDir: join(house.dir, 'certs'), store, trustDomain });
  const ca = credentials.ca;
  const plain = new HttpAgent({ keepAlive: true, maxSockets: 16, timeout: 60_000 });
  const mutual = new HttpsAgent({
    keepAlive: true,
    maxSockets: 16,
    timeout: 60_000,
    ...credentials,
    ca: stranger.ca + ca,
  });
  return {
    gate,
    sidecar,
    upstream,
    identityDir,
    credentials,
    // It trusts our gate, so that the refusal is the gate's.
    stranger: { ...stranger, ca },
    plain,
    mutual,
    async issue(identity) {
      const key = await generateKey('P-256');
      const issued = await authority.issue({
        identity,
        profile: 'client',
        ttlMs: HOUR,
        publicKey: key.publicKey,
        actor: 'soak',
      });
      return { cert: issued.chainPem, key: privateKeyToPem(key.privateKey), ca };
    },
    revoke: async (identity) => void (await authority.revoke({ identity }, 'superseded', 'soak')),
    async stop() {
      plain.destroy();
      mutual.destroy();
      await stopAll();
      await upstream.stop();
      await store.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
