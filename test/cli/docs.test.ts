import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { references } from '../../scripts/docs-cli.ts';

test.each([...(await references())])('%s says what the program says (else: node scripts/docs-cli.ts)', (path, text) => {
  expect(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')).toBe(text);
});
