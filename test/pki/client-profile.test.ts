import { describe, expect, test } from 'vitest';
import { clientProblemOf } from '../../src/pki/client-profile.ts';
import { contextConstructed, encodeTlv, TAG } from '../../src/pki/der.ts';
import { codeOfSync, craft, extension, generalNames, leafOf, oid, SAN, testAuthority } from './fixture.ts';

const EKU = '2.5.29.37';
const purposes = (...oids: readonly string[]): Uint8Array => extension(EKU, encodeTlv(TAG.sequence, ...oids.map(oid)));
const CLIENT = purposes('1.3.6.1.5.5.7.3.2');
const usage = (...octets: readonly number[]): Uint8Array =>
  extension('2.5.29.15', Uint8Array.of(TAG.bitString, octets.length + 1, 0, ...octets), true);
const noName = encodeTlv(TAG.sequence);
const san = (critical: boolean): Uint8Array => extension(SAN, generalNames([2, 'a.example']), critical);

const ACCESS = '1.3.6.1.5.5.7.1.1';
const CA_ISSUERS = '1.3.6.1.5.5.7.48.2';
const ACCESS_PROBLEM = 'says in no readable way where its issuer is';
const access = (...parts: readonly Uint8Array[]): Uint8Array =>
  extension(ACCESS, encodeTlv(TAG.sequence, ...(parts.length === 0 ? [] : [encodeTlv(TAG.sequence, ...parts)])));

const LIST = encodeTlv(contextConstructed(3), encodeTlv(TAG.sequence, CLIENT));
const VERSION_PROBLEM = "is of version 2, which can't say what it is for";
const URL_OF_CA = encodeTlv(0x86, Buffer.from('http://ca.example/ca.crt'));
const way = (...parts: readonly Uint8Array[]): Uint8Array => encodeTlv(TAG.sequence, ...parts);
const WAYS: ReadonlyArray<readonly [string, ...Uint8Array[]]> = [
  ['a text in place of the method', way(encodeTlv(TAG.utf8String, Buffer.from('web')), URL_OF_CA)],
  ['three parts', way(oid(CA_ISSUERS), URL_OF_CA, URL_OF_CA)],
  ['what is no name', way(oid(CA_ISSUERS), encodeTlv(TAG.octetString, Buffer.from('http://ca.example/')))],
  ['a second that is none', way(oid(CA_ISSUERS), URL_OF_CA), way(oid(CA_ISSUERS))],
];

describe('a certificate is a client’s', () => {
  test('when it says where its issuer is', async () => {
    expect(clientProblemOf(await craft({ extensions: [CLIENT, access(oid(CA_ISSUERS), URL_OF_CA)] }))).toBeNull();
  });

  test('when each of several ways to its issuer can be read, and it says in full that it is no CA’s', async () => {
    const one = way(oid(CA_ISSUERS), URL_OF_CA);
    const noCa = extension('2.5.29.19', encodeTlv(TAG.sequence, Uint8Array.of(TAG.boolean, 1, 0)), true);
    const extensions = [CLIENT, noCa, extension(ACCESS, encodeTlv(TAG.sequence, one, one))];
    expect(clientProblemOf(await craft({ extensions }))).toBeNull();
  });

  test('when it has a mailbox', async () => {
    const extensions = [CLIENT, extension(SAN, generalNames([1, 'ada+etl@mail.example']))];
    expect(clientProblemOf(await craft({ extensions }))).toBeNull();
  });

  test('when certgate issued it for one, under a short name or one too long for the subject', async () => {
    for (const name of ['worker/etl-1', `worker/${'a'.repeat(100)}`]) {
      expect(clientProblemOf(await leafOf(name, { dns: ['etl_1.example'], ip: ['192.0.2.7', '::1'] }))).toBeNull();
    }
  });

  test('when it is for clients and for something else, and says nothing of key usage', async () => {
    const extensions = [purposes('1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2')];
    expect(clientProblemOf(await craft({ extensions }))).toBeNull();
  });
});

describe('a certificate is no client’s', () => {
  test.each<[string, Parameters<typeof craft>[0], string]>([
    ['with the purpose of servers alone', { extensions: [purposes('1.3.6.1.5.5.7.3.1')] }, 'is not for clients'],
    ['with every purpose', { extensions: [purposes('2.5.29.37.0')] }, 'is not for clients'],
    [
      'with every purpose beside that of clients',
      { extensions: [purposes('1.3.6.1.5.5.7.3.2', '2.5.29.37.0')] },
      'is for every purpose, not for clients alone',
    ],
    ['with nothing where its issuer would be', { extensions: [CLIENT, access()] }, ACCESS_PROBLEM],
    ['with a way to its issuer that is none', { extensions: [CLIENT, access(oid(CA_ISSUERS))] }, ACCESS_PROBLEM],
    [
      'with text for a way to its issuer',
      { extensions: [CLIENT, extension(ACCESS, Buffer.from('web'))] },
      ACCESS_PROBLEM,
    ],
    ['without any', { extensions: [] }, 'is not for clients'],
    [
      'when it is a CA’s',
      {
        extensions: [
          CLIENT,
          extension('2.5.29.19', encodeTlv(TAG.sequence, Uint8Array.of(TAG.boolean, 1, 0xff)), true),
        ],
      },
      "is a CA's",
    ],
    ['when it may sign certificates', { extensions: [CLIENT, usage(0x84)] }, 'may sign certificates or CRLs'],
    ['when it may sign CRLs', { extensions: [CLIENT, usage(0x82, 0x80)] }, 'may sign certificates or CRLs'],
    [
      'with name constraints',
      {
        extensions: [
          CLIENT,
          extension(
            '2.5.29.30',
            encodeTlv(TAG.sequence, encodeTlv(contextConstructed(0), encodeTlv(TAG.sequence, encodeTlv(0x82)))),
          ),
        ],
      },
      "has name constraints, which only a CA's may have",
    ],
    ['with the serial number 0', { extensions: [CLIENT], serial: Uint8Array.of(0) }, 'has the serial number 0'],
    [
      'with no subject and a SAN that may be passed over',
      { extensions: [CLIENT, san(false)], subject: noName },
      'has an empty subject, and no critical SAN in its place',
    ],
    [
      'with no name at all',
      { extensions: [CLIENT], subject: noName },
      'has an empty subject, and no critical SAN in its place',
    ],
    [
      'with a wildcard',
      { extensions: [CLIENT, extension(SAN, generalNames([2, '*.example']))] },
      'has the DNS name "*.example", which is none',
    ],
    [
      'with an address for a host name',
      { extensions: [CLIENT, extension(SAN, generalNames([2, '192.0.2.7']))] },
      'has the DNS name "192.0.2.7", which is none',
    ],
    [
      'with a NUL in a host name',
      { extensions: [CLIENT, extension(SAN, generalNames([2, 'a\0.example']))] },
      'has the DNS name "a\\u{0}.example", which is none',
    ],
    ['of a version that has no extensions', { version: 1, tail: [] }, VERSION_PROBLEM],
    ...['@c.example', 'a b@c.example', ' a@c.example', 'a @c.example', 'a', 'a@', 'a@*.example', 'a@192.0.2.7'].map(
      (mailbox): [string, Parameters<typeof craft>[0], string] => [
        `with the mailbox ${JSON.stringify(mailbox)}`,
        { extensions: [CLIENT, extension(SAN, generalNames([1, mailbox]))] },
        `has the email name ${JSON.stringify(mailbox)}, which is none`,
      ],
    ),
    ...WAYS.map(([what, ...ways]): [string, Parameters<typeof craft>[0], string] => [
      `with ${what} for a way to its issuer`,
      { extensions: [CLIENT, extension(ACCESS, encodeTlv(TAG.sequence, ...ways))] },
      ACCESS_PROBLEM,
    ]),
    [
      'with two @ in a mailbox',
      { extensions: [CLIENT, extension(SAN, generalNames([1, 'a@b@c.example']))] },
      'has the email name "a@b@c.example", which is none',
    ],
  ])('%s', async (_, crafted, problem) => {
    expect(clientProblemOf(await craft(crafted))).toBe(problem);
  });

  test('when it is a server’s, an issuer’s or a root’s of certgate', async () => {
    const { root, issuer } = await testAuthority();
    expect(clientProblemOf(await leafOf('gate/host', { profile: 'server' }))).toBe('is not for clients');
    for (const { certificate } of [root, issuer]) expect(clientProblemOf(certificate.raw)).toBe("is a CA's");
  });

  test.each<[string, Parameters<typeof craft>[0]]>([
    ['of a version that nobody knows', { version: 3 }],
    ['that writes out the version that goes without saying', { version: 0, tail: [] }],
    ['with extensions that its version can not have', { version: 1 }],
    ['with something else behind its extensions', { tail: [LIST, LIST] }],
    [
      'with two lists of extensions',
      { tail: [encodeTlv(contextConstructed(3), encodeTlv(TAG.sequence), encodeTlv(TAG.sequence))] },
    ],
    ['with a part that nobody knows', { tail: [encodeTlv(contextConstructed(4))] }],
  ])('but unreadable, as one %s', async (_, crafted) => {
    const der = await craft(crafted);
    expect(codeOfSync(() => clientProblemOf(der))).toBe('CG_CERT_UNREADABLE');
  });

  test('but unreadable, when what it says of its purpose is', async () => {
    const der = await craft({ extensions: [extension(EKU, Uint8Array.of(TAG.integer, 1, 1))] });
    expect(codeOfSync(() => clientProblemOf(der))).toBe('CG_CERT_UNREADABLE');
  });
});
