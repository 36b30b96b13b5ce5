import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalPath, encodePath } from '../../src/policy/paths.ts';
import { mixedTarget, ODD_TARGETS, plainPath } from './targets.ts';

describe('a plain target', () => {
  test.each([
    ['/api/flows/', '/api/flows/'],
    ['/api/flows/filter', '/api/flows/filter'],
    ['/', '/'],
    ["/api/variables/name/a-b_c.d~e!$&'()*+,;=:@", "/api/variables/name/a-b_c.d~e!$&'()*+,;=:@"],
    ['/api/flows/name/..a', '/api/flows/name/..a'],
    ['/api/flows/name/...', '/api/flows/name/...'],
  ])('%s is its own decoded path and goes on as it came', (target, path) => {
    expect(canonicalPath(target)).toEqual({ ok: true, path, target });
  });

  test('keeps its query untouched, whatever visible characters it holds', () => {
    const query = '?a=%2e%2e/%00&b=%zz&c=//?&d={}|"<>[]^`\\';
    expect(canonicalPath(`/api/events/filter/next${query}`)).toEqual({
      ok: true,
      path: '/api/events/filter/next',
      target: `/api/events/filter/next${query}`,
    });
  });
});

describe('an encoded target', () => {
  test.each([
    ['/%61pi/flows/', '/api/flows/', '/api/flows/'],
    ['/api/flows/name/%c3%a9t%C3%A9', '/api/flows/name/été', '/api/flows/name/%C3%A9t%C3%A9'],
    ['/api/flows/name/a%20b?x=%20', '/api/flows/name/a b', '/api/flows/name/a%20b?x=%20'],
    ['/api/flows/name/a%3Fb%23c?d', '/api/flows/name/a?b#c', '/api/flows/name/a%3Fb%23c?d'],
    ['/api/flows/name/50%25', '/api/flows/name/50%', '/api/flows/name/50%25'],
    ['/api/flows/name/a|b', '/api/flows/name/a|b', '/api/flows/name/a%7Cb'],
    ['/api/flows/name/%f0%9f%98%80', '/api/flows/name/😀', '/api/flows/name/%F0%9F%98%80'],
  ])('%s is decoded once and goes on in the one canonical encoding', (raw, path, target) => {
    expect(canonicalPath(raw)).toEqual({ ok: true, path, target });
  });
});

describe('a target that could be read in two ways is refused:', () => {
  test.each([
    ['', 'does not start with "/"'],
    ['*', 'does not start with "/"'],
    ['http://gate.example/api/flows/', 'does not start with "/"'],
    ['//gate.example/api', 'has an empty segment ("//") at byte 0'],
    ['/api//flows', 'has an empty segment ("//") at byte 4'],
    ['/api/../flows/', 'has a dot segment at byte 5'],
    ['/api/.', 'has a dot segment at byte 5'],
    ['/api/..?a', 'has a dot segment at byte 5'],
    ['/api/%2e%2E/flows', 'has an encoded dot segment'],
    ['/api/.%2e', 'has an encoded dot segment'],
    ['/api/a%2Fb', 'has an encoded slash at byte 6'],
    ['/api/a%5cb', 'has an encoded backslash at byte 6'],
    ['/api/a\\b', 'has the byte 0x5c at byte 6, which a target may not hold'],
    ['/api/a%00', 'has an encoded control character at byte 6'],
    ['/api/a%0A', 'has an encoded control character at byte 6'],
    ['/api/a%7f', 'has an encoded control character at byte 6'],
    ['/api/a%C2%85', 'has an encoded control character'],
    ['/api/a b', 'has the byte 0x20 at byte 6, which a target may not hold'],
    ['/api/a#b', 'has the byte 0x23 at byte 6, which a target may not hold'],
    ['/api/a?b#c', 'has the byte 0x23 at byte 8, which a target may not hold'],
    ['/api/a?b\u0000', 'has the byte 0x00 at byte 8, which a target may not hold'],
    ['/api/\u00e9', 'has the byte 0xe9 at byte 5, which a target may not hold'],
    ['/api/%', 'has a "%" without two hex digits at byte 5'],
    ['/api/%4', 'has a "%" without two hex digits at byte 5'],
    ['/api/%4?a', 'has a "%" without two hex digits at byte 5'],
    ['/api/%zz', 'has a "%" without two hex digits at byte 5'],
    ['/api/%c0%af', 'does not decode to UTF-8'],
    ['/api/%ed%a0%80', 'does not decode to UTF-8'],
    ['/api/%c3', 'does not decode to UTF-8'],
    ['/api/%252e%252e/flows', 'is percent-encoded twice'],
    ['/api/a%252fb', 'is percent-encoded twice'],
  ])('%j', (target, reason) => {
    expect(canonicalPath(target)).toEqual({ ok: false, reason });
  });
});

describe('for any target', () => {
  test('an accepted path has no empty or dot segment, no backslash, no control character and no second encoding', () => {
    let accepted = 0;
    const check = (raw: string): void => {
      const result = canonicalPath(raw);
      if (!result.ok) return;
      accepted++;
      expect(result.path).toMatch(/^\//);
      expect(result.path).not.toMatch(/\/\/|\\|\p{Cc}|%[0-9a-f]{2}/iu);
      expect(result.path.split('/')).not.toContain('.');
      expect(result.path.split('/')).not.toContain('..');
      expect(result.path.isWellFormed()).toBe(true);
      expect(result.target).toMatch(/^[\x21-\x7e]+$/);
    };
    for (const target of ODD_TARGETS) check(target);
    fc.assert(fc.property(mixedTarget, check), { numRuns: 5000 });
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 40 }), check));
    expect(accepted).toBeGreaterThan(500);
  });

  test('what is sent on is canonical: reading it again gives the same path and the same target', () => {
    fc.assert(
      fc.property(mixedTarget, (raw) => {
        const once = canonicalPath(raw);
        if (once.ok) expect(canonicalPath(once.target)).toEqual(once);
      }),
      { numRuns: 5000 },
    );
  });

  test('a path of any Unicode text survives its canonical encoding', () => {
    fc.assert(
      fc.property(plainPath, (path) => {
        expect(canonicalPath(encodePath(path))).toEqual({ ok: true, path, target: encodePath(path) });
      }),
      { numRuns: 2000 },
    );
  });

  test('the reason of a refusal is printable ASCII and quotes nothing that the peer sent', () => {
    for (const target of ODD_TARGETS) {
      const result = canonicalPath(target);
      if (!result.ok) expect(result.reason).toMatch(/^[\x20-\x7e]{1,70}$/);
    }
  });
});
