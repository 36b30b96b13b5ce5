import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { replay } from './golden.ts';

const folder = fileURLToPath(new URL('golden', import.meta.url));

test.each(readdirSync(folder).filter((name) => name.endsWith('.txt')))(
  'the command line does what golden/%s says',
  async (name) => {
    const file = join(folder, name);
    await expect(replay(readFileSync(file, 'utf8'))).toMatchFileSnapshot(file);
  },
  300_000, // the longest runs fifty commands, each a process
);
