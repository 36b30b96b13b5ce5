import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findOperation } from '../../src/policy/operation.ts';
import { asksByBody, secretsInBody, secretsQuestion } from '../../src/policy/secrets.ts';

const ID = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';
const PATH = `/api/block_documents/${ID}`;
const ask = (query: string) => secretsQuestion(findOperation('GET', PATH), `${PATH}${query}`);

describe('include_secrets', () => {
  test.each([
    '?include_secrets=true',
    '?include_secrets=1',
    '?include_secrets=',
    '?include_secrets',
    '?include_secrets=maybe',
    '?include%5fsecrets=true',
    '?%69nclude_secrets=yes',
    '?include_secrets=%74rue',
    '?a=b&include_secrets=on',
    '?include_secrets=false&include_secrets=true',
    '?include_secrets=true&include_secrets=false',
    '?include_secrets=%66alse%20',
    '?include_secrets=true&x=?',
    '?x=?&include_secrets=true',
    '?include_secrets=1=false',
    '?include_secrets=false=',
  ])('is asked by %s', (query) => expect(ask(query)?.asks).toBe(true));

  test.each([
    '?include_secrets=false',
    '?include_secrets=0',
    '?include_secrets=%46alse',
    '?include_secrets=NO',
    '?a=1&include_secrets=false&b',
  ])('is not asked by %s', (query) => expect(ask(query)?.asks).toBe(false));

  test.each([
    '',
    '?',
    '?include_secret=true',
    '?Include_Secrets=true',
    '?x=include_secrets=true',
    '?x;include_secrets',
  ])('does not stand in "%s"', (query) => expect(ask(query)).toBeNull());

  test('is taken out whole, and nothing else is', () => {
    expect(ask('?include_secrets=true')?.target).toBe(PATH);
    expect(ask('?a=1&include_secrets=true&b=%20+&include%5Fsecrets')?.target).toBe(`${PATH}?a=1&b=%20+`);
  });

  test('matters for the three reads of block documents that take it, and no other', () => {
    const asks = (path: string) => secretsQuestion(findOperation('GET', path), `${path}?include_secrets=true`)?.asks;
    expect(asks('/api/block_types/slug/s3/block_documents')).toBe(true);
    expect(asks('/api/block_types/slug/s3/block_documents/name/x')).toBe(true);
    expect(asks('/api/block_types/slug/s3')).toBeUndefined();
    expect(asks('/api/variables/name/x')).toBeUndefined();
    expect(secretsQuestion(null, `${PATH}?include_secrets=true`)).toBeNull();
  });
});

describe('include_secrets in a body', () => {
  const asks = (text: string) => {
    const said = secretsInBody(text);
    return said.ok ? said.asks : said.problem;
  };

  test.each([
    ['{"include_secrets":true}', true],
    ['{"include_secrets": 1}', true],
    ['{"include_secrets":"yes"}', true],
    ['{"include_secrets":null}', true],
    ['{"include_secrets":{"a":false}}', true],
    ['{"\\u0069nclude_secrets":true}', true],
    ['{"a":"\\"}","include_secrets":true}', true],
    ['{"limit":1,"include_secrets"\n:\ttrue }', true],
    ['{"include_secrets": false }', false],
    ['{"Include_Secrets":true}', false],
    ['{"block_documents":{"include_secrets":true}}', false],
    ['{"a":["include_secrets",true],"b":"include_secrets"}', false],
    ['{}', false],
    ['[{"include_secrets":true}]', false],
    ['null', false],
    ['{"include_secrets":false,"include_secrets":true}', 'has a name twice'],
    ['{"include_secrets":true,"\\u0069nclude_secrets":false}', 'has a name twice'],
    ['{"a":1,"a":2}', 'has a name twice'],
    ['{"include_secrets":NaN}', 'is not JSON'],
    ['{"include_secrets":true', 'is not JSON'],
    ['\ufeff{}', 'is not JSON'],
    ['', 'is not JSON'],
  ])('%s: %s', (text, wanted) => expect(asks(text)).toBe(wanted));

  test.each([
    ['{"include_secrets":[1,{"a":2}]}', '{"include_secrets":false}'],
    [
      '{"a":[1,{"b":[2]}],"include_secrets": true ,"c":{"d":[3]}}',
      '{"a":[1,{"b":[2]}],"include_secrets":false,"c":{"d":[3]}}',
    ],
    ['{"a":",}]:","include_secrets"\n:\t"\\",}" , "b":"\\\\"}', '{"a":",}]:","include_secrets"\n:false, "b":"\\\\"}'],
    [' { "include_secrets":1}\n', ' { "include_secrets":false}\n'],
  ])('is answered by no in place: %s', (text, hidden) => {
    expect(secretsInBody(text)).toEqual({ ok: true, asks: true, hidden });
  });

  test('is found in whatever stands around it, and answered by no without a change to anything else', () => {
    const value = fc.jsonValue({ maxDepth: 3 });
    const rest = fc.dictionary(fc.string(), value);
    fc.assert(
      fc.property(rest, rest, value, fc.constantFrom(undefined, 1, '\t'), (before, after, asked, indent) => {
        const whole: Record<string, unknown> = { ...before, include_secrets: 0, ...after };
        whole['include_secrets'] = asked;
        const said = secretsInBody(JSON.stringify(whole, null, indent));
        if (!said.ok) throw new Error(said.problem);
        expect(said.asks).toBe(asked !== false);
        expect(JSON.parse(said.hidden)).toEqual({
          ...(JSON.parse(JSON.stringify(whole)) as object),
          include_secrets: false,
        });
      }),
    );
  });

  test('matters for one operation', () => {
    expect(asksByBody(findOperation('POST', '/api/block_documents/filter'))).toBe(true);
    expect(asksByBody(findOperation('POST', '/api/block_documents/count'))).toBe(false);
    expect(asksByBody(null)).toBe(false);
  });
});
