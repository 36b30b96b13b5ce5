// The least that a proxy in Node costs: its TLS, spliced. No competitor, but what says where a figure of certgate's is Node's.

import { join } from 'node:path';
import { type Contestant, OUTPUT_FILE, profileFlags } from './contestant.ts';

export const nodeTls: Contestant = {
  name: 'node-tls',
  absent: () => null,
  version: () => process.versions.node,
  identityHeader: null,
  identityValue: (identity) => identity,
  start(place) {
    const { serverChain, serverKey, bundle } = place.certificates;
    const server = join(import.meta.dirname, 'node-tls-server.ts');
    const args = [serverChain, serverKey, bundle, place.port, place.upstreamPort].map(String);
    return place.start(process.execPath, [...profileFlags(place), server, ...args], { ipc: true });
  },
  descriptorsPerClient: 2,
  growingFiles: [OUTPUT_FILE],
};
