// x509-limbo's cases about chains, put to what a gate verifies clients with (chain.ts). What is expected to fail is
// refused, what is expected to succeed admitted, but for the cases listed here, each with its reason; a case that
// leaves its list fails the test as one does that joins it. A third verdict is the door's: a gate trusts no CA but
// certgate's own and those that `init --root-cert` and `ca import` let in, and what these refuse no chain can begin with.
import { beforeAll, describe, expect, test } from 'vitest';
import { derToPem } from '../../../src/pki/certificates.ts';
import { privateKeyToPem } from '../../../src/pki/keys.ts';
import { leafOf, testAuthority } from '../../pki/fixture.ts';
import { corpus, doorOn, verdictOn } from './chain.ts';

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

/** Chains that a gate would take, if their CA ever got in: what the door says to it (src/authority/ca-fitness.ts). */
const NEVER_IN = new Map<string, RegExp>([
  ['rfc5280::ca-empty-subject', /contains no root: whoever signed a certificate without a name/],
  // OpenSSL takes them for signed by somebody else.
  ['webpki::aki::root-with-aki-all-fields', /contains no root/],
  ['webpki::aki::root-with-aki-authoritycertissuer', /contains no root/],
  ['webpki::aki::root-with-aki-authoritycertserialnumber', /contains no root/],
  ['webpki::aki::root-with-aki-ski-mismatch', /contains no root/],
  ['rfc5280::aki::cross-signed-root-missing-aki', /contains no root/],
  ['webpki::aki::root-with-aki-missing-keyidentifier', /authority key identifier, .* names no key/],
  ['rfc5280::root-missing-basic-constraints', /is not a CA's certificate/],
  ['rfc5280::ski::root-missing-ski', /has no subject key identifier/],
  ['webpki::eku::root-has-eku', /purposes \(clientAuth\) leave out serverAuth/],
  ['webpki::forbidden-dsa-root', /key is one of DSA/],
  ['webpki::forbidden-rsa-not-divisible-by-8-in-root', /RSA-2052, of a size that is no number of whole octets/],
  ['rfc5280::aki::intermediate-missing-aki', /authority key identifier, .* names no key/],
  ['rfc5280::ski::intermediate-missing-ski', /has no subject key identifier/],
  ['webpki::nc::intermediate-permitted-excluded-subtrees-both-empty-sequences', /name constraints name nothing/],
  ['webpki::nc::intermediate-permitted-excluded-subtrees-both-null', /name constraints name nothing/],
]);

const LAXER = new Map([
  ['rfc5280::nc::invalid-dnsname-leading-period', 'companies write so, and OpenSSL reads it as all hosts below'],
  ['rfc5280::root-non-critical-basic-constraints', 'easy-rsa makes such roots, and it is read whether critical or not'],
  ['rfc5280::pc::ica-noncritical-pc', 'a gate asks for no policy, and the holder of the anchor’s key wrote it'],
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

const expecting = (expected: 'SUCCESS' | 'FAILURE', ...unless: readonly ReadonlyMap<string, unknown>[]) =>
  corpus.cases.flatMap((limbo) =>
    limbo.expected === expected && !unless.some((list) => list.has(limbo.id)) ? [[limbo.id, limbo] as const] : [],
  );
const listed = <T>(list: ReadonlyMap<string, T>) =>
  [...list].map(([id, reason]) => [id, reason, corpus.cases.find((limbo) => limbo.id === id)] as const);

describe('a chain that must fail is refused:', () => {
  test.each(expecting('FAILURE', LAXER, NEVER_IN))('%s', async (_, limbo) => {
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

describe('a chain that should fail would be admitted, but its CA is never let in by the door:', () => {
  test.each(listed(NEVER_IN))('%s, which says %s', async (id, problem, limbo) => {
    if (limbo === undefined) throw new Error(`no case ${id}`);
    expect(limbo.expected).toBe('FAILURE');
    expect(await verdictOn(limbo, credentials)).toBe('admitted');
    expect(await doorOn(limbo)).toMatch(problem);
  });
});

describe('the door lets in the CA of a chain that may go on:', () => {
  const others = [
    'rfc5280::nc::permitted-dn-match', // its names are not certgate's
    'cve::cve-2024-0567', // anchors that are no roots
    'rfc5280::root-and-intermediate-swapped',
    'pathological::multiple-chains-expired-intermediate', // an anchor that has expired, beside a good one
  ];
  const some = [...expecting('SUCCESS', STRICTER), ...listed(LAXER).map(([id, , limbo]) => [id, limbo] as const)];
  test.each(some.filter(([id]) => !others.includes(id)))('%s', async (id, limbo) => {
    if (limbo === undefined) throw new Error(`no case ${id}`);
    expect(await doorOn(limbo)).toBeNull();
  });
});

test('every case of the corpus is asked or left out with a reason', () => {
  expect(corpus.commit).toMatch(/^[0-9a-f]{40}$/);
  expect(corpus.cases.length).toBeGreaterThan(130);
  expect(corpus.cases.length + Object.keys(corpus.leftOut).length).toBe(194);
  expect(Object.values(corpus.leftOut).every((reason) => reason.length > 10)).toBe(true);
});
