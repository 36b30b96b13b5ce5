// certgate as its user has it: `certgate serve`, one-time tokens for one use each, the store durable with every certificate.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import packageJson from '../../../package.json' with { type: 'json' };
import { caFiles, storeFile } from '../../../src/authority/layout.ts';
import { recordToken } from '../../../src/authority/tokens.ts';
import { credentialOf, newToken, secretHashOf } from '../../../src/enroll/token.ts';
import { ENROLL_PATH, readIssued, writeEnrollRequest } from '../../../src/enroll/wire.ts';
import { openSqliteStore } from '../../../src/store/sqlite.ts';
import type { Form } from '../build.ts';
import { makeCertificates } from '../certificates.ts';
import { serveArguments, serveEnvironment } from '../contestants/certgate.ts';
import { type Ca, postRequest } from './ca.ts';

const DAY_MS = 86_400_000;

export function certgateCa(form: Form): Ca {
  return {
    name: 'certgate',
    absent: async () => null,
    version: () => `${packageJson.version} (${form}/)`,
    async start(place) {
      const certificates = await makeCertificates(join(place.dir, 'authority'));
      const records = storeFile(join(certificates.authorityDir, 'state'));
      const whole = { ...place, certificates, accessLog: true };
      const child = place.start(process.execPath, serveArguments(form, whole), { env: serveEnvironment(whole) });
      return {
        child,
        trust: readFileSync(certificates.bundle, 'utf8'),
        issuer: readFileSync(caFiles(join(certificates.authorityDir, 'certs')).issuerCertificate, 'utf8'),
        async requestsFor(applicants) {
          const store = openSqliteStore(records);
          try {
            return await Promise.all(
              applicants.map(async ({ name, csr }) => {
                const subject = `worker/${name}`;
                const token = newToken({ rootFingerprint: '0'.repeat(64), gate: 'https://localhost', subject });
                const kept = { id: token.id, secretHash: secretHashOf(token.secret), subject, uses: 1 };
                const lasts = { ttlMs: DAY_MS, lastsMs: DAY_MS, actor: 'bench' };
                await recordToken(store, { ...kept, ...lasts }, Date.now());
                return postRequest(
                  ENROLL_PATH,
                  writeEnrollRequest({ token: credentialOf(token), csr, identity: null }),
                );
              }),
            );
          } finally {
            await store.close();
          }
        },
        certificateIn: (body) => readIssued(body)?.certificate ?? '',
        async isRecorded(serial) {
          const store = openSqliteStore(records, { readOnly: true });
          try {
            const [record] = await store.listCertificates({ serial, now: Date.now() });
            const audit = await store.listAudit({ limit: 1000 });
            return record !== undefined && audit.some(({ detail }) => detail['serial'] === serial);
          } finally {
            await store.close();
          }
        },
      };
    },
  };
}
