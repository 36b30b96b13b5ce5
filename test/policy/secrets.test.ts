import { describe, expect, test } from 'vitest';
import { findOperation } from '../../src/policy/operation.ts';
import { secretsQuestion } from '../../src/policy/secrets.ts';

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
  ])('is asked by %s', (query) => expect(ask(query)?.asks).toBe(true));

  test.each(['?include_secrets=false', '?include_secrets=0', '?include_secrets=%46alse', '?include_secrets=NO'])(
    'is not asked by %s',
    (query) => expect(ask(query)?.asks).toBe(false),
  );

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
  });
});
