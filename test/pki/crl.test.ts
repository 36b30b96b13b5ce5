// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 needs it to be there first
import 'reflect-metadata';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addRevoked,
  type CrlEntries,
  type CrlRequest,
  createCrl,
  dropExpired,
  dropSerials,
  openCrlEntries,
} from '../../src/pki/crl.ts';
import { contextConstructed, encodeTlv, TAG } from '../../src/pki/der.ts';
import { describeCrl } from '../../src/pki/describe-crl.ts';
import { reasonNames } from '../../src/pki/oids.ts';
import { isSignedBy, readCrl } from '../../src/pki/read-crl.ts';
import { signerOf } from '../../src/pki/signing.ts';
import { readSigned } from '../../src/pki/structure.ts';
import { at, NOW, testAuthority } from './fixture.ts';
import { folderWith, openssl } from './openssl.ts';

const URL = 'http://status.example:8080/crl/00ff.crl';
const DAY = 86_400_000;
const [thisUpdate, nextUpdate] = [at(0), at(1)];

interface Revoked {
  readonly serial: string;
  readonly revokedAt: number;
  readonly reason: string;
  readonly notAfter: number;
}

const one = (serial: string, different: Partial<Revoked> = {}): Revoked => ({
  serial,
  revokedAt: NOW * 1000 - 1000,
  reason: 'keyCompromise',
  notAfter: NOW * 1000 + DAY,
  ...different,
});

function entriesOf(revoked: readonly Revoked[]): CrlEntries {
  const entries = openCrlEntries();
  for (const each of revoked) addRevoked(entries, each);
  return entries;
}

async function listOf(entries: CrlEntries, number = 7, distributionPoint: string | null = null) {
  const { issuer } = await testAuthority();
  return crlOf({ issuer, entries, number, thisUpdate, nextUpdate, distributionPoint, turn });
}

const turn = () => Promise.resolve();

/** With its parts joined. */
async function crlOf(request: CrlRequest) {
  const { parts, listed } = await createCrl(request);
  return { der: Buffer.concat(parts), listed };
}

const serial = fc
  .tuple(fc.integer({ min: 1, max: 255 }), fc.uint8Array({ maxLength: 18 }))
  .map(([first, rest]) => Buffer.from([first, ...rest]).toString('hex'));
const moment = fc.integer({ min: Date.UTC(1950, 0, 1) / 1000, max: Date.UTC(2090, 0, 1) / 1000 });
const revocation = fc.record({
  serial,
  revokedAt: moment.map((seconds) => seconds * 1000),
  // For none it writes an empty list of extensions, which RFC 5280 does not have (Extensions is SIZE (1..MAX)).
  reason: fc.constantFrom(...[...reasonNames.values()].filter((name) => name !== 'unspecified')),
  notAfter: fc.constant(NOW * 1000 + DAY),
});

describe('a revocation list', () => {
  test('is octet for octet what @peculiar/x509 writes', async () => {
    const { issuer, issuerKey } = await testAuthority();
    const key = issuerKey.privateKey.toCryptoKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign']);
    const list = fc.record({
      revoked: fc.uniqueArray(revocation, { selector: (each) => each.serial, maxLength: 60 }),
      number: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      dates: fc.tuple(moment, moment).map(([a, b]) => [new Date(a * 1000), new Date(b * 1000)] as const),
      isPublished: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(list, async ({ revoked, number, dates: [from, until], isPublished }) => {
        const ours = await crlOf({
          turn,
          ...{ issuer, entries: entriesOf(revoked), number, thisUpdate: from, nextUpdate: until },
          distributionPoint: isPublished ? URL : null,
        });
        const hex = number.toString(16);
        const octets = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
        const signed = (octets[0] ?? 0) >= 0x80 ? [0, ...octets] : octets;
        const name = encodeTlv(
          contextConstructed(0),
          encodeTlv(contextConstructed(0), encodeTlv(0x86, Buffer.from(URL))),
        );
        const theirs = await x509.X509CrlGenerator.create({
          issuer: new x509.Name([{ CN: [{ utf8String: 'test issuer' }] }]),
          thisUpdate: from,
          nextUpdate: until,
          entries: revoked.map((each) => ({
            serialNumber: each.serial,
            revocationDate: new Date(each.revokedAt),
            reason: x509.X509CrlReason[each.reason as keyof typeof x509.X509CrlReason],
          })),
          extensions: [
            new x509.AuthorityKeyIdentifierExtension(issuer.keyId),
            new x509.Extension('2.5.29.20', false, encodeTlv(TAG.integer, Uint8Array.from(signed))),
            ...(isPublished
              ? [new x509.Extension('2.5.29.28', true, encodeTlv(TAG.sequence, name, Uint8Array.of(0x81, 1, 0xff)))]
              : []),
          ],
          signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
          signingKey: key,
        });
        const part = (der: Uint8Array) => {
          const { tbs, signature } = readSigned(der, 'list');
          return Buffer.from(der.subarray(tbs.at, signature.at)).toString('hex');
        };
        expect(part(ours.der)).toBe(part(new Uint8Array(theirs.rawData)));
        expect(ours.listed).toBe(revoked.length);
        expect(
          await new x509.X509Crl(ours.der).verify({
            publicKey: new x509.PublicKey(issuer.certificate.publicKey.export({ type: 'spki', format: 'der' })),
          }),
        ).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('says what certgate inspect and OpenSSL read in it: number, key, point, reasons; none for `unspecified`', async () => {
    const { issuer } = await testAuthority();
    const entries = entriesOf([one('8f01'), one('4f02', { reason: 'unspecified' })]);
    const { der } = await listOf(entries, 0x80, URL);
    expect(describeCrl(der)).toMatchObject({
      number: '80',
      authorityKeyId: issuer.keyId,
      thisUpdate: thisUpdate.toISOString(),
      nextUpdate: nextUpdate.toISOString(),
      entries: [
        { serial: '8f01', revokedAt: new Date(NOW * 1000 - 1000).toISOString(), reason: 'keyCompromise' },
        { serial: '4f02', reason: null },
      ],
    });
    const { text } = await openssl(
      folderWith({ 'a.crl': der }),
      'crl',
      '-inform',
      'DER',
      '-in',
      'a.crl',
      '-noout',
      '-text',
    );
    expect(text).toMatch(
      /Issuing Distribution Point: critical\s+Full Name:\s+URI:http:\/\/status.example:8080\/crl\/00ff.crl\s+Only User Certificates/,
    );
    expect(text.match(/CRL entry extensions/g)).toHaveLength(1);
  });

  test('of nothing has no entries at all, rather than an empty list', async () => {
    const { der } = await listOf(openCrlEntries());
    expect(describeCrl(der)).toMatchObject({ revoked: 0, number: '07' });
    const { ok, text } = await openssl(
      folderWith({ 'a.crl': der }),
      'crl',
      '-inform',
      'DER',
      '-in',
      'a.crl',
      '-noout',
      '-text',
    );
    expect([ok, text]).toEqual([true, expect.stringContaining('No Revoked Certificates.')]);
  });

  test('is refused a number that is none', async () => {
    for (const number of [0, -1, 1.5, 2 ** 53])
      await expect(listOf(openCrlEntries(), number)).rejects.toThrow(RangeError);
  });
});

describe('an entry', () => {
  const serials = (der: Uint8Array) => describeCrl(der).entries.map((entry) => entry.serial);
  const at1 = thisUpdate.getTime();

  test('stays until a list issued after its certificate expired has named it (RFC 5280 §3.3)', async () => {
    const entries = entriesOf([
      one('01', { notAfter: at1 - 1000 }),
      one('02'),
      one('03', { notAfter: at1 }),
      one('04', { notAfter: at1 - DAY }),
    ]);
    const first = await listOf(entries);
    expect(serials(first.der)).toEqual(['01', '02', '03', '04']);
    // revoked while the first list was being signed, its certificate expired: no list has named it yet
    addRevoked(entries, one('05', { notAfter: at1 - 1000 }));
    expect(await dropExpired(entries, first.listed, at1, turn)).toBe(2);
    const second = await listOf(entries, 8);
    expect(serials(second.der)).toEqual(['02', '03', '05']);
    expect(await dropExpired(entries, second.listed, at1, turn)).toBe(1);
    expect(serials((await listOf(entries, 9)).der)).toEqual(['02', '03']);
  });

  test('is there once, and last, when it was dropped by its serial number and added anew', async () => {
    const several = fc.uniqueArray(revocation, { selector: (each) => each.serial, minLength: 1, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(several, fc.nat(), async (all, chosen) => {
        const entries = entriesOf(all);
        const again = all.filter((_, i) => i === chosen % all.length || i % 7 === 0);
        const absent = 'ab'.repeat(20); // longer than any serial number
        const named = [...again.map((each) => each.serial), absent];
        expect(await dropSerials(entries, named, turn)).toBe(again.length);
        for (const each of again) addRevoked(entries, { ...each, reason: 'keyCompromise' });
        const left = all.filter((each) => !again.includes(each));
        const { entries: read } = readCrl((await listOf(entries)).der);
        expect(read.map((entry) => entry.serial)).toEqual([...left, ...again].map((each) => each.serial));
        expect(read.slice(left.length).every((entry) => entry.reason === 'keyCompromise')).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('is the same whether it was added one by one, between drops, or all at once', async () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ add: fc.array(fc.record({ serial, expired: fc.boolean() }), { maxLength: 90 }) }),
        fc.constant('drop' as const),
      ),
      { maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const entries = openCrlEntries();
        let model: Revoked[] = [];
        for (const step of all) {
          if (step === 'drop') {
            await dropExpired(entries, entries.count, at1, turn);
            model = model.filter((each) => each.notAfter >= at1);
          } else {
            for (const { serial: number, expired } of step.add) {
              const each = one(number, expired ? { notAfter: at1 - 1000 } : {});
              addRevoked(entries, each);
              model.push(each);
            }
          }
        }
        const [list, anew] = [await listOf(entries), await listOf(entriesOf(model))];
        expect(list.listed).toBe(model.length);
        expect(describeCrl(list.der).entries).toEqual(describeCrl(anew.der).entries);
      }),
      { numRuns: 40 },
    );
  });
});

describe('a list of many', () => {
  /** More than two blocks of entries. */
  const MANY = 10_000;
  const numbered = (n: number, different: Partial<Revoked> = {}): Revoked =>
    one((0x100000 + n).toString(16), different);

  test('keeps what it was handed out as, whatever is added or dropped afterwards', async () => {
    const entries = openCrlEntries();
    const model: Revoked[] = [];
    for (let n = 0; n < MANY; n++) {
      model.push(numbered(n, n % 3 === 0 ? { notAfter: thisUpdate.getTime() - 1000 } : {}));
      addRevoked(entries, model[n] ?? numbered(n));
    }
    const request = {
      issuer: (await testAuthority()).issuer,
      entries,
      thisUpdate,
      nextUpdate,
      distributionPoint: null,
    };
    const early = await createCrl({ ...request, number: 1, turn });
    const before = Buffer.concat(early.parts);
    expect(await dropExpired(entries, early.listed, thisUpdate.getTime(), turn)).toBe(Math.ceil(MANY / 3));
    const more = Array.from({ length: 5_000 }, (_, n) => numbered(MANY + n));
    for (const each of more) addRevoked(entries, each);
    const late = await createCrl({ ...request, number: 2, turn });
    expect(Buffer.concat(early.parts).equals(before)).toBe(true);
    const serials = (list: Buffer) => readCrl(list).entries.map((entry) => entry.serial);
    expect(serials(before)).toEqual(model.map((each) => each.serial));
    const left = [...model.filter((_, n) => n % 3 !== 0), ...more];
    expect(serials(Buffer.concat(late.parts))).toEqual(left.map((each) => each.serial));
  });

  test('is written and thinned out with a turn for everybody else between two blocks', async () => {
    const { issuer } = await testAuthority();
    const entries = openCrlEntries();
    for (let n = 0; n < MANY; n++) addRevoked(entries, numbered(n, { notAfter: 0 }));
    let turns = 0;
    const counted = async (): Promise<void> => {
      turns++;
    };
    const { parts, listed } = await createCrl({
      ...{ issuer, entries, thisUpdate, nextUpdate, distributionPoint: null, number: 1, turn: counted },
    });
    expect(turns).toBeGreaterThanOrEqual(3);
    expect(Math.max(...parts.map(({ length }) => length))).toBeLessThan(512 * 1024);
    turns = 0;
    await dropExpired(entries, listed, thisUpdate.getTime(), counted);
    expect(turns).toBeGreaterThanOrEqual(3);
    expect(entries.count).toBe(0);
  });

  test.each(['P-256', 'P-384', 'RSA-2048', 'Ed25519'])('has a signature of the key, which is %s', async (kind) => {
    const { privateKey } = keyOf(kind);
    const signer = signerOf(privateKey);
    const { root } = await testAuthority();
    const entries = openCrlEntries();
    for (let n = 0; n < MANY; n++) addRevoked(entries, numbered(n));
    const issuer = { ...root, signer };
    const request = { issuer, entries, thisUpdate, nextUpdate, distributionPoint: null, number: 1, turn };
    const list = readCrl(Buffer.concat((await createCrl(request)).parts));
    expect(isSignedBy(list, signer.publicKey)).toBe(true);
    expect(isSignedBy(list, keyOf(kind).publicKey)).toBe(false);
  });
});

function keyOf(kind: string): { publicKey: KeyObject; privateKey: KeyObject } {
  if (kind === 'Ed25519') return generateKeyPairSync('ed25519');
  if (kind === 'RSA-2048') return generateKeyPairSync('rsa', { modulusLength: 2048 });
  return generateKeyPairSync('ec', { namedCurve: kind });
}
