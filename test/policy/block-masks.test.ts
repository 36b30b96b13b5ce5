// Secrets of blocks that Prefect answers to who has not asked for them: what is hidden, and what is left as it is.

import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { maskSecrets } from '../../src/policy/block-masks.ts';

const MASK = '********';

/** A document as Prefect 3.8.8 answers it. */
function documentOf(data: unknown, secrets: unknown, more: { references?: object; declared?: object } = {}) {
  const { references = {}, declared = {} } = more;
  const fields = { secret_fields: secrets, block_schema_references: declared, properties: {} };
  return { id: 'x', name: 'n', data, block_schema: { fields }, block_document_references: references };
}

/** The data that is left of such a document. */
function left(...args: Parameters<typeof documentOf>): unknown {
  const said = maskSecrets(JSON.stringify(documentOf(...args)));
  return (JSON.parse(said ?? 'null') as { data: unknown }).data;
}

describe('what a schema lists as secret is hidden', () => {
  test.each([
    ['an object', { value: { user: 'u', password: 'p' } }, ['value'], { value: { user: MASK, password: MASK } }],
    ['an object in an object', { v: { a: { b: 's' } }, w: 1 }, ['v'], { v: { a: { b: MASK } }, w: 1 }],
    ['a list', { value: ['p'] }, ['value'], { value: MASK }],
    ['a number, and false', { v: 5, w: false }, ['v', 'w'], { v: MASK, w: MASK }],
    ['a map of secrets', { named: { k: 's' } }, ['named'], { named: { k: MASK } }],
    ['all below a star', { d: { z: { y: 's' } }, e: 1 }, ['d.*'], { d: { z: { y: MASK } }, e: 1 }],
    ['in a list', { l: [{ p: 's', u: 'u' }, { p: null }] }, ['l.p'], { l: [{ p: MASK, u: 'u' }, { p: null }] }],
    ['in a map', { m: { k: { p: 's', u: 'u' } } }, ['m.p'], { m: { k: { p: MASK, u: 'u' } } }],
    ['in a map of lists', { m: { k: [{ p: 's' }] } }, ['m.p'], { m: { k: [{ p: MASK }] } }],
    [
      'in a map of the secret’s name',
      { m: { p: { p: 's' }, k: { p: 't' } } },
      ['m.p'],
      { m: { p: { p: MASK }, k: { p: MASK } } },
    ],
  ])('%s', (_what, data, secrets, said) => expect(left(data, secrets)).toEqual(said));

  test('and nothing else: of the same name elsewhere, of a plain value where it has none, of nothing', () => {
    const data = { p: 'mine', l: [{ p: 's' }], word: 'x', none: null };
    expect(left(data, ['l.p', 'word.p', 'none.p', 'gone.p'])).toEqual({ ...data, l: [{ p: MASK }] });
  });
});

describe('what no schema speaks of is hidden', () => {
  const inner = { block_type_slug: 'inner', password: 's', deep: { a: 1 }, _block_document_name: 'i' };
  const gone = { ...inner, password: MASK, deep: { a: MASK } };
  test('a block in a field that is for none, or for another type', () => {
    expect(left({ any: inner, list: [{ in: inner }] }, [])).toEqual({ any: gone, list: [{ in: gone }] });
    const other = { one: { block_type_slug: 'other' } };
    expect(left({ one: inner }, ['one.token'], { declared: other })).toEqual({ one: gone });
    const these = { one: [{ block_type_slug: 'other' }, { block_type_slug: 'inner' }] };
    expect(left({ one: inner }, ['one.password'], { declared: these })).toEqual({ one: { ...inner, password: MASK } });
  });

  test('of a document that is referred to what is no plain value', () => {
    const references = { one: { block_document: { id: 'y' } } };
    const data = { one: { value: { password: 's' }, list: ['t'], masked: MASK, plain: 'u', none: null } };
    const said = { one: { value: { password: MASK }, list: MASK, masked: MASK, plain: 'u', none: null } };
    // Also where the schema, which anyone who makes blocks can write, says that it has no secrets.
    expect(left(data, [], { references, declared: { one: { block_type_slug: 'secret' } } })).toEqual(said);
  });

  test('everything, where there is no schema, or none that can be read', () => {
    const bare = (more: object) => maskSecrets(JSON.stringify({ data: { a: 's' }, ...more }));
    for (const more of [{}, { block_schema: null }, { block_schema: { fields: [] } }])
      expect(bare(more)).toBe(JSON.stringify({ data: { a: MASK }, ...more }));
    expect(left({ a: 's' }, 'a')).toEqual({ a: MASK });
    expect(left('s', [])).toBe(MASK);
  });
});

describe('an answer', () => {
  test('without a secret goes on as it is, to the last byte', () => {
    for (const data of [{ v: MASK, w: null, u: 'x' }, {}, null]) {
      const text = `[ ${JSON.stringify(documentOf(data, ['v', 'w']))} , ${JSON.stringify(documentOf({ a: 1.0 }, []))}]`;
      expect(maskSecrets(text)).toBe(text);
    }
    expect(maskSecrets('[]')).toBe('[]');
  });

  test('of a list loses the secrets of each', () => {
    const said = maskSecrets(JSON.stringify([documentOf({ a: 1 }, []), documentOf({ a: { b: 's' } }, ['a'])]));
    expect(JSON.parse(said ?? '')).toMatchObject([{ data: { a: 1 } }, { data: { a: { b: MASK } } }]);
  });

  test.each(['', '{', '"x"', '[1]', 'null', '\u001f\u008b'])(
    'that is none of documents is not let through: %j',
    (text) => {
      expect(maskSecrets(text)).toBeNull();
    },
  );

  test('never has what stands below a secret’s path', () => {
    const tree = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.constant('SECRET'),
        fc.constant(null),
        fc.array(tie('node'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('p', 'k', 'SECRET-NAME', '__proto__'), tie('node'), { maxKeys: 3 }),
      ),
    })).node;
    const wrapped = fc.oneof(tree, fc.array(tree), fc.dictionary(fc.constantFrom('k', 'p'), tree));
    fc.assert(
      fc.property(wrapped, (secret) => {
        const text = JSON.stringify(left({ top: secret, many: [{ p: secret }] }, ['top', 'many.p']));
        expect(text.replaceAll('SECRET-NAME', '')).not.toContain('SECRET');
      }),
    );
  });
});

describe('who made the block chose how many secrets it lists', () => {
  const many = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => make(n));

  test('all are looked for in one walk through the data', () => {
    const data = Object.fromEntries(many(300, (n) => [`k${n}`, n]));
    let read = 0;
    const spies = (['keys', 'entries'] as const).map((one) => {
      const plain = Object[one] as (of: object) => unknown[];
      return vi.spyOn(Object, one).mockImplementation((of: object) => {
        const names = plain(of);
        read += names.length;
        return names as never;
      });
    });
    const said = left(data, [...many(300, (n) => `absent${n}`), 'k7']);
    for (const spy of spies) spy.mockRestore();
    expect(said).toEqual({ ...data, k7: MASK });
    expect(read).toBeLessThan(300 * 20);
  });

  test('each of many is hidden, also where they have a beginning in common', () => {
    const data = { top: Object.fromEntries(many(50, (n) => [`k${n}`, { deep: { [`s${n}`]: 's', u: 'u' } }])) };
    const said = { top: Object.fromEntries(many(50, (n) => [`k${n}`, { deep: { [`s${n}`]: MASK, u: 'u' } }])) };
    expect(
      left(
        data,
        many(50, (n) => `top.k${n}.s${n}`),
      ),
    ).toEqual(said);
  });

  test('an answer that wants more than anybody waits for is not let through', () => {
    const wide = Object.fromEntries(many(20_000, (n) => [`k${n}`, 0]));
    const deep = many(300, (n) => n).reduceRight<object>((inner, n) => ({ [`b${n}`]: inner }), wide);
    const document = documentOf(
      { a: deep },
      many(300, (n) => `a.b${n}.c`),
    );
    expect(maskSecrets(JSON.stringify(document))).toBeNull();
    // For all documents of an answer together.
    const third = documentOf(
      { a: deep },
      many(150, (n) => `a.b${n}.c`),
    );
    expect(maskSecrets(JSON.stringify([third]))).not.toBeNull();
    expect(maskSecrets(JSON.stringify([third, third]))).toBeNull();
  });
});
