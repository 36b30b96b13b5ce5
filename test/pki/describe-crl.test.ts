import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { derToPem } from '../../src/pki/certificates.ts';
import { describeCrl } from '../../src/pki/describe-crl.ts';
import { privateKeyToPem } from '../../src/pki/keys.ts';
import { pemToDer } from '../../src/pki/pem.ts';
import { codeOfSync, testAuthority } from './fixture.ts';
import { folderWith, openssl } from './openssl.ts';

/** A CRL by OpenSSL with these lines of its database. */
async function crl(...revoked: readonly string[]): Promise<string> {
  const { issuer, issuerKey } = await testAuthority();
  const folder = folderWith({
    'ca.cnf':
      '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n',
    'index.txt': revoked.map((line) => `${line}\n`).join(''),
    number: '0A1B\n',
    'issuer.crt': derToPem(issuer.certificate.raw, 'CERTIFICATE'),
    'issuer.key': privateKeyToPem(issuerKey.privateKey),
  });
  const window = ['-crl_lastupdate', '20261124120000Z', '-crl_nextupdate', '20261125120000Z'];
  const made = await openssl(
    folder,
    'ca',
    '-config',
    'ca.cnf',
    '-gencrl',
    '-cert',
    'issuer.crt',
    '-keyfile',
    'issuer.key',
    ...window,
  );
  expect(made.ok, made.text).toBe(true);
  return made.text.slice(made.text.indexOf('-----BEGIN'), made.text.indexOf('-----END X509 CRL-----') + 23);
}

const line = (serial: string, reason?: string): string =>
  `R\t271231000000Z\t261124110000Z${reason === undefined ? '' : `,${reason}`}\t${serial}\tunknown\t/CN=x`;

describe('the description of a CRL', () => {
  test('says whose it is, for when, its number, and what it revokes and why', async () => {
    const { issuer } = await testAuthority();
    expect(describeCrl(await crl(line('4F01', 'keyCompromise'), line('FF02')))).toEqual({
      kind: 'crl',
      issuer: 'CN=test issuer',
      thisUpdate: '2026-11-24T12:00:00.000Z',
      nextUpdate: '2026-11-25T12:00:00.000Z',
      number: '0a1b',
      authorityKeyId: issuer.keyId,
      signatureAlgorithm: 'ecdsa-with-SHA256',
      revoked: 2,
      entries: [
        { serial: '4f01', revokedAt: '2026-11-24T11:00:00.000Z', reason: 'keyCompromise' },
        { serial: 'ff02', revokedAt: '2026-11-24T11:00:00.000Z', reason: null },
      ],
    });
  });

  test('of an empty one says that it revokes nothing', async () => {
    expect(describeCrl(await crl())).toMatchObject({ revoked: 0, entries: [] });
  });

  test('lists the first 1,000 and counts them all', async () => {
    const lines = Array.from({ length: 1001 }, (_, i) => line((0x4f_0000 + i).toString(16).toUpperCase()));
    const description = describeCrl(await crl(...lines));
    expect([description.revoked, description.entries.length]).toEqual([1001, 1000]);
  });

  test('is refused for arbitrary octets and for a list with some octets changed, or given', async () => {
    const der = pemToDer(await crl(line('4F01', 'superseded')), 'X509 CRL');
    const change = fc.tuple(fc.nat(der.length - 1), fc.nat(255));
    const damaged = fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => {
      const copy = Uint8Array.from(der);
      for (const [at, octet] of changes) copy[at] = octet;
      return copy;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), damaged), (bytes) => {
        expect([null, 'CG_CRL_UNREADABLE']).toContain(codeOfSync(() => describeCrl(bytes)));
      }),
      { numRuns: 1000 },
    );
  });
});
