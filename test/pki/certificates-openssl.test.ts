// What OpenSSL, which decides about chains in production, says of our certificates in its strictest mode.
import { describe, expect, test } from 'vitest';
import { createIssuer, derToPem, issuerOf, readCertificate, signerOf } from '../../src/pki/certificates.ts';
import { generateKey, keyId } from '../../src/pki/keys.ts';
import { at, leafOf, NOW, TRUST_DOMAIN, testAuthority } from './fixture.ts';
import { type Answer, folderWith, openssl } from './openssl.ts';

const pem = (der: Uint8Array): string => derToPem(der, 'CERTIFICATE');

/** `openssl verify -x509_strict` of root → issuer → leaf at `days` from now. */
async function verify(
  leaf: Uint8Array,
  purpose: 'sslclient' | 'sslserver',
  days = 0,
  between?: string,
): Promise<Answer> {
  const { root, issuer } = await testAuthority();
  const folder = folderWith({
    'root.crt': pem(root.certificate.raw),
    'issuer.crt': between ?? pem(issuer.certificate.raw),
    'leaf.crt': pem(leaf),
  });
  const when = String(NOW + days * 86_400);
  return openssl(
    folder,
    ...['verify', '-x509_strict', '-check_ss_sig', '-purpose', purpose, '-attime', when],
    ...['-CAfile', 'root.crt', '-untrusted', 'issuer.crt', 'leaf.crt'],
  );
}

describe('openssl verify -x509_strict', () => {
  test('accepts a client leaf for clients and a server leaf for servers', async () => {
    const dns = ['localhost', 'prefect.example'];
    const server = await leafOf('gate/host', { profile: 'server', dns, ip: ['127.0.0.1', '::1'] });
    expect(await verify(await leafOf('worker/etl-1'), 'sslclient')).toMatchObject({ ok: true });
    expect(await verify(server, 'sslserver')).toMatchObject({ ok: true });
  });

  test('accepts a leaf with an empty subject, the SAN being critical', async () => {
    expect(await verify(await leafOf(`worker/${'a'.repeat(100)}`), 'sslclient')).toMatchObject({ ok: true });
  });

  test.each(['P-384', 'Ed25519', 'RSA-2048'] as const)('accepts a leaf for a key of kind %s', async (kind) => {
    const { publicKey } = await generateKey(kind);
    expect(await verify(await leafOf('user/alice', { publicKey }), 'sslclient')).toMatchObject({ ok: true });
  });

  test('refuses a leaf for the other purpose', async () => {
    const client = await verify(await leafOf('worker/etl-1'), 'sslserver');
    const server = await verify(await leafOf('gate/host', { profile: 'server' }), 'sslclient');
    expect(client.text).toContain('unsuitable certificate purpose');
    expect(server.text).toContain('unsuitable certificate purpose');
    expect([client.ok, server.ok]).toEqual([false, false]);
  });

  test('refuses a leaf after its end and before its beginning', async () => {
    const leaf = await leafOf('worker/etl-1');
    expect((await verify(leaf, 'sslclient', 2)).text).toContain('certificate has expired');
    expect((await verify(leaf, 'sslclient', -2)).text).toContain('not yet valid');
  });

  test('refuses a leaf of another trust domain, by the name constraints of the issuer', async () => {
    const leaf = await leafOf('worker/etl-1', { spiffeUri: 'spiffe://other.example/worker/etl-1' });
    expect((await verify(leaf, 'sslclient')).text).toContain('permitted subtree violation');
  });

  test('refuses a leaf of a subdomain of the trust domain', async () => {
    const leaf = await leafOf('worker/etl-1', { spiffeUri: `spiffe://sub.${TRUST_DOMAIN}/worker/etl-1` });
    expect((await verify(leaf, 'sslclient')).text).toContain('permitted subtree violation');
  });

  test('refuses a CA made by the issuer, whose path length is 0', async () => {
    const { issuer } = await testAuthority();
    const key = await generateKey();
    const request = { commonName: 'rogue', trustDomain: TRUST_DOMAIN, notBefore: at(-1), notAfter: at(1), key };
    const rogue = issuerOf(await createIssuer({ ...request, root: issuer }), signerOf(key.privateKey));
    const leaf = await leafOf('worker/etl-1', { issuer: rogue });
    const chain = pem(rogue.certificate.raw) + pem(issuer.certificate.raw);
    expect((await verify(leaf, 'sslclient', 0, chain)).text).toContain('path length constraint exceeded');
  });

  test('refuses a leaf that signed another', async () => {
    const { issuer, leafKey } = await testAuthority();
    const { privateKey, publicKey } = leafKey;
    const signer = await leafOf('worker/etl-1');
    const posing = { certificate: readCertificate(signer), signer: signerOf(privateKey), keyId: keyId(publicKey) };
    const leaf = await leafOf('user/root', { issuer: posing });
    const answer = await verify(leaf, 'sslclient', 0, pem(signer) + pem(issuer.certificate.raw));
    expect(answer.text).toContain('invalid CA certificate');
  });

  test.each(['my_domain', 'prefect', 'a--b.x', '1.2.3', 'a'.repeat(255)])(
    'accepts the trust domain %s',
    async (trustDomain) => {
      const { root } = await testAuthority();
      const key = await generateKey();
      const request = { commonName: 'issuer', trustDomain, notBefore: at(-1), notAfter: at(1), key };
      const issuer = issuerOf(await createIssuer({ ...request, root }), signerOf(key.privateKey));
      const leaf = await leafOf('worker/x', { issuer, spiffeUri: `spiffe://${trustDomain}/worker/x` });
      expect(await verify(leaf, 'sslclient', 0, pem(issuer.certificate.raw))).toMatchObject({ ok: true });
    },
  );
});
