import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clientNames } from '../../src/identity/name.ts';
import { compilePattern, type Pattern, PatternFault } from '../../src/identity/pattern.ts';
import { identityName } from './names.ts';

/** What JavaScript's own engine captures when the pattern must match the whole value. */
function byRegExp(source: string, value: string): ReadonlyArray<string | undefined> | null {
  const found = new RegExp(`^(?:${source})$`, 'u').exec(value);
  return found === null ? null : Array.from(found);
}

/** Compiled, or null when it repeats what may be empty, which certgate refuses. */
function compiledOrNull(source: string): Pattern | null {
  try {
    return compilePattern(source);
  } catch (error) {
    if (error instanceof PatternFault && error.message.includes('may be empty')) return null;
    throw error;
  }
}

describe('a pattern', () => {
  test('matches the whole value or nothing, with or without its anchors', () => {
    for (const source of ['a+', '^a+', 'a+$', '^a+$']) {
      const { match } = compilePattern(source);
      expect(match('aa')).toEqual(['aa']);
      expect(match('aab')).toBeNull();
      expect(match('baa')).toBeNull();
      expect(match('aa\n')).toBeNull();
    }
  });

  test('of alternatives is anchored as a whole, not at its first and last alternative', () => {
    const { match } = compilePattern('^a|b$');
    expect(match('a')).toEqual(['a']);
    expect(match('ax')).toBeNull();
    expect(match('xb')).toBeNull();
  });

  test('gives its captures by number and by name', () => {
    const pattern = compilePattern('(?<kind>[a-z]+)-(\\d+)(x)?');
    expect(pattern.groups).toBe(3);
    expect(Object.fromEntries(pattern.names)).toEqual({ kind: 1 });
    expect(pattern.match('etl-42')).toEqual(['etl-42', 'etl', '42', undefined]);
  });

  test.each<[string, string, ReadonlyArray<string | undefined> | null]>([
    ['(.*)-(.*)', 'a-b-c', ['a-b-c', 'a-b', 'c']],
    ['(.*?)-(.*)', 'a-b-c', ['a-b-c', 'a', 'b-c']],
    ['(a|ab)(c|bcd)?', 'abcd', ['abcd', 'a', 'bcd']],
    ['(a{2,3}?)(a*)', 'aaaa', ['aaaa', 'aa', 'aa']],
    ['(a{2})(a{1,})', 'aaaa', ['aaaa', 'aa', 'aa']],
    ['(?:ab|c){3}', 'abcab', ['abcab']],
    ['([^.]+)\\.example\\.com', 'etl.example.com', ['etl.example.com', 'etl']],
    ['[\\]\\-a]+', ']-a', [']-a']],
    ['\\u{1f600}.', '\u{1f600}\u{1f600}', ['\u{1f600}\u{1f600}']],
    ['\\p{Lu}\\w+', 'Éa_1', ['Éa_1']],
    ['a.b', 'a\nb', null],
    ['()', '', ['', '']],
    ['', '', ['']],
    ['', 'a', null],
    ['a|', '', ['']],
    ['\\$\\^\\/', '$^/', ['$^/']],
    ['a\\$', 'a$', ['a$']],
    ['a\\\\$', 'a\\', ['a\\']],
  ])('%s reads %j as JavaScript does', (source, value, captures) => {
    expect(compilePattern(source).match(value)).toEqual(captures);
    expect(byRegExp(source.replace(/(?<!\\)\$$|(?<=\\\\)\$$/, ''), value)).toEqual(captures);
  });

  test('of any shape reads any value as JavaScript does, captures too', () => {
    const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '\\d', '\\w', '/', '-', '\\.', 'é');
    const quantifier = fc.constantFrom('', '', '', '*', '+', '?', '*?', '+?', '??', '{2}', '{1,2}', '{0,3}?', '{1,}');
    const single = fc.tuple(atom, quantifier).map((parts) => parts.join(''));
    const sequence = fc.array(single, { maxLength: 4 }).map((parts) => parts.join(''));
    const alternatives = fc.array(sequence, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('|'));
    const group = fc
      .tuple(fc.constantFrom('(', '(?:'), alternatives, fc.constantFrom('', '?', '??'))
      .map(([open, body, after]) => `${open}${body})${after}`);
    const repeated = fc
      .tuple(fc.array(atom, { minLength: 1, maxLength: 2 }), quantifier)
      .map(([atoms, after]) => `(?:${atoms.join('|')})${after}`);
    const inner = fc.array(fc.oneof(single, group, repeated), { maxLength: 4 }).map((parts) => parts.join(''));
    const nested = fc.tuple(inner, fc.constantFrom('', '?')).map(([body, after]) => `(${body})${after}`);
    const joined = fc.array(fc.oneof(inner, nested), { maxLength: 2 }).map((parts) => parts.join(''));
    const source = joined.filter((text) => text.length <= 200);
    const value = fc.string({ unit: fc.constantFrom('a', 'b', '-', '/', '.', '1', 'é', '\n'), maxLength: 8 });
    fc.assert(
      fc.property(source, fc.array(value, { minLength: 1, maxLength: 5 }), (pattern, values) => {
        const compiled = compiledOrNull(pattern);
        for (const each of compiled === null ? [] : values) {
          expect(compiled?.match(each)).toEqual(byRegExp(pattern, each));
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('that would keep a backtracking matcher busy for ages is decided all the same', () => {
    const { match } = compilePattern(`${'.*'.repeat(30)}x`);
    expect(match('a'.repeat(256))).toBeNull();
    expect(compilePattern(`${'a?'.repeat(60)}${'a'.repeat(60)}`).match('a'.repeat(60))).toEqual(['a'.repeat(60)]);
  });

  test.each([
    ['(a+)+', 'repeats a'],
    ['(?:a+)+', 'nested quantifiers'],
    ['(?:a*)*', 'may be empty'],
    ['(?:a?){2,}', 'may be empty'],
    ['(a*)?', 'may be empty'],
    ['(?:a|){2}', 'may be empty'],
    ['(?:b?a){2,}', 'nested quantifiers'],
    ['(?:x(?:a+)y)*', 'nested quantifiers'],
    ['(a)*', 'capturing group'],
    ['(a)\\1', 'backreference'],
    ['(?<n>a)\\k<n>', 'backreference'],
    ['a(?=b)', 'lookaround'],
    ['a(?!b)', 'lookaround'],
    ['(?<=a)b', 'lookaround'],
    ['(?<!a)b', 'lookaround'],
    ['(?i:a)', 'flags'],
    ['\\ba', 'name the characters'],
    ['a^b', 'whole value'],
    ['a$b', 'whole value'],
    ['(^a)', 'whole value'],
    ['(a', 'nvalid regular expression'],
    ['a)', 'nvalid regular expression'],
    ['[b-a]', 'nvalid regular expression'],
    ['a{2,1}', 'nvalid regular expression'],
    ['\\', 'nvalid regular expression'],
    ['a{', 'nvalid regular expression'],
    ['\\-', 'nvalid regular expression'],
    ['(?<n>a)|(?<n>b)', 'called n'],
    ['a'.repeat(201), 'longer than 200'],
    ['a{300}', 'too often'],
    ['(?:[ab][cd]){256}', 'too large'],
    ['(?:[ab][cd]){256}(?:[ab][cd]){256}', 'too large'],
    ['a{1,9999999999}', 'too often'],
  ])('%s is refused when it is compiled', (source, reason) => {
    expect(() => compilePattern(source)).toThrow(PatternFault);
    expect(() => compilePattern(source)).toThrow(reason);
  });

  test('of arbitrary text is compiled or refused as a fault, and matches as JavaScript does', () => {
    const piece = fc.constantFrom(
      'a',
      '(',
      ')',
      '|',
      '*',
      '+',
      '?',
      '{2}',
      '[',
      ']',
      '^',
      '$',
      '\\',
      '.',
      '(?:',
      '(?<n>',
      '\\d',
      '-',
      '{',
    );
    const text = fc.oneof(
      fc.array(piece, { maxLength: 10 }).map((parts) => parts.join('')),
      fc.string(),
    );
    fc.assert(
      fc.property(text, fc.string({ unit: fc.constantFrom('a', '1', '-'), maxLength: 5 }), (source, value) => {
        try {
          const { match } = compilePattern(source);
          const bare = source.replace(/^\^/, '').replace(/(?<!(?:^|[^\\])(?:\\\\)*\\)\$$/, '');
          expect(match(value)).toEqual(byRegExp(bare, value));
        } catch (error) {
          if (!(error instanceof PatternFault)) throw error;
        }
      }),
      { numRuns: 5000 },
    );
  });
});

test('a pattern that matches a name of a client is known to, and none that costs more than it may is called dead', () => {
  const pieces = ['user', '/', 'a', 'z0', '-', '.', '*', '+', '?', '(', ')', '|', '[a-z]', '[^/]', '[A-Z]', '{2}'];
  const patterns = fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 7 }).map((some) => some.join(''));
  const compiled = (source: string): Pattern | null => {
    try {
      return compilePattern(source);
    } catch {
      return null;
    }
  };
  fc.assert(
    fc.property(patterns, identityName, (source, name) => {
      const pattern = compiled(source);
      if (pattern === null || name.startsWith('gate/') || pattern.match(name) === null) return;
      expect(pattern.meets(clientNames, { left: 100_000 }), `${source} ${name}`).toBe(true);
    }),
    {
      numRuns: 20_000,
      examples: [
        ['user/a*', 'user/a'],
        ['[^/]+/[a-z]+', 'worker/abc'],
        ['(user|z0)/a{2}', 'user/aa'],
      ],
    },
  );
  const effort = { left: 50 };
  expect(compilePattern('.*X').meets(clientNames, { left: 1_000 })).toBe(false);
  expect(compilePattern('.*X').meets(clientNames, effort)).toBe(true);
  expect(effort.left).toBeLessThan(0);
});
