// Node's own TLS and nothing else: a server that lets the holders of the CA's certificates in and splices their bytes to the
// upstream by Node's streams. It reads no HTTP, looks at no certificate and writes no log.
// usage: node node-tls-server.ts SERVER_CHAIN SERVER_KEY TRUST_BUNDLE PORT UPSTREAM_PORT

import { connect } from 'node:net';
import { createServer } from 'node:tls';
import { mutualTls } from './node-tls-options.ts';

const [chain = '', key = '', bundle = '', port = '', upstreamPort = ''] = process.argv.slice(2);
const server = createServer(
  {
    ...mutualTls(chain, key, bundle),
    allowHalfOpen: true,
    noDelay: true,
  },
  (client) => {
    const upstream = connect({ port: Number(upstreamPort), host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    client.pipe(upstream);
    upstream.pipe(client);
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
  },
);
server.listen(Number(port), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
process.on('disconnect', () => process.exit(0));
