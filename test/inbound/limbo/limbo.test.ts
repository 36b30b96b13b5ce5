// x509-limbo's cases about chains, put to what a gate verifies clients with (chain.ts). What is expected to fail is
// refused, what is expected to succeed admitted, but for the cases listed here, each with its reason; a case that
// leaves its list fails the test as one does that joins it.
import { beforeAll, describe, expect, test } from 'vitest';
import { derToPem } from '../../../src/pki/certificates.ts';
import { privateKeyToPem } from '../../../src/pki/keys.ts';
import { leafOf, testAuthority } from '../../pki/fixture.ts';
import { corpus, verdictOn } from './chain.ts';

const CA_CERTIFICATE = 'it has no key usage for handshakes, and a CA is no client';
const ONE_PATH = 'OpenSSL follows one path, and takes no other when that one fails';

const STRICTER = new Map([
  ['rfc5280::ca-as-leaf', CA_CERTIFICATE],
  ['pathlen::validation-ignores-pathlen-in-leaf', CA_CERTIFICATE],
  ['rfc5280::eku::ee-without-eku', 'a certificate without extended key usage would be for everything'],
  ['webpki::nc::nc-permits-dns-san-pattern', 'a wildcard is no client’s name'],
  ['rfc5280::nc::nc-forbids-alternate-chain-ica', ONE_PATH],
  ['rfc5280::nc::nc-forbids-same-chain-ica', ONE_PATH],
]);

const ANCHOR = 'is about the anchor’s own certificate: what is in the trust bundle is trusted for its key and its name';
const CA_BELOW =
  'is about how a CA below the anchor is written: the holder of the anchor’s key wrote it, not the client';

const LAXER = new Map([
  ['rfc5280::nc::invalid-dnsname-leading-period', ANCHOR],
  ['rfc5280::ca-empty-subject', ANCHOR],
  ['webpki::aki::root-with-aki-all-fields', ANCHOR],
  ['webpki::aki::root-with-aki-authoritycertissuer', ANCHOR],
  ['webpki::aki::root-with-aki-authoritycertserialnumber', ANCHOR],
  ['webpki::aki::root-with-aki-ski-mismatch', ANCHOR],
  ['rfc5280::aki::cross-signed-root-missing-aki', ANCHOR],
  ['rfc5280::root-missing-basic-constraints', ANCHOR],
  ['rfc5280::root-non-critical-basic-constraints', ANCHOR],
  ['rfc5280::ski::root-missing-ski', ANCHOR],
  ['webpki::aki::root-with-aki-missing-keyidentifier', ANCHOR],
  ['webpki::eku::root-has-eku', ANCHOR],
  ['webpki::forbidden-dsa-root', ANCHOR],
  ['webpki::forbidden-rsa-not-divisible-by-8-in-root', ANCHOR],
  ['rfc5280::aki::intermediate-missing-aki', CA_BELOW],
  ['rfc5280::ski::intermediate-missing-ski', CA_BELOW],
  ['rfc5280::pc::ica-noncritical-pc', CA_BELOW],
  ['webpki::nc::intermediate-permitted-excluded-subtrees-both-empty-sequences', CA_BELOW],
  ['webpki::nc::intermediate-permitted-excluded-subtrees-both-null', CA_BELOW],
  ['rfc5280::nc::permitted-dns-match-noncritical', 'certgate’s own name constraints are not critical, for Chromium'],
  ['rfc5280::san::underscore-dns', 'host names in the field have underscores, and no identity is a host name'],
  ['webpki::eku::ee-critical-eku', 'the public web asks that it be not critical; RFC 5280 §4.2.1.12 leaves it open'],
]);

let credentials: { readonly keyPem: string; readonly chainPem: string };
beforeAll(async () => {
  const { leafKey } = await testAuthority();
  const chainPem = derToPem(await leafOf('gate/host', { profile: 'server' }), 'CERTIFICATE');
  credentials = { keyPem: privateKeyToPem(leafKey.privateKey), chainPem };
});

const expecting = (expected: 'SUCCESS' | 'FAILURE', unless: ReadonlyMap<string, string>) =>
  corpus.cases.flatMap((limbo) =>
    limbo.expected === expected && !unless.has(limbo.id) ? [[limbo.id, limbo] as const] : [],
  );
const listed = (list: ReadonlyMap<string, string>) =>
  [...list].map(([id, reason]) => [id, reason, corpus.cases.find((limbo) => limbo.id === id)] as const);

describe('a chain that must fail is refused:', () => {
  test.each(expecting('FAILURE', LAXER))('%s', async (_, limbo) => {
    expect(await verdictOn(limbo, credentials)).toMatch(/^(CG_CLIENT_|CG_CERT_UNREADABLE|handshake failed)/);
  });
});

describe('a chain that must succeed is admitted:', () => {
  test.each(expecting('SUCCESS', STRICTER))('%s', async (_, limbo) => {
    expect(await verdictOn(limbo, credentials)).toBe('admitted');
  });
});

describe('a chain that may succeed is refused:', () => {
  test.each(listed(STRICTER))('%s, because %s', async (id, _, limbo) => {
    if (limbo === undefined) throw new Error(`no case ${id}`);
    expect(limbo.expected).toBe('SUCCESS');
    expect(await verdictOn(limbo, credentials)).toMatch(/^CG_CLIENT_/);
  });
});

describe('a chain that should fail is admitted all the same:', () => {
  test.each(listed(LAXER))('%s: %s', async (id, _, limbo) => {
    if (limbo === undefined) throw new Error(`no case ${id}`);
    expect(limbo.expected).toBe('FAILURE');
    expect(await verdictOn(limbo, credentials)).toBe('admitted');
  });
});

test('every case of the corpus is asked or left out with a reason', () => {
  expect(corpus.commit).toMatch(/^[0-9a-f]{40}$/);
  expect(corpus.cases.length).toBeGreaterThan(130);
  expect(corpus.cases.length + Object.keys(corpus.leftOut).length).toBe(194);
  expect(Object.values(corpus.leftOut).every((reason) => reason.length > 10)).toBe(true);
});
