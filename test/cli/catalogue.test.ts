import { globSync, readFileSync } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { catalogue } from '../../src/errors.ts';
import { phraseOf } from '../../src/http1/write.ts';

const src = fileURLToPath(new URL('../../src', import.meta.url));
const sources = globSync('**/*.ts', { cwd: src })
  .filter((file) => file !== 'errors.ts')
  .map((file) => readFileSync(join(src, file), 'utf8'))
  .join('\n');
const PATHS: ReadonlySet<unknown> = new Set(['path', 'file', 'folder', 'dir', 'location', 'crl', 'request', 'socket']);
const LISTS: ReadonlySet<unknown> = new Set(['problems', 'tests']);
const codes = Object.keys(catalogue);

describe('the catalogue of errors', () => {
  test.each(codes)('%s is used somewhere', (code) => expect(sources).toContain(`'${code}'`));

  test('has every code that is used', () => {
    const used = new Set([...sources.matchAll(/'(CG_[A-Z0-9_]+)'/g)].map(([, code = '']) => code));
    expect([...used].filter((code) => !codes.includes(code)).toSorted()).toEqual([]);
  });

  test.each(Object.entries(catalogue))('%s says what it means in a sentence', (_code, entry) => {
    expect(entry.about).toMatch(/^[A-Z].*[.]$/);
  });

  test.each(Object.entries(catalogue))('%s has no command that a space in a path breaks', (_code, entry) => {
    const value = (name: string | symbol) =>
      PATHS.has(name) ? '/a b' : LISTS.has(name) ? [] : name === 'remedy' ? undefined : 'x';
    const facts = new Proxy({}, { get: (_facts, name) => value(name) });
    const hint = (entry.hint as (from: unknown) => string | undefined)(facts) ?? '';
    expect(hint).not.toMatch(/\b(?:certgate|chmod|df|fuser|ls) [^`']*\/a b/);
  });

  // RFC 9110 calls 413 by another name than Node does.
  test.each(Object.entries(catalogue))('%s has a status that has a phrase', (_code, { status }) => {
    expect(phraseOf(status)).toBe(STATUS_CODES[status]?.replace('Payload', 'Content'));
  });
});
