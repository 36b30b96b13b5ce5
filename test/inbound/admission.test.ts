// Who may keep a connection, and who may renew a certificate that has just expired: each reason to refuse by itself, and
// that nothing but all of them together lets anybody in.

import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { lockTable } from '../../src/authority/lock-table.ts';
import { CertgateError } from '../../src/errors.ts';
import { type AdmissionRules, admit, admitLate } from '../../src/inbound/admission.ts';
import type { ReadClient } from '../../src/inbound/client-reader.ts';
import type { CertificateStanding, LockRecord } from '../../src/store/store.ts';

const NOW = Date.parse('2026-11-24T12:00:00Z');
const HOUR = 3_600_000;
const certificate = {
  validFromDate: new Date(NOW - HOUR),
  validToDate: new Date(NOW + HOUR),
} as unknown as X509Certificate;

const WHO = { ok: true, identity: 'worker/etl-1', rule: 'identity.rules[0]', groups: ['Data'], values: [] } as const;
const READ: ReadClient = {
  ...{ serial: '01', issuer: 'aa', fingerprint: 'f1', who: WHO, unfit: null, notAfter: NOW + HOUR },
  lines: 'x-certgate-identity: worker/etl-1\r\n',
};
const NOBODY = { ok: false, code: 'CG_IDENTITY_NONE', reason: 'no rule names it' } as unknown as ReadClient['who'];
const STANDING: CertificateStanding = { identity: 'worker/old', notAfter: NOW, fingerprint: 'f1', revokedAt: null };
const ANOTHER = { ...STANDING, fingerprint: 'f2' };
const REVOKED = { ...STANDING, revokedAt: NOW - 1 };

interface Scene {
  /** What OpenSSL says; null for yes. */
  readonly verdict?: unknown;
  readonly presented?: boolean;
  readonly read?: ReadClient | null | Error;
  readonly standing?: CertificateStanding | null | Error;
  readonly locks?: ReadonlyArray<Partial<LockRecord>>;
  readonly unsafeUnrecorded?: boolean;
}

function scene({ verdict = null, presented = true, read = READ, standing = STANDING, locks = [], ...more }: Scene) {
  const socket = {
    authorized: verdict === null,
    authorizationError: verdict,
    getPeerX509Certificate: () => (presented ? certificate : undefined),
  } as unknown as TLSSocket;
  const answer = <T>(value: T | Error): T => {
    if (value instanceof Error) throw value;
    return value;
  };
  const looked: string[] = [];
  const rules = {
    store: {
      standing: async (issuer: string, serial: string) => {
        looked.push(`${issuer}:${serial}`);
        await Promise.resolve();
        return answer(standing);
      },
    },
    read: () => answer(read),
    locks: () =>
      lockTable(locks.map((one) => ({ subject: '', until: null, reason: 'why', lockedAt: NOW, ...one }) as LockRecord)),
    unsafeUnrecorded: more.unsafeUnrecorded ?? false,
  } as unknown as AdmissionRules;
  return { socket, rules, looked };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW });
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a client', () => {
  const of = async (what: Scene) => {
    const { socket, rules } = scene(what);
    return await admit(socket, rules);
  };

  test('that our CA knows and nobody keeps out is let in as what its certificate and the records say', async () => {
    const { socket, rules, looked } = scene({});
    expect(await admit(socket, rules)).toEqual({
      ...{ ok: true, identity: 'worker/etl-1', rule: 'identity.rules[0]', attributes: WHO, serial: '01', issuer: 'aa' },
      ...{ recorded: 'worker/old', notAfter: NOW + HOUR, lines: READ.lines },
    });
    expect(looked).toEqual(['aa:01']);
  });

  const known = { serial: '01', ours: true, identity: 'worker/etl-1', status: 403 };
  const unnamed = { ...known, identity: null };
  const stranger = { serial: null, ours: false, identity: null, status: 403 };
  const from = new Date(NOW - HOUR).toISOString();
  const to = new Date(NOW + HOUR).toISOString();
  test.each<[string, Scene, string, object, string]>([
    ['that presents nothing', { presented: false }, 'CG_CLIENT_NO_CERTIFICATE', stranger, 'is required'],
    [
      'whose certificate has expired',
      { verdict: 'CERT_HAS_EXPIRED' },
      'CG_CLIENT_EXPIRED',
      stranger,
      `expired at ${to}`,
    ],
    ['that is early', { verdict: 'CERT_NOT_YET_VALID' }, 'CG_CLIENT_NOT_YET_VALID', stranger, `only from ${from}`],
    ['whose certificate is a server’s', { verdict: 'INVALID_PURPOSE' }, 'CG_CLIENT_PURPOSE', stranger, 'clientAuth'],
    ['of another CA', { verdict: 'SELF_SIGNED_CERT_IN_CHAIN' }, 'CG_CLIENT_UNTRUSTED', stranger, 'not from the CA'],
    ['that OpenSSL refuses without a word', { verdict: new Error('x') }, 'CG_CLIENT_UNTRUSTED', stranger, 'not from'],
    [
      'that OpenSSL refuses for what Node has no word for',
      { verdict: 'UNSPECIFIED' },
      'CG_CLIENT_UNTRUSTED',
      stranger,
      'its key or signature may be too weak',
    ],
    ['of another issuer below our root', { read: null }, 'CG_CLIENT_UNTRUSTED', stranger, 'not from the CA'],
    [
      'whose certificate is not a client’s, as we read it',
      { read: { ...READ, unfit: 'is the certificate of a CA' } },
      'CG_CLIENT_PURPOSE',
      unnamed,
      'the certificate is the certificate of a CA',
    ],
    ['whom no rule names', { read: { ...READ, who: NOBODY } }, 'CG_IDENTITY_NONE', unnamed, 'no rule names it'],
    ['that is not on record', { standing: null }, 'CG_CLIENT_UNRECORDED', known, 'not in the records'],
    ['that has the serial number of one on record', { standing: ANOTHER }, 'CG_CLIENT_UNRECORDED', known, 'not in the'],
    [
      'that has the serial number of a revoked one, where what is not on record passes',
      { standing: { ...REVOKED, fingerprint: 'f2' }, unsafeUnrecorded: true },
      'CG_CLIENT_REVOKED',
      known,
      'was revoked',
    ],
    ['that is revoked', { standing: REVOKED }, 'CG_CLIENT_REVOKED', known, 'worker/etl-1 was revoked'],
    [
      'that is revoked, where what is not on record passes',
      { standing: REVOKED, unsafeUnrecorded: true },
      'CG_CLIENT_REVOKED',
      known,
      'was revoked',
    ],
    [
      'whose certificate is locked',
      { locks: [{ scope: 'serial', subject: '01' }] },
      'CG_CLIENT_LOCKED',
      known,
      'the certificate of worker/etl-1 is locked, not revoked, until it is unlocked',
    ],
    [
      'that is locked by its name',
      { locks: [{ scope: 'identity', subject: 'worker/etl-1', until: NOW + 1 }] },
      'CG_CLIENT_LOCKED',
      known,
      `certgate: worker/etl-1 is locked, not revoked, until ${new Date(NOW + 1).toISOString()}`,
    ],
    [
      'that is locked by the name on record',
      { locks: [{ scope: 'identity', subject: 'worker/old' }] },
      'CG_CLIENT_LOCKED',
      known,
      'worker/etl-1 is locked',
    ],
    ['while all are locked', { locks: [{ scope: 'all' }] }, 'CG_CLIENT_LOCKED', known, 'all clients are locked'],
    [
      'whose certificate cannot be read',
      { read: new CertgateError('CG_CERT_UNREADABLE', { problem: 'it is odd' }) },
      'CG_CERT_UNREADABLE',
      stranger,
      'cannot be read',
    ],
    [
      'that the records cannot be asked about',
      { standing: new Error('gone') },
      'CG_STORE_UNAVAILABLE',
      { ...stranger, status: 503 },
      "can't read its records",
    ],
  ])('%s is refused', async (_who, what, code, more, detail) => {
    const said = await of(what);
    expect(said).toMatchObject({ ok: false, code, ...more });
    expect(said.ok ? '' : said.detail).toContain(detail);
    // Why it was locked is for the log alone.
    expect(said.ok ? '' : said.detail).not.toContain('why');
  });

  test('that is not on record is let in only where that was asked for, and is nobody’s there', async () => {
    expect(await of({ standing: null, unsafeUnrecorded: true })).toMatchObject({ ok: true, recorded: null });
    const locks = [{ scope: 'identity', subject: 'worker/etl-1' }] as const;
    expect(await of({ standing: null, unsafeUnrecorded: true, locks })).toMatchObject({ code: 'CG_CLIENT_LOCKED' });
  });

  test('is let in after the end of a lock', async () => {
    expect(await of({ locks: [{ scope: 'all', until: NOW }] })).toMatchObject({ ok: true });
  });
});

describe('who comes late to renew', () => {
  const late = async (what: Scene, afterMs = 0) => {
    const { socket, rules } = scene({ verdict: 'CERT_HAS_EXPIRED', ...what });
    vi.setSystemTime(READ.notAfter + afterMs);
    return await admitLate(socket, rules, 1000);
  };

  test('is let in for the time of grace, and not a moment longer', async () => {
    expect(await late({}, 999)).toEqual({ ok: true, serial: '01' });
    expect(await late({}, 1000)).toEqual({ ok: false });
  });

  test.each<[string, Scene]>([
    ['without a certificate', { presented: false }],
    ['with one of another issuer', { read: null }],
    ['with one that is not a client’s', { read: { ...READ, unfit: 'is the certificate of a CA' } }],
    ['whom no rule names', { read: { ...READ, who: NOBODY } }],
    ['who is not on record', { standing: null, unsafeUnrecorded: true }],
    ['who has the serial number of one on record', { standing: ANOTHER, unsafeUnrecorded: true }],
    ['who is revoked', { standing: REVOKED }],
    ['who is locked', { locks: [{ scope: 'identity', subject: 'worker/etl-1' }] }],
    ['who is locked by the name on record', { locks: [{ scope: 'identity', subject: 'worker/old' }] }],
    ['whose certificate cannot be read', { read: new Error('odd') }],
    ['whom the records cannot be asked about', { standing: new Error('gone') }],
  ])('%s is not', async (_who, what) => expect(await late(what)).toEqual({ ok: false }));
});
