import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { derOf, derToPem, pemBlocks, pemToDer } from '../../src/pki/pem.ts';
import { codeOfSync } from './fixture.ts';

const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 });
const pemOf = (text: string): string => derToPem(Buffer.from(text), 'CERTIFICATE');

describe('PEM', () => {
  test('gives back the octets it was made of', () => {
    fc.assert(
      fc.property(bytes, (der) => {
        expect(Buffer.from(der).equals(pemToDer(derToPem(der, 'CERTIFICATE'), 'CERTIFICATE'))).toBe(true);
      }),
    );
  });

  test('has lines of 64 characters and a line feed at its end', () => {
    const lines = derToPem(new Uint8Array(100), 'X509 CRL').split('\n');
    expect(lines[0]).toBe('-----BEGIN X509 CRL-----');
    expect(lines[1]).toHaveLength(64);
    expect(lines.at(-1)).toBe('');
  });

  test('is read with Windows line ends, with text around it and without a last line end', () => {
    const text = `subject=CN = x\r\n${pemOf('one').replaceAll('\n', '\r\n').trim()}`;
    expect(Buffer.from(pemToDer(text, 'CERTIFICATE')).toString()).toBe('one');
  });

  test('of several blocks is read whole, in order, blocks of other labels passed over', () => {
    const key = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n';
    const blocks = pemBlocks(pemOf('one') + key + pemOf('two'), 'CERTIFICATE');
    expect(blocks.map((block) => Buffer.from(block).toString())).toEqual(['one', 'two']);
  });

  test.each([
    ['two blocks where one is meant', pemOf('one') + pemOf('two')],
    ['no block', 'nothing here'],
    ['a block of another label', derToPem(Buffer.from('x'), 'X509 CRL')],
    ['an end without a beginning', '-----END CERTIFICATE-----'],
    ['a block cut short', pemOf('one').split('-----END')[0] ?? ''],
    ['a block inside a block', pemOf('one').replace('\n', '\n-----BEGIN CERTIFICATE-----\n')],
    ['an end of another label', pemOf('one').replace('END CERTIFICATE', 'END X509 CRL')],
    ['no octets', '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n'],
    ['characters that are not base64', '-----BEGIN CERTIFICATE-----\nb25l!\n-----END CERTIFICATE-----\n'],
    ['base64 without its padding', '-----BEGIN CERTIFICATE-----\nb25lYQ\n-----END CERTIFICATE-----\n'],
    ['bits that base64 leaves over', '-----BEGIN CERTIFICATE-----\nb25lYR==\n-----END CERTIFICATE-----\n'],
    ['more text than any file has', ' '.repeat(17 * 1024 * 1024)],
  ])('is refused with %s', (_, text) => {
    expect(codeOfSync(() => pemToDer(text, 'CERTIFICATE'))).toBe('CG_PEM');
  });

  test('of arbitrary characters or octets is read or refused with a code', () => {
    const edges = fc.constantFrom('-----BEGIN CERTIFICATE-----\n', '-----END CERTIFICATE-----\n', 'b25l\n', '\r', '\0');
    const text = fc.array(fc.oneof(edges, fc.string()), { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, bytes, (pem, der) => {
        expect([null, 'CG_PEM']).toContain(codeOfSync(() => pemToDer(pem, 'CERTIFICATE')));
        expect([null, 'CG_PEM']).toContain(codeOfSync(() => derOf(der, 'CERTIFICATE')));
      }),
    );
  });

  test('and DER are told apart by the first octet of a file', () => {
    expect(derOf(Uint8Array.of(0x30, 0x00), 'CERTIFICATE')).toEqual(Uint8Array.of(0x30, 0x00));
    expect(Buffer.from(derOf(Buffer.from(pemOf('one')), 'CERTIFICATE')).toString()).toBe('one');
  });
});
