// What a sidecar is tested before: a whole gate in this process, with a CA of its own from an hour ago, whose upstream answers at once.

import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { storeFile } from '../../src/authority/layout.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import type { GateOptions } from '../../src/inbound/gate.ts';
import { bind } from '../../src/proxy/connection-set.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { portOf } from '../proxy/plain-proxy.ts';
import { type GateFixture, type GateHouse, openGateHouse } from '../security/gate-fixture.ts';

export const HOUR = 3_600_000;

export interface SidecarHouse {
  /** Upstream's port. */
  upstream(): number;
  /** A gate; closed after the test. */
  gate(different?: Partial<GateOptions>): Promise<GateFixture>;
  /** Issues `worker/etl-1` to `folder`, for `ttlMs` of which `passed` ms are over, on record; answers where that is. */
  issue(folder: string, ttlMs: number, passed?: number): Promise<string>;
}

/** For one test file: begins before its tests, and ends after them. */
export function sidecarHouse(): SidecarHouse {
  let house: GateHouse;
  const upstream = createServer((_request, response) => void response.end('from upstream'));
  beforeAll(async () => {
    house = await openGateHouse({ madeAt: Date.now() - HOUR });
    await bind(upstream, { host: '127.0.0.1', port: 0 });
  });
  afterAll(async () => {
    upstream.close();
    await house.close();
  });
  return {
    upstream: () => portOf(upstream),
    async gate(different) {
      const gate = await house.start(portOf(upstream), different);
      onTestFinished(() => gate.close());
      return gate;
    },
    async issue(folder, ttlMs, passed = 0) {
      const { certsDir } = house;
      const place = dirname(certsDir);
      const store = openSqliteStore(storeFile(join(place, 'state')));
      const clock = (): number => Date.now() - passed;
      const authority = await loadAuthority({ certsDir, store, trustDomain: 'test.internal', clock });
      const out = join(place, folder);
      const request = { identity: 'worker/etl-1', profile: 'client', ttlMs, actor: 'test' } as const;
      await issueToDirectory(authority, { ...request, out, force: true });
      await store.close();
      return out;
    },
  };
}

/** The files of the identity in `dir`. */
export function filesIn(dir: string): { readonly cert: string; readonly key: string; readonly ca: string } {
  return { cert: join(dir, 'tls.crt'), key: join(dir, 'tls.key'), ca: join(dir, 'ca.crt') };
}
