// step-ca as `step ca init` sets it up: one JWK provisioner, whose one-time tokens it checks and remembers, and Badger for
// its records. The tokens are made here, as `step ca token` makes them.

import { generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Ca, postRequest } from './ca.ts';
import { type GoProgram, goProgram, provideGoProgram } from './go-program.ts';
import { makeOwnCa } from './own-ca.ts';

const program: GoProgram = {
  name: 'step-ca',
  version: '0.28.4',
  module: 'github.com/smallstep/certificates/cmd/step-ca',
  env: { CGO_ENABLED: '0' },
};
const PROVISIONER = 'bench';
const HOUR_S = 3600;

const json64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

export const stepCa: Ca = {
  name: program.name,
  absent: () => provideGoProgram(program),
  version: () => program.version,
  async start(place) {
    const own = await makeOwnCa();
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const kid = randomBytes(16).toString('hex');
    const file = (name: string, content: string): string => {
      const path = join(place.dir, name);
      writeFileSync(path, content, { mode: 0o600 });
      return path;
    };
    const db = join(place.dir, 'db');
    const config = file(
      'ca.json',
      JSON.stringify({
        root: file('root.crt', own.root),
        crt: file('issuer.crt', own.issuer),
        key: file('issuer.key', own.issuerKey),
        address: `127.0.0.1:${place.port}`,
        dnsNames: ['localhost'],
        logger: { format: 'text' },
        db: { type: 'badgerv2', dataSource: db, badgerFileLoadingMode: '' },
        authority: {
          provisioners: [
            {
              type: 'JWK',
              name: PROVISIONER,
              key: { ...publicKey.export({ format: 'jwk' }), use: 'sig', kid, alg: 'ES256' },
            },
          ],
        },
        tls: { minVersion: 1.2, maxVersion: 1.3, renegotiation: false },
      }),
    );
    const child = place.start(goProgram(program), [config]);
    const tokenFor = (name: string): string => {
      const now = Math.floor(Date.now() / 1000);
      const claims = {
        ...{ aud: `https://localhost:${place.port}/1.0/sign`, iss: PROVISIONER, sub: name, sans: [name] },
        ...{ iat: now, nbf: now, exp: now + HOUR_S, jti: randomUUID() },
      };
      const content = `${json64({ alg: 'ES256', kid, typ: 'JWT' })}.${json64(claims)}`;
      const signature = sign('sha256', Buffer.from(content), { key: privateKey, dsaEncoding: 'ieee-p1363' });
      return `${content}.${signature.toString('base64url')}`;
    };
    return {
      child,
      trust: own.root,
      issuer: own.issuer,
      requestsFor: async (applicants) =>
        applicants.map(({ name, csr }) => postRequest('/1.0/sign', JSON.stringify({ csr, ott: tokenFor(name) }))),
      certificateIn: (body) => (JSON.parse(body) as { crt?: string }).crt ?? '',
      // Badger writes a value to its log before it answers; the key is the serial number in decimal.
      async isRecorded(serial) {
        const key = BigInt(`0x${serial}`).toString();
        const logs = readdirSync(db).filter((name) => name.endsWith('.vlog'));
        return logs.some((name) => readFileSync(join(db, name)).includes(key));
      },
    };
  },
};
