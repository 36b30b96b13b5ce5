// A contestant that is an npm package in the same Node as certgate, behind the front of node-front.ts.

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Contestant, OUTPUT_FILE, profileFlags } from './contestant.ts';

const packages = resolve(import.meta.dirname, '../../../node_modules');

/** `name` is the package; its server is NAME-server.ts in this folder. */
export function nodeContestant(name: string): Contestant {
  const manifest = join(packages, name, 'package.json');
  return {
    name,
    absent: () => (existsSync(manifest) ? null : `${name} is not installed: npm ci`),
    version: () => (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version,
    identityHeader: 'x-client',
    identityValue: (identity) => identity,
    start(place) {
      const { serverChain, serverKey, bundle } = place.certificates;
      const server = join(import.meta.dirname, `${name}-server.ts`);
      const log = place.accessLog ? 'log' : 'no-log';
      const args = [serverChain, serverKey, bundle, place.port, place.upstreamPort, log].map(String);
      return place.start(process.execPath, [...profileFlags(place), server, ...args], { ipc: true });
    },
    descriptorsPerClient: 1,
    growingFiles: [OUTPUT_FILE],
  };
}
