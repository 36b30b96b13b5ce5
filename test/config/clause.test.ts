import { expect, test } from 'vitest';
import { asClause } from '../../src/config/clause.ts';

test.each([
  ['The certificate.', 'the certificate.'],
  ['A file of yours.', 'a file of yours.'],
  ['DNS names and IP addresses.', 'DNS names and IP addresses.'],
  ["SHA-256 of the root's certificate.", "SHA-256 of the root's certificate."],
  ['', ''],
])('%j within another sentence is %j', (sentence, clause) => {
  expect(asClause(sentence)).toBe(clause);
});
