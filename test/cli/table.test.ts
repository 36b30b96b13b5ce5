import { expect, test } from 'vitest';
import { table } from '../../src/cli/table.ts';

test('more rows than a call takes arguments are a table', () => {
  const rows = Array.from({ length: 200_000 }, (_, i) => [`${i}`, 'b']);
  const lines = table(['a', 'what'], rows);
  expect([lines.length, lines[0], lines[1], lines.at(-1)]).toEqual([200_001, 'A       WHAT', '0       b', '199999  b']);
});
