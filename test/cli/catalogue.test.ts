import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { catalogue } from '../../src/errors.ts';

const src = fileURLToPath(new URL('../../src', import.meta.url));
const sources = globSync('**/*.ts', { cwd: src })
  .filter((file) => file !== 'errors.ts')
  .map((file) => readFileSync(join(src, file), 'utf8'))
  .join('\n');
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
});
