// Members of a JSON that are picked out of it: the same as JSON.parse has, and nothing else is read.

import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { membersOf, memberTexts } from '../../src/policy/json-members.ts';

const NAMES = new Set(['a', 'tags', '\u00e9"\\']);

/** What JSON.parse makes of `text`, without the members that nobody wants. */
function picked(text: string): unknown {
  const only = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).filter(([name]) => NAMES.has(name)))
      : value;
  const whole: unknown = JSON.parse(text);
  return Array.isArray(whole) ? whole.map(only) : only(whole);
}

test('are those that JSON.parse has, whatever stands beside them and however it is written', () => {
  const inner = fc.jsonValue({ maxDepth: 4 });
  const name = fc.oneof(fc.constantFrom(...NAMES, '', '__proto__', 'constructor', 'b'), fc.string());
  const object = fc.dictionary(name, inner, { maxKeys: 6 });
  const whole = fc.oneof(object, fc.array(object, { maxLength: 4 }), fc.array(inner, { maxLength: 4 }), inner);
  fc.assert(
    fc.property(whole, fc.constantFrom(undefined, 1, '\t', '\r\n ' as string), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      expect(membersOf(text, NAMES)).toEqual(picked(text));
    }),
    { numRuns: 1_000 },
  );
});

test.each([
  '{"a":1,"a":2}',
  '{"\\u0061":[1]}',
  ' { "a" : { "a" : "}" } , "b" : "\\\\" } ',
  '{"b":"\\"","a":"\\\\\\""}',
  '[]',
  '{}',
  '[{}, {"a":null}]',
  '"a"',
  'null',
  '{"b":[{"a":1}],"a":0.5e1}',
])('of %s too', (text) => expect(membersOf(text, NAMES)).toEqual(picked(text)));

test.each([
  '',
  '{',
  '[',
  '{"a"',
  '{"a":',
  '{"a":1',
  '{"a":}',
  '{"a":1,}',
  '{a:1}',
  '{"a":1}}',
  '[{"a":1}',
  '{"b":"',
  '{"b":[}',
  '{"a":x}',
])('of what is no JSON there are none: %s', (text) => expect(() => membersOf(text, NAMES)).toThrow(SyntaxError));

test('what nobody wants is passed over, and not made into objects', () => {
  const large = JSON.stringify(Array.from({ length: 2_000 }, (_, n) => ({ [`k${n}`]: { [`v${n}`]: '\\"[{' } })));
  const text = `[{"parameters":${large},"tags":["x"]},{"b":${'['.repeat(20_000)}${']'.repeat(20_000)},"a":1}]`;
  const parse = vi.spyOn(JSON, 'parse');
  const found = membersOf(text, NAMES);
  const read = parse.mock.calls.reduce((sum, [one]) => sum + one.length, 0);
  parse.mockRestore();
  expect(found).toEqual([{ tags: ['x'] }, { a: 1 }]);
  expect(read).toBeLessThan(20);
});

test('texts of members are as they stand, and none stands twice', () => {
  expect(memberTexts(' {"b":1, "a" : [1, {"a":2}] ,"tags":"x"}', NAMES)).toEqual(
    new Map([
      ['a', '[1, {"a":2}]'],
      ['tags', '"x"'],
    ]),
  );
  expect(memberTexts('{"b":1,"b":2}', NAMES)).toEqual(new Map());
  for (const text of ['[]', '1', '"a"']) expect(memberTexts(text, NAMES)).toBeNull();
  for (const text of ['{"a":1,"a":1}', '{"a":1,"\\u0061":1}', '{"a":1', '{} {}'])
    expect(() => memberTexts(text, NAMES), text).toThrow(SyntaxError);
});
