// http-proxy 1.18.1 in the same Node as certgate: the data path that most people would write (http-proxy-server.ts).

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Contestant, OUTPUT_FILE, profileFlags } from './contestant.ts';

const require = createRequire(import.meta.url);

export const httpProxy: Contestant = {
  name: 'http-proxy',
  absent() {
    try {
      require.resolve('http-proxy');
      return null;
    } catch {
      return 'http-proxy is not installed: npm ci';
    }
  },
  version: () => (require('http-proxy/package.json') as { version: string }).version,
  identityHeader: 'x-client',
  identityValue: (identity) => identity,
  start(place) {
    const { serverChain, serverKey, bundle } = place.certificates;
    const server = join(import.meta.dirname, 'http-proxy-server.ts');
    const log = place.accessLog ? 'log' : 'no-log';
    const args = [serverChain, serverKey, bundle, place.port, place.upstreamPort, log].map(String);
    return place.start(process.execPath, [...profileFlags(place), server, ...args], { ipc: true });
  },
  growingFiles: [OUTPUT_FILE],
};
