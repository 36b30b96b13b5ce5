import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { unflagIdentity } from '../../src/authority/flags.ts';
import { lockClients } from '../../src/authority/locking.ts';
import { revokeToken } from '../../src/authority/tokens.ts';
import { credentialOf } from '../../src/enroll/token.ts';
import { readIssued, writeEnrollRequest } from '../../src/enroll/wire.ts';
import { contextConstructed, encodeOid, encodeTlv, TAG } from '../../src/pki/der.ts';
import { factsOf, readCertificate } from '../../src/pki/facts.ts';
import { derToPem, pemBlocks } from '../../src/pki/pem.ts';
import { spkiOf } from '../../src/pki/public-keys.ts';
import { createRequest } from '../../src/pki/requests.ts';
import { signerOf, withSignature } from '../../src/pki/signing.ts';
import { extension } from '../pki/fixture.ts';
import { newKey, type Scene, scene, serialIn } from './fixture.ts';

const REFUSED = { status: 403, text: '{"detail":"certgate: enrolment refused; the log of the gate says why"}' };
const reasons = ({ log }: Scene) => log.filter(({ msg }) => msg === 'enrolment refused').map(({ reason }) => reason);
const actions = async ({ store }: Scene) => (await store.listAudit({})).map(({ action }) => action);

test('the pool of a token stands in the certificate and in each renewal of it, on record with both', async () => {
  const at = await scene();
  const token = await at.token('worker/etl-1', { groups: ['pool:etl'] });
  const first = await at.enroll(token, newKey());
  const second = await at.renew(serialIn(first), newKey());
  for (const answer of [first, second]) {
    const [leaf = ''] = pemBlocks(readIssued(answer.text)?.certificate ?? '', 'CERTIFICATE');
    expect(factsOf(readCertificate(leaf)).subject).toContainEqual(['OU', 'pool:etl']);
    const [record] = await at.store.listCertificates({ serial: serialIn(answer), now: at.now });
    expect(record?.groups).toEqual(['pool:etl']);
  }
  const acts = (await at.store.listAudit({})).filter(({ detail }) => detail['groups'] === 'pool:etl');
  expect(acts.map(({ action }) => action)).toEqual(['token.create', 'certificate.issue', 'certificate.issue']);
});

describe('a token', () => {
  test('gets its identity a certificate of the lifetime that it was made for, on record with the token', async () => {
    const at = await scene();
    const answer = await at.enroll(await at.token('worker/etl-1', { ttlMs: 3_600_000 }), newKey());
    expect(answer.status).toBe(200);
    expect(readIssued(answer.text)).toMatchObject({ identity: 'worker/etl-1', bundle: at.authority.bundlePem });
    const [record] = await at.store.listCertificates({ identity: 'worker/etl-1', now: at.now });
    expect(record).toMatchObject({ serial: serialIn(answer), profile: 'client' });
    expect((record?.notAfter ?? 0) - at.now).toBeGreaterThan(3_599_000);
    expect((await at.store.listAudit({})).at(-1)).toMatchObject({
      action: 'certificate.issue',
      actor: expect.stringMatching(/^token:[0-9a-f]{16}$/) as string,
    });
  });

  test('gets the same key the same certificate again for five minutes, also after it has expired', async () => {
    const at = await scene();
    const [token, key] = [await at.token('worker/etl-1', { lastsMs: 1_000 }), newKey()];
    const first = serialIn(await at.enroll(token, key));
    at.now += 299_000;
    expect(serialIn(await at.enroll(token, key))).toBe(first);
    at.now += 2_000;
    expect(await at.enroll(token, key)).toEqual(REFUSED);
    expect(await at.store.listCertificates({ identity: 'worker/etl-1', now: at.now })).toHaveLength(1);
    expect((await at.store.token(token.id))?.flag).toBeNull();
  });

  test('with another key is refused, and token and identity are flagged, once', async () => {
    const at = await scene();
    const token = await at.token('worker/etl-1');
    await at.enroll(token, newKey());
    expect(await at.enroll(token, newKey(), { address: '198.51.100.9' })).toEqual(REFUSED);
    expect(await at.enroll(token, newKey(), { address: '198.51.100.9' })).toEqual(REFUSED);
    expect((await at.store.token(token.id))?.flag).toContain('another key');
    const misuses = (await at.store.listAudit({})).filter(({ action }) => action === 'token.misuse');
    expect(misuses).toMatchObject([{ object: 'worker/etl-1', detail: { token: token.id, address: '198.51.100.9' } }]);
    // The second is on record as refused.
    expect((await actions(at)).slice(-2)).toEqual(['token.misuse', 'token.refuse']);
    const reason = expect.stringContaining('another key') as string;
    expect(await at.store.flags()).toEqual([{ identity: 'worker/etl-1', reason, flaggedAt: at.now }]);
  });

  test('that is misused again, once a person has taken the flag off, flags its identity again', async () => {
    const at = await scene();
    const token = await at.token('worker/etl-1');
    await at.enroll(token, newKey());
    await at.enroll(token, newKey());
    await unflagIdentity(at.store, 'worker/etl-1', 'test', at.now);
    expect(await at.store.flags()).toEqual([]);
    await at.enroll(token, newKey());
    expect(await at.store.flags()).toHaveLength(1);
    expect((await actions(at)).slice(-3)).toEqual(['token.misuse', 'client.unflag', 'token.misuse']);
  });

  test('has one entry for each act, with the address and the certificate, and for each that was refused', async () => {
    const at = await scene();
    const token = await at.token('worker/etl-1', { lastsMs: 60_000 });
    const serial = serialIn(await at.enroll(token, newKey(), { address: '192.0.2.9' }));
    const other = await at.token('worker/etl-2', { lastsMs: 60_000 });
    at.now += 120_000;
    await at.enroll(other, newKey(), { address: '198.51.100.9' });
    await at.enroll({ ...other, id: 'f'.repeat(16) }, newKey());
    expect((await at.store.listAudit({})).slice(-4)).toMatchObject([
      {
        actor: `token:${token.id}`,
        action: 'certificate.issue',
        object: 'worker/etl-1',
        detail: { serial, address: '192.0.2.9', token: token.id },
      },
      { actor: 'test', action: 'token.create', object: 'worker/etl-2' },
      {
        actor: 'gate',
        action: 'token.refuse',
        object: 'worker/etl-2',
        detail: { token: other.id, address: '198.51.100.9', problem: expect.stringContaining('expired') as unknown },
      },
      { actor: 'gate', action: 'token.refuse', object: 'unknown', detail: { tries: 1 } },
    ]);
  });

  test('of a machine that comes back when its certificate has ended is refused, and flags nobody', async () => {
    const at = await scene();
    const token = await at.token('worker/etl-1', { ttlMs: 3_600_000 });
    await at.enroll(token, newKey());
    at.now += 3_600_000;
    expect(await at.enroll(token, newKey())).toEqual(REFUSED);
    expect((await at.store.token(token.id))?.flag).toBeNull();
    expect(await at.store.flags()).toEqual([]);
    expect(await actions(at)).not.toContain('token.misuse');
  });

  test('that somebody else was first to use flags both also when it has expired since', async () => {
    const at = await scene();
    const token = await at.token('worker/etl-1', { lastsMs: 60_000 });
    await at.enroll(token, newKey());
    at.now += 120_000;
    expect(await at.enroll(token, newKey())).toEqual(REFUSED);
    expect((await at.store.token(token.id))?.flag).toContain('another key');
  });

  test.each<[string, (at: Scene) => Promise<{ readonly status: number; readonly text: string }>, string]>([
    [
      'is unknown',
      async (at) => at.enroll({ ...(await at.token('worker/a')), id: 'f'.repeat(16) }, newKey()),
      'no such token',
    ],
    [
      'has another secret',
      async (at) => at.enroll({ ...(await at.token('worker/a')), secret: new Uint8Array(32) }, newKey()),
      'not that of the token',
    ],
    [
      'has expired',
      async (at) => {
        const token = await at.token('worker/a');
        at.now += 600_000;
        return at.enroll(token, newKey());
      },
      'expired',
    ],
    [
      'was revoked',
      async (at) => {
        const token = await at.token('worker/a');
        await revokeToken(at.store, token.id, 'test', at.now);
        return at.enroll(token, newKey());
      },
      'revoked',
    ],
    [
      'is used up',
      async (at) => {
        const token = await at.token('worker/a');
        await at.enroll(token, newKey());
        return at.enroll(token, newKey());
      },
      'used up',
    ],
    [
      'is for another name',
      async (at) => at.enroll(await at.token('worker/a'), newKey(), { identity: 'worker/b' }),
      'not for the name',
    ],
    [
      'is for several names and none is asked for',
      async (at) => at.enroll(await at.token('worker/*'), newKey()),
      'several names',
    ],
    [
      'is for an identity that is locked',
      async (at) => {
        const lock = {
          target: { scope: 'identity', subject: 'worker/a' },
          reason: 'x',
          forMs: null,
          actor: 'test',
        } as const;
        await lockClients(at.store, lock, at.now);
        return at.enroll(await at.token('worker/a'), newKey());
      },
      'locked',
    ],
    [
      'is used for the CA’s own key',
      async (at) => {
        const token = await at.token('worker/a');
        const csr = await createRequest(at.authority.issuer.signer, { commonName: null });
        const body = JSON.stringify({ token: credentialOf(token), csr });
        return at.desk.enroll(body, { address: '192.0.2.1', addressKey: '192.0.2.1' });
      },
      'key of the issuer',
    ],
  ])('that %s is refused in the one way, and the log says why', async (_what, deed, reason) => {
    const at = await scene();
    expect(await deed(at)).toEqual(REFUSED);
    expect(reasons(at).at(-1)).toContain(reason);
    expect(at.log.at(-1)).toMatchObject({ look: expect.stringMatching(/./) as string });
  });

  test('that is asked for a name that is none has the refusal on record under its own', async () => {
    const at = await scene();
    const token = await at.token('worker/etl-*', { uses: 3 });
    for (const identity of ['', 'worker/etl-\0', '\ud800', 'x'.repeat(12_000)]) {
      expect((await at.enroll(token, newKey(), { identity })).status).toBe(403);
      expect((await at.store.listAudit({})).at(-1)).toMatchObject({ action: 'token.refuse', object: 'worker/etl-*' });
    }
  });

  test('is in no line of the log', async () => {
    const at = await scene();
    const token = await at.token('worker/a');
    for (const secret of [token.secret, new Uint8Array(32)]) await at.enroll({ ...token, secret }, newKey());
    const said = JSON.stringify(at.log);
    expect(said).toContain(token.id);
    expect(said).not.toContain(Buffer.from(token.secret).toString('base64url'));
  });

  test('is in no file of the store, in no spelling: what is kept of it is a hash', async () => {
    const at = await scene();
    const token = await at.token('worker/a');
    await at.enroll(token, newKey());
    const folder = dirname(at.store.location);
    const files = readdirSync(folder).map((name) => readFileSync(join(folder, name)));
    expect(files.some((bytes) => bytes.includes(token.id))).toBe(true);
    const secret = Buffer.from(token.secret);
    for (const spelling of [
      secret,
      ...(['hex', 'base64', 'base64url'] as const).map((form) => secret.toString(form)),
    ]) {
      expect(files.some((bytes) => bytes.includes(spelling))).toBe(false);
    }
  });

  test('costs nothing when the request is for a name that a CSR may not ask for', async () => {
    const at = await scene();
    const token = await at.token('worker/a');
    const csr = await createRequest(signerOf(newKey()), { commonName: 'worker/b' });
    const body = JSON.stringify({ token: credentialOf(token), csr });
    expect(await at.desk.enroll(body, { address: 'x', addressKey: 'x' })).toEqual(REFUSED);
    expect((await at.store.token(token.id))?.usesLeft).toBe(1);
  });

  test('used by ten machines at once with ten keys gets one certificate; with one key, all get that one', async () => {
    const at = await scene();
    const [one, other, key] = [await at.token('worker/a'), await at.token('worker/b'), newKey()];
    const many = await Promise.all(Array.from({ length: 10 }, () => at.enroll(one, newKey())));
    expect(many.filter(({ status }) => status === 200)).toHaveLength(1);
    const same = await Promise.all(Array.from({ length: 10 }, () => at.enroll(other, key)));
    expect(new Set(same.map(serialIn)).size).toBe(1);
  });
});

describe('a token for a pattern', () => {
  test('is good for as many names as it has uses, each once', async () => {
    const at = await scene();
    const token = await at.token('worker/etl-*', { uses: 2 });
    const [first, second] = [newKey(), newKey()];
    expect((await at.enroll(token, first, { identity: 'worker/etl-1' })).status).toBe(200);
    expect(await at.enroll(token, second, { identity: 'worker/etl-1' })).toEqual(REFUSED);
    expect((await at.store.token(token.id))?.flag).toContain('worker/etl-1');
    expect((await at.store.flags()).map(({ identity }) => identity)).toEqual(['worker/etl-1']);
    expect((await at.enroll(token, second, { identity: 'worker/etl-2' })).status).toBe(200);
    expect(await at.enroll(token, newKey(), { identity: 'worker/etl-3' })).toEqual(REFUSED);
    expect(await at.enroll(token, newKey(), { identity: 'worker/other' })).toEqual(REFUSED);
    expect((await at.store.tokenUses(token.id)).map(({ identity }) => identity)).toEqual([
      'worker/etl-1',
      'worker/etl-2',
    ]);
  });

  test('asked for one name by ten machines at once gets one of them that name, and spends one use', async () => {
    const at = await scene();
    const token = await at.token('worker/etl-*', { uses: 10 });
    const identity = 'worker/etl-1';
    const many = await Promise.all(Array.from({ length: 10 }, () => at.enroll(token, newKey(), { identity })));
    expect(many.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(await at.store.token(token.id)).toMatchObject({ usesLeft: 9 });
    expect(await at.store.listCertificates({ identity, state: 'valid', now: at.now })).toHaveLength(1);
  });

  test('gets nobody a name that is in use', async () => {
    const at = await scene();
    await at.enroll(await at.token('worker/etl-1'), newKey());
    const fleet = await at.token('worker/etl-*', { uses: 5 });
    expect(await at.enroll(fleet, newKey(), { identity: 'worker/etl-1' })).toEqual(REFUSED);
    expect(reasons(at).at(-1)).toContain('in use');
  });
});

describe('the door', () => {
  test('says what is wrong with a request, which is no secret', async () => {
    const at = await scene();
    for (const body of ['', '{}', '[]', '{"token":1,"csr":""}', '{"token":"","csr":"","more":1}']) {
      expect((await at.desk.enroll(body, { address: 'x', addressKey: 'x' })).status).toBe(400);
    }
    const answer = await at.desk.enroll('{"token":"x","csr":"y"}', { address: 'x', addressKey: 'x' });
    expect(answer.text).toContain('certificate signing request');
  });

  // What is said to be a CA, as a boolean that is none in DER (X.690 §11.1): it is read when the token has been found good.
  test('refuses what a request asks for and nobody can read, and does not have it come again', async () => {
    const at = await scene();
    const token = await at.token('worker/a');
    const signer = signerOf(newKey());
    const constraints = encodeTlv(TAG.sequence, Uint8Array.of(TAG.boolean, 1, 1));
    const list = encodeTlv(TAG.sequence, extension('2.5.29.19', constraints));
    const content = encodeTlv(
      TAG.sequence,
      Uint8Array.of(TAG.integer, 1, 0),
      encodeTlv(TAG.sequence),
      spkiOf(signer.publicKey),
      encodeTlv(
        contextConstructed(0),
        encodeTlv(TAG.sequence, encodeOid('1.2.840.113549.1.9.14'), encodeTlv(TAG.set, list)),
      ),
    );
    const csr = derToPem(await withSignature(content, signer), 'CERTIFICATE REQUEST');
    const body = writeEnrollRequest({ token: credentialOf(token), csr, identity: null });
    expect(await at.desk.enroll(body, { address: 'x', addressKey: 'x' })).toEqual(REFUSED);
    expect(reasons(at).at(-1)).toContain('certificate signing request unreadable');
    expect(await at.store.token(token.id)).toMatchObject({ usesLeft: 1 });
  });

  test('says that waiting helps when the records cannot be read', async () => {
    const at = await scene();
    const token = await at.token('worker/a');
    await at.store.close();
    expect((await at.enroll(token, newKey())).status).toBe(503);
  });

  test('leaves an audit that tells the story', async () => {
    const at = await scene();
    const token = await at.token('worker/a');
    await at.enroll(token, newKey());
    await at.enroll(token, newKey());
    expect((await actions(at)).slice(-3)).toEqual(['token.create', 'certificate.issue', 'token.misuse']);
  });
});
