// `cfssl serve` without a database, as its README starts it: it signs for whoever asks, checks no token and keeps no record.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Ca, postRequest } from './ca.ts';
import { type GoProgram, goProgram, provideGoProgram } from './go-program.ts';
import { makeOwnCa } from './own-ca.ts';

const program: GoProgram = { name: 'cfssl', version: '1.6.5', module: 'github.com/cloudflare/cfssl/cmd/cfssl' };
const config = {
  signing: { default: { expiry: '24h', usages: ['digital signature', 'client auth', 'server auth'] } },
};

export const cfssl: Ca = {
  name: program.name,
  absent: () => provideGoProgram(program),
  version: () => program.version,
  async start(place) {
    const own = await makeOwnCa();
    const file = (name: string, content: string): string => {
      const path = join(place.dir, name);
      writeFileSync(path, content, { mode: 0o600 });
      return path;
    };
    const args = ['serve', '-address', '127.0.0.1', '-port', String(place.port)];
    args.push('-ca', file('issuer.crt', own.issuer), '-ca-key', file('issuer.key', own.issuerKey));
    args.push('-tls-cert', file('server.crt', own.server), '-tls-key', file('server.key', own.serverKey));
    args.push('-config', file('config.json', JSON.stringify(config)), '-loglevel', '2');
    return {
      child: place.start(goProgram(program), args),
      trust: own.root,
      issuer: own.issuer,
      requestsFor: async (applicants) =>
        applicants.map(({ name, csr }) =>
          postRequest('/api/v1/cfssl/sign', JSON.stringify({ certificate_request: csr, hosts: [name] })),
        ),
      certificateIn: (body) => (JSON.parse(body) as { result?: { certificate?: string } }).result?.certificate ?? '',
      isRecorded: async () => null,
    };
  },
};
