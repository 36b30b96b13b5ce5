// HAProxy as a careful operator would set it up for this job: one thread, TLS 1.3 with client certificates, no session
// tickets, upstream connections shared between clients, the `httplog` format (to a file through stdout, not through syslog).

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, versionText } from '../processes.ts';
import { type Contestant, OUTPUT_FILE, type Place } from './contestant.ts';

function configuration(place: Place, pemFile: string): string {
  return `
global
  nbthread 1
  maxconn 10100
  no strict-limits
  ${place.accessLog ? 'log stdout format raw daemon' : ''}
defaults
  mode http
  ${place.accessLog ? 'log global\n  option httplog' : ''}
  timeout connect 5s
  timeout client 75s
  timeout server 75s
  timeout http-keep-alive 75s
  timeout tunnel 1h
frontend inbound
  bind 127.0.0.1:${place.port} ssl crt ${pemFile} ca-file ${place.certificates.bundle} verify required ssl-min-ver TLSv1.3 no-tls-tickets
  http-request set-header X-Client %[ssl_c_s_dn]
  default_backend bench
backend bench
  http-reuse always
  server one 127.0.0.1:${place.upstreamPort}
`;
}

export const haproxy: Contestant = {
  name: 'haproxy',
  absent: () => (findProgram('haproxy') === null ? 'no haproxy on this machine: apt-get install haproxy' : null),
  version: () => /version (\S+)/i.exec(versionText(findProgram('haproxy') ?? 'haproxy', '-v'))?.[1] ?? 'unknown',
  identityHeader: 'x-client',
  identityValue: (identity) => `CN=${identity}`,
  start(place) {
    const pemFile = join(place.dir, 'server.pem');
    const { serverChain, serverKey } = place.certificates;
    writeFileSync(pemFile, `${readFileSync(serverChain, 'utf8')}${readFileSync(serverKey, 'utf8')}`, { mode: 0o600 });
    const file = join(place.dir, 'haproxy.cfg');
    writeFileSync(file, configuration(place, pemFile));
    return place.start(findProgram('haproxy') ?? 'haproxy', ['-db', '-f', file]);
  },
  descriptorsPerClient: 1,
  growingFiles: [OUTPUT_FILE],
};
