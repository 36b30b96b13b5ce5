// Whose a certificate is that our CA signed but would never make: of the one that its URI or its CN names exactly, or nobody's.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compileRules, defaultRules, type IdentityRule, identify } from '../../src/identity/identify.ts';
import { isIdentityName } from '../../src/identity/name.ts';
import { contextConstructed, encodeTlv, TAG } from '../../src/pki/der.ts';
import {
  attribute,
  CN,
  type Crafted,
  DNS,
  EMAIL,
  generalNames,
  nameOf,
  OU,
  oid,
  rdn,
  readCrafted,
  spiffe,
  TRUST_DOMAIN,
  URI,
  utf16,
  utf32,
} from './fixture.ts';

/** Who a certificate of these parts is, by these rules: a name, or the code of the refusal. */
async function who(parts: Crafted, rules: readonly IdentityRule[] = defaultRules): Promise<string> {
  const identified = identify(await readCrafted(parts), compileRules(rules), TRUST_DOMAIN);
  return identified.ok ? identified.identity : identified.code;
}

const byCommonName: readonly IdentityRule[] = [{ from: 'CN', match: '([a-z]+/[a-z0-9-]+)', as: '$1' }];
/** As careless as a rule can be: whatever the CN begins with. */
const careless: readonly IdentityRule[] = [{ from: 'CN', match: '([a-z0-9-]+).*', as: 'worker/$1' }];

describe('by its SPIFFE ID a certificate', () => {
  test('is who its one URI says', async () => {
    expect(await who({ san: generalNames([URI, spiffe('worker/etl-1')]) })).toBe('worker/etl-1');
  });

  test('is nobody with two, whichever comes first, the same one too, and whatever the rules', async () => {
    for (const [one, two] of [
      [spiffe('worker/etl-1'), spiffe('user/root')],
      [spiffe('worker/etl-1'), spiffe('worker/etl-1')],
      [spiffe('worker/etl-1'), 'SPIFFE://prefect.example/user/root'],
      [spiffe('worker/etl-1'), 'spiffe://other.example/user/root'],
    ] as const) {
      for (const rules of [defaultRules, byCommonName]) {
        const subject = nameOf(rdn(CN, TAG.utf8String, 'worker/etl-1'));
        expect(await who({ subject, san: generalNames([URI, one], [URI, two]) }, rules)).toBe('CG_IDENTITY_AMBIGUOUS');
        expect(await who({ subject, san: generalNames([URI, two], [DNS, 'x'], [URI, one]) }, rules)).toBe(
          'CG_IDENTITY_AMBIGUOUS',
        );
      }
    }
  });

  test('is nobody with another URI beside it', async () => {
    expect(await who({ san: generalNames([URI, spiffe('worker/etl-1')], [URI, 'https://x.example']) })).toBe(
      'CG_IDENTITY_AMBIGUOUS',
    );
  });

  test.each<[string, string]>([
    ['a NUL after the name', spiffe('worker/etl-1\0')],
    ['a NUL inside the name', spiffe('worker/etl-1\0.evil')],
    ['a line feed', spiffe('worker/etl-1\nworker/x')],
    ['a comma that prints as a second SAN', spiffe('worker/etl-1, URI:spiffe://prefect.example/user/root')],
    ['a quote', spiffe('worker/"etl-1"')],
    ['percent-encoding', spiffe('worker/etl%2D1')],
    ['an encoded slash', spiffe('worker%2Fetl-1')],
    ['capitals', spiffe('worker/Etl-1')],
    ['a query', spiffe('worker/etl-1?x')],
    ['a fragment', spiffe('worker/etl-1#x')],
    ['a dot segment', spiffe('worker/../user/root')],
    ['an empty segment', spiffe('worker//etl-1')],
    ['a slash at the end', spiffe('worker/etl-1/')],
    ['a space around it', ` ${spiffe('worker/etl-1')}`],
    ['another scheme spelling', `SPIFFE://${TRUST_DOMAIN}/worker/etl-1`],
    ['a port', `spiffe://${TRUST_DOMAIN}:443/worker/etl-1`],
    ['a user before the host', `spiffe://x@${TRUST_DOMAIN}/worker/etl-1`],
    ['an unknown kind', spiffe('root/etl-1')],
    ['no path', `spiffe://${TRUST_DOMAIN}`],
  ])('is nobody with %s', async (_, uri) => {
    expect(await who({ san: generalNames([URI, uri]) })).toMatch(/^CG_IDENTITY_(?:ODD|NONE)$/);
  });

  test('is nobody of another trust domain, a longer or a shorter one neither', async () => {
    for (const domain of [
      'other.example',
      `x${TRUST_DOMAIN}`,
      `${TRUST_DOMAIN}.evil`,
      'prefect',
      `sub.${TRUST_DOMAIN}`,
    ]) {
      expect(await who({ san: generalNames([URI, `spiffe://${domain}/worker/etl-1`]) })).toBe('CG_IDENTITY_FOREIGN');
    }
  });

  test('is nobody when a DNS name, an address or an otherName holds the text of a SPIFFE ID', async () => {
    const other = encodeTlv(
      contextConstructed(0),
      oid('1.3.6.1.4.1.311.20.2.3'),
      encodeTlv(contextConstructed(0), encodeTlv(TAG.utf8String, Buffer.from(spiffe('worker/etl-1')))),
    );
    expect(await who({ san: generalNames([DNS, spiffe('worker/etl-1')]) })).toBe('CG_IDENTITY_NONE');
    expect(await who({ san: generalNames([EMAIL, spiffe('worker/etl-1')]) })).toBe('CG_IDENTITY_NONE');
    expect(await who({ san: encodeTlv(TAG.sequence, other) })).toBe('CG_IDENTITY_NONE');
    expect(await who({ san: generalNames([4, nameOf(rdn(CN, TAG.utf8String, spiffe('worker/etl-1')))]) })).toBe(
      'CG_IDENTITY_NONE',
    );
    expect(await who({ san: generalNames([DNS, `x, URI:${spiffe('worker/etl-1')}`]) })).toBe('CG_IDENTITY_NONE');
    expect(await who({ san: generalNames([DNS, `x\0URI:${spiffe('worker/etl-1')}`]) })).toBe('CG_IDENTITY_NONE');
  });

  test('whatever its URI, is who that URI names exactly, or nobody', async () => {
    const piece = fc.constantFrom(
      'worker',
      'user',
      '/',
      'etl-1',
      '.',
      '..',
      '\0',
      ',',
      '"',
      '%2F',
      'A',
      ' ',
      '\n',
      '-',
      '_',
    );
    const path = fc.oneof(
      fc.array(piece, { maxLength: 6 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary-ascii' }),
    );
    await fc.assert(
      fc.asyncProperty(path, async (text) => {
        const expected = isIdentityName(text) ? text : 'CG_IDENTITY_ODD';
        expect(await who({ san: generalNames([URI, spiffe(text)]) })).toBe(
          text.startsWith('gate/') && isIdentityName(text) ? 'CG_IDENTITY_RESERVED' : expected,
        );
      }),
      { numRuns: 150 },
    );
  });
});

describe('by its CN a certificate', () => {
  const named = (tag: number, value: Uint8Array | string): Crafted => ({ subject: nameOf(rdn(CN, tag, value)) });

  test.each([
    ['a UTF8String', TAG.utf8String, Buffer.from('worker/etl-1')],
    ['a PrintableString', TAG.printableString, Buffer.from('worker/etl-1')],
    ['an IA5String', TAG.ia5String, Buffer.from('worker/etl-1')],
    ['a BMPString', TAG.bmpString, utf16('worker/etl-1')],
    ['a UniversalString', TAG.universalString, utf32('worker/etl-1')],
  ])('is the same name in %s', async (_, tag, value) => {
    expect(await who(named(tag, value), byCommonName)).toBe('worker/etl-1');
  });

  test('is nobody when its octets only look like the name in another string type', async () => {
    expect(await who(named(TAG.bmpString, Buffer.from('worker/etl-1')), byCommonName)).toBe('CG_IDENTITY_NONE');
    expect(await who(named(TAG.utf8String, utf16('worker/etl-1')), byCommonName)).toBe('CG_IDENTITY_ODD');
  });

  test.each([
    ['a NUL', 'etl-1\0.evil'],
    ['a line feed that prints as a second attribute', 'etl-1\nCN=root'],
    ['a carriage return', 'etl-1\r'],
    ['a character that turns the writing direction', 'etl-1\u202e1-toor'],
    ['a zero-width space', 'etl\u200b-1'],
    ['a byte order mark', '\ufeffetl-1'],
    ['a line separator', 'etl-1\u2028x'],
    ['an unassigned character', 'etl-1\u0378'],
    ['a private character', 'etl-1\ue000'],
    ['more than 256 characters', `etl-1${'x'.repeat(252)}`],
  ])('is nobody with %s, even to a careless rule', async (_, value) => {
    expect(await who(named(TAG.utf8String, value), careless)).toBe('CG_IDENTITY_ODD');
  });

  test.each([
    ['a comma and a second CN in its text', 'worker/etl-1, CN=user/root'],
    ['a plus and a second CN in its text', 'worker/etl-1+CN=user/root'],
    ['quotes', '"worker/etl-1"'],
    ['an escape', 'worker\\/etl-1'],
    ['letters that look alike', 'w\u043erker/etl-1'],
    ['fullwidth letters', '\uff57orker/etl-1'],
    ['a combining accent', 'worker/etl-1\u0301'],
  ])('is not the name that it contains with %s', async (_, value) => {
    expect(await who(named(TAG.utf8String, value), byCommonName)).toBe('CG_IDENTITY_NONE');
  });

  test('is nobody with two different CNs, in two RDNs or in one', async () => {
    const two = [attribute(CN, TAG.utf8String, 'worker/etl-1'), attribute(CN, TAG.utf8String, 'user/root')];
    const apart = nameOf(...two.map((one) => encodeTlv(TAG.set, one)));
    expect(await who({ subject: apart }, byCommonName)).toBe('CG_IDENTITY_AMBIGUOUS');
    expect(await who({ subject: nameOf(encodeTlv(TAG.set, ...two)) }, byCommonName)).toBe('CG_IDENTITY_AMBIGUOUS');
  });

  test('is nobody when only the text of another attribute or a SAN says CN=', async () => {
    const subject = nameOf(
      rdn(OU, TAG.utf8String, 'x, CN=worker/etl-1'),
      rdn('2.5.4.10', TAG.utf8String, 'x\nCN=worker/etl-1'),
    );
    expect(await who({ subject, san: generalNames([DNS, 'CN=worker/etl-1']) }, byCommonName)).toBe('CG_IDENTITY_NONE');
  });
});
