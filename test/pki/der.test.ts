import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  childrenOf,
  contentOf,
  DerFault,
  encodeTlv,
  readBits,
  readBoolean,
  readOid,
  readOnly,
  readTime,
  readTlv,
  readUnsigned,
  TAG,
  toHex,
} from '../../src/pki/der.ts';
import { oid } from './fixture.ts';

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex');
const whole = (bytes: Uint8Array) => readTlv(bytes, 0, bytes.length);
const ascii = (tag: number, text: string): Uint8Array => encodeTlv(tag, Buffer.from(text, 'latin1'));

describe('a value', () => {
  test('is read back as it was written, whatever its length', () => {
    const lengths = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(127, 128, 255, 256, 65_535));
    fc.assert(
      fc.property(lengths, (length) => {
        const content = new Uint8Array(length).fill(7);
        const der = encodeTlv(TAG.octetString, content);
        expect(Buffer.from(contentOf(der, readOnly(der, TAG.octetString, 'it'))).equals(content)).toBe(true);
      }),
    );
  });

  test.each([
    ['an indefinite length', '30 80 00 00'],
    ['a length longer than it need be', '04 81 01 00'],
    ['a length with a leading zero octet', `04 82 00 80 ${'00'.repeat(128)}`],
    ['a length of five octets', '04 85 01 00 00 00 00 00'],
    ['a tag of more than one octet', '1f 81 01 00'],
    ['less than its length', '04 02 00'],
    ['no length', '04'],
    ['nothing', ''],
  ])('is refused with %s', (_, text) => {
    expect(() => whole(hex(text))).toThrow(DerFault);
  });

  test('may have a length of four octets, as the list of a million revocations has', () => {
    const content = Buffer.alloc(2 ** 24, 1);
    const der = encodeTlv(TAG.octetString, content);
    expect(Buffer.from(der.subarray(0, 6)).toString('hex')).toBe('048401000000');
    expect(contentOf(der, readOnly(der, TAG.octetString, 'it'))).toHaveLength(2 ** 24);
    expect(() => readOnly(der.subarray(0, -1), TAG.octetString, 'it')).toThrow('runs past its end');
  });

  test('is refused with anything after it', () => {
    expect(() => readOnly(hex('04 00 00'), TAG.octetString, 'it')).toThrow('1 octets after the it');
  });

  test('is refused where its children do not fill it', () => {
    const parent = hex('30 03 04 00 04');
    expect(() => childrenOf(parent, whole(parent))).toThrow(DerFault);
  });

  test('made of arbitrary octets is read or refused as a fault, never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          for (const child of childrenOf(bytes, whole(bytes))) expect(child.end).toBeLessThanOrEqual(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(DerFault);
        }
      }),
    );
  });
});

describe('an object identifier', () => {
  test.each(['2.5.4.3', '1.2.840.10045.4.3.2', '0.9.2342.19200300.100.1.25', '2.5.29.17', '2.999.1'])(
    '%s is read',
    (dotted) => {
      const bytes =
        dotted === '2.999.1'
          ? hex('06 03 88 37 01')
          : dotted.startsWith('0.9')
            ? hex('06 0a 09 92 26 89 93 f2 2c 64 01 19')
            : oid(dotted);
      expect(readOid(bytes, whole(bytes), 'it')).toBe(dotted);
    },
  );

  test.each([
    ['a padded arc, which would give one attribute two spellings', '06 04 55 04 80 03'],
    ['its last arc cut short', '06 03 55 04 83'],
    ['nothing in it', '06 00'],
    ['an arc beyond exact numbers', `06 0b 55 ${'ff'.repeat(9)} 7f`],
  ])('is refused with %s', (_, text) => {
    expect(() => readOid(hex(text), whole(hex(text)), 'it')).toThrow(DerFault);
  });
});

describe('an integer', () => {
  test('is read as hex of whole octets without its sign octet', () => {
    expect(readUnsigned(hex('02 02 00 ff'), whole(hex('02 02 00 ff')), 20, 'it')).toBe('ff');
    expect(readUnsigned(hex('02 02 0f 01'), whole(hex('02 02 0f 01')), 20, 'it')).toBe('0f01');
    expect(readUnsigned(hex('02 01 00'), whole(hex('02 01 00')), 20, 'it')).toBe('00');
  });

  test.each([
    ['negative', '02 01 ff'],
    ['padded', '02 02 00 01'],
    ['empty', '02 00'],
    ['longer than it may be', `02 15 ${'01'.repeat(21)}`],
  ])('is refused when %s', (_, text) => {
    expect(() => readUnsigned(hex(text), whole(hex(text)), 20, 'it')).toThrow(DerFault);
  });
});

describe('small values', () => {
  test.each(['01 01 01', '01 02 ff ff', '01 00'])('a boolean %s is neither true nor false', (text) => {
    expect(() => readBoolean(hex(text), whole(hex(text)), 'it')).toThrow(DerFault);
  });

  test('a bit string says how many bits do not count, seven at most, none when it is empty', () => {
    expect(toHex(readBits(hex('03 02 01 06'), whole(hex('03 02 01 06')), 'it').bits)).toBe('06');
    expect(() => readBits(hex('03 02 08 00'), whole(hex('03 02 08 00')), 'it')).toThrow(DerFault);
    expect(() => readBits(hex('03 01 01'), whole(hex('03 01 01')), 'it')).toThrow(DerFault);
  });

  test.each([
    [TAG.utcTime, '491231235959Z', '2049-12-31T23:59:59.000Z'],
    [TAG.utcTime, '500101000000Z', '1950-01-01T00:00:00.000Z'],
    [TAG.generalizedTime, '20500101000000Z', '2050-01-01T00:00:00.000Z'],
  ])('the time %i %s is %s', (tag, text, iso) => {
    expect(readTime(ascii(tag, text), whole(ascii(tag, text)), 'it').toISOString()).toBe(iso);
  });

  test.each([
    [TAG.utcTime, '2612312359Z'],
    [TAG.utcTime, '261231235959+0100'],
    [TAG.utcTime, '260230000000Z'],
    [TAG.generalizedTime, '20500101000000.5Z'],
    [TAG.generalizedTime, '20500101000000'],
    [TAG.ia5String, '20500101000000Z'],
  ])('the time %i %s is refused', (tag, text) => {
    expect(() => readTime(ascii(tag, text), whole(ascii(tag, text)), 'it')).toThrow(DerFault);
  });
});
