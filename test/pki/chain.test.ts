import { describe, expect, test } from 'vitest';
import { createIssuer, readCertificate } from '../../src/pki/certificates.ts';
import { chainOf } from '../../src/pki/chain.ts';
import { at, leafOf, TRUST_DOMAIN, testAuthority } from './fixture.ts';

describe('a chain', () => {
  test('goes from the leaf to the root, whatever the order of the others', async () => {
    const { root, issuer } = await testAuthority();
    const leaf = readCertificate(await leafOf('worker/etl-1'));
    for (const others of [
      [root.certificate, issuer.certificate],
      [issuer.certificate, root.certificate, issuer.certificate],
    ]) {
      const { certificates, complete } = chainOf(leaf, others);
      expect(certificates.map(({ subject }) => subject)).toEqual([
        leaf.subject,
        issuer.certificate.subject,
        root.certificate.subject,
      ]);
      expect(complete).toBe(true);
    }
  });

  test('takes no namesake: it goes by the signature', async () => {
    const { root, issuer, leafKey } = await testAuthority();
    const leaf = readCertificate(await leafOf('worker/etl-1'));
    const names = { commonName: 'test issuer', trustDomain: TRUST_DOMAIN, notBefore: at(-1), notAfter: at(365) };
    const namesake = readCertificate(await createIssuer({ ...names, key: leafKey, root }));
    expect(chainOf(leaf, [namesake, root.certificate])).toEqual({ certificates: [leaf], complete: false });
    const { certificates } = chainOf(leaf, [namesake, issuer.certificate, root.certificate]);
    expect(certificates).toEqual([leaf, issuer.certificate, root.certificate]);
  });

  test('ends where the certificates end, and says so', async () => {
    const { root, issuer } = await testAuthority();
    const leaf = readCertificate(await leafOf('worker/etl-1'));
    expect(chainOf(leaf, [])).toEqual({ certificates: [leaf], complete: false });
    expect(chainOf(leaf, [root.certificate])).toEqual({ certificates: [leaf], complete: false });
    expect(chainOf(leaf, [issuer.certificate])).toMatchObject({ complete: false });
    expect(chainOf(root.certificate, [])).toEqual({ certificates: [root.certificate], complete: true });
  });
});
