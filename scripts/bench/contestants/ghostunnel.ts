// ghostunnel as its README starts it: a TLS front that lets one SPIFFE identity in and splices bytes. It reads no HTTP, so
// it adds no identity header and writes a line per connection, not per request. It keeps session tickets: no flag ends them.

import { existsSync } from 'node:fs';
import { TRUST_DOMAIN } from '../certificates.ts';
import { findProgram } from '../processes.ts';
import { type Contestant, OUTPUT_FILE } from './contestant.ts';
import { buildGhostunnel, GHOSTUNNEL_VERSION, ghostunnelProgram } from './ghostunnel-build.ts';

export const ghostunnel: Contestant = {
  name: 'ghostunnel',
  async absent() {
    if (existsSync(ghostunnelProgram)) return null;
    if (findProgram('go') === null) return 'no go on this machine to build it with: apt-get install golang-go';
    try {
      process.stderr.write('building ghostunnel, once (a minute or two)\n');
      await buildGhostunnel();
      return null;
    } catch (error) {
      return `it could not be built: ${(error instanceof Error ? error.message : String(error)).slice(0, 600)}`;
    }
  },
  version: () => GHOSTUNNEL_VERSION,
  identityHeader: null,
  identityValue: (identity) => identity,
  start(place) {
    const { serverChain, serverKey, bundle } = place.certificates;
    const args = ['server', '--cert', serverChain, '--key', serverKey, '--cacert', bundle];
    args.push('--listen', `127.0.0.1:${place.port}`, '--target', `127.0.0.1:${place.upstreamPort}`);
    args.push('--allow-uri', `spiffe://${TRUST_DOMAIN}/**`);
    // Its sandbox can't be had everywhere; where it can, it costs nothing per request.
    args.push('--disable-landlock', '--shutdown-timeout=1s');
    if (!place.accessLog) args.push('--quiet=all');
    return place.start(ghostunnelProgram, args);
  },
  descriptorsPerClient: 2,
  growingFiles: [OUTPUT_FILE],
};
