// nginx as a careful operator would set it up for this job: one worker, TLS 1.3 with client certificates, no session
// tickets, keep-alive on both sides without nginx's usual end after 1000 requests, the `combined` access log. And the same
// with the session settings that nginx has by itself, which are most users': two tickets after each handshake.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, versionText } from '../processes.ts';
import type { Contestant, Place } from './contestant.ts';

const NO_SESSIONS = ['ssl_session_cache off;', 'ssl_session_tickets off;', 'ssl_conf_command NumTickets 0;'];

function configuration(place: Place, sessions: readonly string[]): string {
  const { certificates } = place;
  return `
daemon off;
pid ${place.dir}/nginx.pid;
error_log stderr warn;
worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 16384; }
http {
  access_log ${place.accessLog ? `${place.dir}/access.log combined` : 'off'};
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((k) => `${k}_temp_path ${place.dir}/${k};`).join('\n  ')}
  keepalive_requests 100000000;
  map $http_upgrade $connection_header { default upgrade; '' ''; }
  upstream bench { server 127.0.0.1:${place.upstreamPort}; keepalive 64; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${place.port} ssl backlog=1024;
    ssl_certificate ${certificates.serverChain};
    ssl_certificate_key ${certificates.serverKey};
    ssl_client_certificate ${certificates.bundle};
    ssl_verify_client on;
    ssl_verify_depth 2;
    ssl_protocols TLSv1.3;
    ${sessions.join('\n    ')}
    location / {
      proxy_pass http://bench;
      proxy_http_version 1.1;
      proxy_set_header Connection $connection_header;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header X-Client $ssl_client_s_dn;
    }
  }
}
`;
}

const nginxWith = (name: string, sessions: readonly string[]): Contestant => ({
  name,
  absent: () => (findProgram('nginx') === null ? 'no nginx on this machine: apt-get install nginx-light' : null),
  version: () => /nginx\/(\S+)/.exec(versionText(findProgram('nginx') ?? 'nginx', '-v'))?.[1] ?? 'unknown',
  identityHeader: 'x-client',
  identityValue: (identity) => `CN=${identity}`,
  start(place) {
    const file = join(place.dir, 'nginx.conf');
    writeFileSync(file, configuration(place, sessions));
    return place.start(findProgram('nginx') ?? 'nginx', ['-e', 'stderr', '-c', file]);
  },
  descriptorsPerClient: 1,
  growingFiles: ['access.log'],
});

export const nginx = nginxWith('nginx', NO_SESSIONS);
export const nginxTickets = nginxWith('nginx-tickets', []);
