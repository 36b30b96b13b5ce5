import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openOcspResponder } from '../../src/authority/ocsp-responder.ts';
import { CertgateError } from '../../src/errors.ts';
import type { Issuer } from '../../src/pki/certificates.ts';
import { encodeTlv, TAG } from '../../src/pki/der.ts';
import { OCSP_ERRORS } from '../../src/pki/ocsp.ts';
import type { RevocationReason, Store } from '../../src/store/store.ts';
import { folderWith, openssl } from '../pki/openssl.ts';
import { HOUR } from '../store/fixture.ts';
import { openCa, request } from './fixture.ts';

const START = Date.UTC(2030, 0, 1);

async function responding(different: (store: Store) => Store = (store) => store) {
  let now = START;
  let signed = 0;
  const clock = () => now;
  const ca = await openCa(clock);
  const own = ca.authority.issuer;
  const failures: unknown[] = [];
  const issuer: Issuer = {
    ...own,
    signer: {
      ...own.signer,
      sign: (content) => {
        signed++;
        return own.signer.sign(content);
      },
    },
  };
  const answer = openOcspResponder({
    store: different(ca.store),
    issuers: () => [issuer],
    failed: (error) => failures.push(error),
    clock,
  });
  return {
    ...{ ...ca, issuer, answer, failures },
    signed: () => signed,
    pass: (ms: number) => {
      now += ms;
    },
    issue: async () => (await ca.authority.issue(request())).record.serial,
    revoke: (serial: string, reason: RevocationReason = 'keyCompromise') =>
      ca.authority.revoke({ serial }, reason, 'test'),
  };
}

/** A request by OpenSSL, and the words of OpenSSL about the answer. */
async function requestFor(issuer: Issuer, serials: readonly string[], ...flags: readonly string[]) {
  const folder = folderWith({ 'issuer.crt': issuer.certificate.toString() });
  const ids = serials.flatMap((serial) => ['-serial', `0x${serial}`]);
  const made = await openssl(folder, 'ocsp', ...flags, '-issuer', 'issuer.crt', ...ids, '-reqout', 'request.der');
  expect(made.ok, made.text).toBe(true);
  return readFileSync(`${folder}/request.der`);
}

async function statuses(der: Uint8Array): Promise<readonly string[]> {
  const folder = folderWith({ 'answer.der': der });
  const { text } = await openssl(folder, 'ocsp', '-respin', 'answer.der', '-noverify', '-text');
  return [...text.matchAll(/Cert Status: (\w+)|Revocation Reason: (\w+)/g)].map(
    ([, status, reason]) => status ?? reason ?? '',
  );
}

describe('the OCSP responder', () => {
  test('says what the records say at that moment: unknown, good, revoked and why', async () => {
    const { answer, issuer, issue, revoke } = await responding();
    const serial = await issue();
    const asked = await requestFor(issuer, [serial, '4f01'], '-no_nonce');
    expect(await statuses((await answer(asked)).der)).toEqual(['good', 'unknown']);
    await revoke(serial);
    expect(await statuses((await answer(asked)).der)).toEqual(['revoked', 'keyCompromise', 'unknown']);
  });

  test('says that a key was compromised, whatever it was revoked for before', async () => {
    const { answer, issuer, issue, revoke } = await responding();
    const serial = await issue();
    const asked = await requestFor(issuer, [serial], '-no_nonce');
    await revoke(serial, 'superseded');
    expect(await statuses((await answer(asked)).der)).toEqual(['revoked', 'superseded']);
    await revoke(serial, 'keyCompromise');
    expect(await statuses((await answer(asked)).der)).toEqual(['revoked', 'keyCompromise']);
  });

  test('gives a kept answer again for half of its life, and never one that is no longer true', async () => {
    const { answer, issuer, issue, revoke, signed, pass } = await responding();
    const serial = await issue();
    const asked = await requestFor(issuer, [serial], '-no_nonce');
    const first = await answer(asked);
    expect(first.fresh).toEqual({ thisUpdate: START - 60_000, nextUpdate: START + HOUR });
    pass(HOUR / 2 - 1000);
    expect((await answer(asked)).der).toBe(first.der);
    expect(signed()).toBe(1);
    pass(1000);
    expect((await answer(asked)).fresh?.nextUpdate).toBe(START + 1.5 * HOUR);
    expect(signed()).toBe(2);
    await revoke(serial);
    expect(await statuses((await answer(asked)).der)).toEqual(['revoked', 'keyCompromise']);
    await answer(asked);
    expect(signed()).toBe(3);
  });

  test('gives nobody an answer that it kept from when its clock was ahead', async () => {
    const { answer, issuer, issue, pass, signed } = await responding();
    const asked = await requestFor(issuer, [await issue()], '-no_nonce');
    pass(HOUR);
    await answer(asked);
    pass(-HOUR);
    expect((await answer(asked)).fresh?.thisUpdate).toBeLessThanOrEqual(START);
    await answer(asked);
    expect(signed()).toBe(2);
  });

  test('signs each answer with a nonce, and nobody may keep it; nor one about what is unknown', async () => {
    const { answer, issuer, issue, signed } = await responding();
    const serial = await issue();
    const withNonce = await requestFor(issuer, [serial]);
    expect([(await answer(withNonce)).fresh, (await answer(withNonce)).fresh]).toEqual([null, null]);
    expect((await answer(await requestFor(issuer, ['4f01'], '-no_nonce'))).fresh).toBeNull();
    expect(signed()).toBe(3);
  });

  test('signs only so much at a time: who comes then is told to try later', async () => {
    const { answer, issuer, issue } = await responding();
    const asked = await requestFor(issuer, [await issue()]);
    const all = await Promise.all(Array.from({ length: 40 }, () => answer(asked)));
    const later = all.filter(({ der }) => der === OCSP_ERRORS.tryLater);
    expect(later).toHaveLength(40 - 16);
    expect((await answer(asked)).der).not.toBe(OCSP_ERRORS.tryLater);
  });

  test("is unauthorized to speak of other people's certificates, and signs nothing about them", async () => {
    const [{ answer, signed }, other] = [await responding(), await responding()];
    const asked = await requestFor(other.issuer, [await other.issue()]);
    expect((await answer(asked)).der).toBe(OCSP_ERRORS.unauthorized);
    expect(signed()).toBe(0);
  });

  test('calls malformed what is no request, and is at a loss when the store is: nothing is thrown', async () => {
    const broken = await responding((store) => ({
      ...store,
      standing: () => Promise.reject(new CertgateError('CG_STORE_CLOSED', { location: 'x' })),
    }));
    expect((await broken.answer(randomBytes(40))).der).toBe(OCSP_ERRORS.malformedRequest);
    expect((await broken.answer(encodeTlv(TAG.sequence))).der).toBe(OCSP_ERRORS.malformedRequest);
    expect(broken.failures).toEqual([]);
    const asked = await requestFor(broken.issuer, ['4f01']);
    expect(await broken.answer(asked)).toEqual({ der: OCSP_ERRORS.tryLater, fresh: null });
    expect(broken.failures).toMatchObject([{ code: 'CG_STORE_CLOSED' }]);
  });
});
