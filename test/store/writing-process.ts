// A process of its own for the tests: `PATH COUNT` adds COUNT certificates to the store at PATH, revoking every other one,
// and prints what was promised to be recorded, one line each: `added SERIAL`, `revoked SERIAL`. It ends at the first
// failure with one line of JSON `{"code", "message", "hint"}` on stderr and exit code 9.
import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { isCertgateError, reasonOf } from '../../src/errors.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';

const [path = '', count = '0'] = process.argv.slice(2);

try {
  const store = openSqliteStore(path);
  for (let n = 0; n < Number(count); n++) {
    const serial = randomBytes(16).toString('hex');
    const now = Date.now();
    const audit = { time: now, actor: `process ${process.pid}`, object: serial, detail: {} };
    await store.addCertificate(
      {
        serial,
        issuer: 'aa11',
        identity: 'worker/etl-1',
        profile: 'client',
        subject: 'CN=worker/etl-1',
        notBefore: now,
        notAfter: now + 86_400_000,
        fingerprint: randomBytes(32).toString('hex'),
        der: new Uint8Array(randomBytes(600)),
        issuedAt: now,
        revokedAt: null,
        reason: null,
      },
      { ...audit, action: 'certificate.issue' },
    );
    writeSync(1, `added ${serial}\n`);
    if (n % 2 === 1) continue;
    await store.revoke([serial], 'superseded', now, () => ({ ...audit, action: 'certificate.revoke' }));
    writeSync(1, `revoked ${serial}\n`);
  }
  await store.close();
} catch (error) {
  const facts = isCertgateError(error) ? { code: error.code, hint: error.hint } : { code: 'unknown', hint: '' };
  writeSync(2, `${JSON.stringify({ ...facts, message: reasonOf(error) })}\n`);
  process.exitCode = 9;
}
