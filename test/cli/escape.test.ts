import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { printable, printableJson } from '../../src/cli/escape.ts';

describe('what others wrote', () => {
  test('can neither move the cursor, nor turn the line, nor hide', () => {
    expect(printable('a\u001b[2Jb')).toBe('a\\u{1b}[2Jb');
    expect(printable('one\r\ntwo')).toBe('one\\u{d}\\u{a}two');
    expect(printable('\u202eevil\u2066')).toBe('\\u{202e}evil\\u{2066}');
    expect(printable('zero\u200bwidth\ufeff')).toBe('zero\\u{200b}width\\u{feff}');
    expect(printable('csi\u009b31m')).toBe('csi\\u{9b}31m');
    expect(printable('line\u2028end')).toBe('line\\u{2028}end');
    expect(printable('half\ud800')).toBe('half\\u{d800}');
    expect(printable('tag\u{e0041}')).toBe('tag\\u{e0041}');
  });

  test('stays as it is when it can be read', () => {
    for (const text of ['worker/etl-1', 'Zoë Müller', '東京', 'spiffe://a/b', 'C:\\dir', '😀']) {
      expect(printable(text)).toBe(text);
    }
  });

  test('is never more than one line, and escaping twice changes nothing', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const once = printable(text);
        expect(once).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        expect(printable(once)).toBe(once);
      }),
    );
  });

  test('is the same value as JSON, and as safe to look at', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const json = printableJson({ value });
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify({ value })));
        expect(printable(json)).toBe(json);
      }),
    );
    expect(printableJson('\u202e\u{e0041}')).toBe('"\\u202e\\udb40\\udc41"');
    expect(printableJson({ a: '\n' }, 2)).toBe('{\n  "a": "\\n"\n}');
  });
});
