import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  bundleIdOf,
  bundleIsSigned,
  bundleStatement,
  type NumberedBundle,
  readBundleStatement,
  signBundle,
} from '../../src/pki/bundle-signature.ts';
import { createIssuer, createRoot, type Issuer, issuerOf } from '../../src/pki/certificates.ts';
import { generateKey } from '../../src/pki/keys.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { at, leafOf, TRUST_DOMAIN, testAuthority } from './fixture.ts';

const BUNDLE: NumberedBundle = { pem: 'a bundle', number: 7 };
const times = { notBefore: at(-1), notAfter: at(300) };

/** A CA below `root`. */
async function below(root: Issuer): Promise<Issuer> {
  const key = await generateKey();
  const der = await createIssuer({ commonName: 'below', trustDomain: TRUST_DOMAIN, ...times, key, root });
  return issuerOf(der, signerOf(key.privateKey));
}
/** Whether the signature of `by` is believed by who knows `known`, where `offered` comes with it. */
async function believed(by: Issuer, known: readonly Issuer[], offered: readonly Issuer[], signed = BUNDLE) {
  const certificates = (all: readonly Issuer[]) => all.map(({ certificate }) => certificate);
  return bundleIsSigned(BUNDLE, await signBundle(signed, by.signer), certificates(known), certificates(offered));
}

describe('the signature of a trust bundle', () => {
  test('is believed of who is known, and of whom those have signed, however many CAs are between, in any order', async () => {
    const { root, issuer } = await testAuthority();
    const [between, beside] = [await below(root), await below(root)];
    const last = await below(between);
    expect(await believed(issuer, [root, issuer], [])).toBe(true);
    expect(await believed(beside, [root, issuer], [root, issuer, beside])).toBe(true);
    for (const offered of [
      [root, between, last],
      [last, between, issuer],
    ]) {
      expect(await believed(last, [root, issuer], offered)).toBe(true);
    }
    expect(await believed(last, [root, issuer], [root, last])).toBe(false);
  });

  test('is not believed of another CA, which its own root has signed, nor of a namesake', async () => {
    const { root, issuer } = await testAuthority();
    const key = await generateKey();
    const der = await createRoot({ commonName: 'test root', ...times, key });
    const namesake = issuerOf(der, signerOf(key.privateKey));
    const other = await below(namesake);
    for (const by of [namesake, other]) {
      expect(await believed(by, [root, issuer], [root, issuer, namesake, other])).toBe(false);
    }
  });

  test('is not believed of a leaf, known or offered', async () => {
    const { root, leafKey } = await testAuthority();
    const leaf = new X509Certificate(await leafOf('worker/etl-1'));
    const signature = await signBundle(BUNDLE, signerOf(leafKey.privateKey));
    expect(bundleIsSigned(BUNDLE, signature, [root.certificate, leaf], [leaf])).toBe(false);
  });

  test('is of one bundle and of one number', async () => {
    const { root } = await testAuthority();
    expect(await believed(root, [root], [], { ...BUNDLE, number: 8 })).toBe(false);
    expect(await believed(root, [root], [], { ...BUNDLE, pem: 'another' })).toBe(false);
    for (const signature of ['', 'AAAA', '!']) {
      expect(bundleIsSigned(BUNDLE, signature, [root.certificate], [])).toBe(false);
    }
  });
});

test('what is signed is read back as it was written, and nothing near it', () => {
  const id = bundleIdOf('a bundle');
  const read = (text: string) => readBundleStatement(Buffer.from(text, 'latin1'));
  expect(readBundleStatement(bundleStatement(id, 7))).toEqual({ bundleId: id, number: 7 });
  for (const text of [
    `certgate trust bundle 2\n07\n${id}\n`,
    `certgate trust bundle 2\n0\n${id}\n`,
    `certgate trust bundle 2\n9007199254740992\n${id}\n`,
    `certgate trust bundle 1\n7\n${id}\n`,
    `certgate trust bundle 2\n7\n${id}`,
    `certgate trust bundle 2\n7\n${id}\n\n`,
    `certgate trust bundle 2\n7\n${id.slice(1)}\n`,
    `certgate trust bundle 2\n7\n${id.toUpperCase()}\n`,
    `x certgate trust bundle 2\n7\n${id}\n`,
  ]) {
    expect(read(text)).toBeNull();
  }
});
