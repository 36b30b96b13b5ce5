// What the tests of enrolment need: a CA with a desk, tokens on record, and requests of machines with keys of their own.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { recordToken, type TokenRequest } from '../../src/authority/tokens.ts';
import type { DeskAnswer } from '../../src/enroll/answers.ts';
import type { DeskParts, EnrollDesk, EnrollPolicy } from '../../src/enroll/contract.ts';
import { openDesk } from '../../src/enroll/desk.ts';
import { credentialOf, newToken, secretHashOf, type Token } from '../../src/enroll/token.ts';
import { readIssued, writeEnrollRequest, writeRenewRequest } from '../../src/enroll/wire.ts';
import { type LimitedLog, limitLog } from '../../src/observe/limited-log.ts';
import { openLog } from '../../src/observe/log.ts';
import { createMetrics, type Metrics } from '../../src/observe/metrics.ts';
import { factsOf, readCertificate } from '../../src/pki/facts.ts';
import { pemBlocks } from '../../src/pki/pem.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { type OpenCa, openCa } from '../authority/fixture.ts';
import { HOUR } from '../store/fixture.ts';

export interface Scene extends OpenCa {
  readonly desk: EnrollDesk;
  readonly metrics: Metrics;
  /** What was logged. */
  readonly log: readonly Record<string, unknown>[];
  /** Now, ms since the epoch; tests move it. */
  now: number;
  token(subject: string, values?: Partial<TokenRequest>): Promise<Token>;
  /** Enrols, as from a machine at `address`. */
  enroll(token: Token, key: KeyObject, more?: { identity?: string; address?: string }): Promise<DeskAnswer>;
  renew(serial: string, key: KeyObject): Promise<DeskAnswer>;
}

/** `to`: a log in place of the one of the scene, which limits nothing; `parts`: of the desk, made from the scene's own. */
export async function scene(
  policy: Partial<EnrollPolicy> = {},
  to: LimitedLog | null = null,
  parts: (own: OpenCa) => Partial<DeskParts> = () => ({}),
): Promise<Scene> {
  const clock = () => made.now;
  const made = { now: Date.now() };
  const ca = await openCa(clock);
  const lines: Record<string, unknown>[] = [];
  const own = limitLog(
    openLog({
      level: 'info',
      destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
    }),
    { perSecond: 1_000 },
  );
  const metrics = createMetrics();
  const desk = openDesk({
    authority: ca.authority,
    store: ca.store,
    policy: { tokens: true, est: true, lockOnReuse: true, graceMs: 0, ...policy },
    log: to ?? own,
    metrics,
    clock,
    refusalTime: 20,
    ...parts(ca),
  });
  return Object.assign(made, {
    ...ca,
    desk,
    metrics,
    log: lines,
    async token(subject: string, values: Partial<TokenRequest> = {}) {
      const token = newToken({ subject, gate: 'https://gate.example:8443', rootFingerprint: 'ab'.repeat(32) });
      const secretHash = secretHashOf(token.secret);
      const about = { id: token.id, secretHash, subject, uses: 1, ttlMs: 24 * HOUR, lastsMs: 600_000, actor: 'test' };
      await recordToken(ca.store, { ...about, ...values }, made.now);
      return token;
    },
    async enroll(
      token: Token,
      key: KeyObject,
      { identity, address = '192.0.2.1' }: { identity?: string; address?: string } = {},
    ) {
      const csr = await createRequest(signerOf(key), { commonName: null });
      const request = { token: credentialOf(token), csr, identity: identity ?? null };
      return desk.enroll(writeEnrollRequest(request), { address, addressKey: address });
    },
    async renew(serial: string, key: KeyObject) {
      const csr = await createRequest(signerOf(key), { commonName: null });
      return desk.renew(writeRenewRequest(csr), { serial, address: '192.0.2.1' });
    },
  });
}

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** The serial number of the certificate in a desk's answer. */
export function serialIn({ status, text }: DeskAnswer): string {
  const [leaf] = pemBlocks(readIssued(text)?.certificate ?? `none: ${status} ${text}`, 'CERTIFICATE');
  return factsOf(readCertificate(leaf ?? '')).serial;
}
