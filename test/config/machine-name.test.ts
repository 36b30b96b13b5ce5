import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { configTemplate } from '../../src/config/template.ts';

test.each([
  ['4711', []],
  ['pi.2', []],
  ['my host', []],
  ['My_Host', ['my_host']],
  ['gate', ['gate']],
])(
  'a machine called %s has that among the names of its gate only where a certificate can say it',
  async (machine, own) => {
    vi.resetModules();
    vi.doMock('node:os', async (original) => ({
      ...(await original<typeof import('node:os')>()),
      hostname: () => machine,
    }));
    const { loadConfig } = await import('../../src/config/load.ts');
    const cwd = mkdtempSync(join(tmpdir(), 'certgate-config-'));
    const { names } = loadConfig({ env: {}, cwd }).serve;
    expect(names).toEqual([...own, 'localhost', '127.0.0.1', '::1']);
    // What init writes is what the next command reads.
    expect(configTemplate({ trustDomain: 'a', names })).toContain(`names: [${names.join(', ')}]`);
    vi.doUnmock('node:os');
  },
);
