// Keeps the rules of the house: reads every file of src/ and test/, and fails with one line for each breach.
// The second half shows the rules samples that break them, because a rule that never fails keeps nothing.

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { breaches, circles, ROOMS, testBreach } from './rules.ts';
import { readSource, type Source } from './source.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const sources: readonly Source[] = globSync('src/**/*.ts', { cwd: root })
  .toSorted()
  .map((path) => readSource(path, read(path)));

describe('the house', () => {
  test('has sources to look at', () => {
    expect(sources.length).toBeGreaterThan(40);
  });

  test('no file of src/ breaks a rule', () => {
    expect(sources.flatMap(breaches)).toEqual([]);
  });

  test('no files of src/ import each other in a circle', () => {
    expect(circles(sources)).toEqual([]);
  });

  test('tests mirror src/, and none is long', () => {
    const tests = globSync('test/**/*.ts', { cwd: root });
    const linesOf = (path: string): number => read(path).trimEnd().split('\n').length;
    expect(tests.map((path) => testBreach(path, linesOf(path))).filter((breach) => breach !== null)).toEqual([]);
  });

  test('every room is in the picture that CONTRIBUTING draws, and every page in the index of docs/', () => {
    const picture = read('CONTRIBUTING.md')
      .split('## ')
      .find((part) => part.startsWith('The picture of the house'));
    expect(Object.keys(ROOMS).filter((room) => picture?.includes(`${room}/`) !== true)).toEqual([]);
    const pages = globSync('*.md', { cwd: join(root, 'docs') }).filter((page) => page !== 'README.md');
    const index = read('docs/README.md');
    expect(pages.filter((page) => !index.includes(`| [${page}](${page}) |`))).toEqual([]);
  });
});

describe('the rules find', () => {
  const top = '// What it promises.\n';
  const samples: ReadonlyArray<[what: string, path: string, text: string, breach: string]> = [
    ['a pure room that reads files', 'src/pki/a.ts', `import { readFileSync } from 'node:fs';`, 'imports node:fs'],
    ['a pure room that opens sockets', 'src/http1/a.ts', `import type { Socket } from 'node:net';`, 'imports node:net'],
    ['a pure room that waits', 'src/policy/a.ts', 'setTimeout(() => {}, 1);', 'uses setTimeout'],
    ['a pure room that asks the clock', 'src/identity/a.ts', 'export const now = Date.now();', 'uses Date.now'],
    ['a pure room that asks the clock otherwise', 'src/pki/a.ts', 'export const now = new Date();', 'uses new Date()'],
    ['a pure room that reads the environment', 'src/policy/a.ts', 'export const x = process.env;', 'uses process.env'],
    ['a pure room that knows another', 'src/identity/a.ts', `import { x } from '../pki/keys.ts';`, 'must not know pki'],
    ['crypto outside of pki', 'src/identity/a.ts', `import { hash } from 'node:crypto';`, 'imports node:crypto'],
    ['a store that knows TLS', 'src/store/a.ts', `import { connect } from 'node:tls';`, 'must not know node:tls'],
    [
      'a store that knows certificates',
      'src/store/a.ts',
      `import type { K } from '../pki/keys.ts';`,
      'must not know pki',
    ],
    ['a type that names another room', 'src/proxy/a.ts', `export type A = import('../policy/paths.ts').A;`, 'policy'],
    ['a proxy that asks the store', 'src/proxy/a.ts', `export * from '../store/store.ts';`, 'must not know store'],
    ['a proxy that knows Prefect', 'src/proxy/a.ts', `export const h = 'Prefect-Maintenance';`, 'speaks of Prefect'],
    ['inbound that knows outbound', 'src/inbound/a.ts', `import '../outbound/sidecar.ts';`, 'must not know outbound'],
    [
      'outbound that knows inbound',
      'src/outbound/a.ts',
      `await import('../inbound/gate.ts');`,
      'must not know inbound',
    ],
    ['an import hidden in a variable', 'src/proxy/a.ts', `const m = 'x'; await import(m);`, 'only shows at run time'],
    ['require', 'src/store/a.ts', `require('node:tls');`, 'must not know node:tls'],
    ['a way around imports', 'src/store/a.ts', `process.getBuiltinModule('node:tls');`, 'must not know node:tls'],
    ['a room that prints', 'src/store/a.ts', `console.log('x');`, 'prints with console.log'],
    ['a room that prints otherwise', 'src/observe/a.ts', `process['stdout'].write('x');`, 'prints with process.stdout'],
    ['a room that exits', 'src/inbound/a.ts', 'process.exit(1);', 'ends the process with process.exit'],
    ['a command that exits', 'src/cli/a.ts', 'process.exitCode = 1;', 'ends the process with process.exitCode'],
    ['main that does more', 'src/main.ts', `import './store/sqlite.ts';`, 'stands outside of every room'],
    ['a test in the sources', 'src/cli/a.ts', `import '../../test/e2e/harness/ports.ts';`, 'reaches out of src'],
    ['an unknown room', 'src/network/a.ts', 'export {};', 'a folder that DESIGN.md does not have'],
    ['a name that says nothing', 'src/cli/table-utils.ts', 'export {};', 'has "utils" in its name'],
    ['a name in another case', 'src/cli/tableView.ts', 'export {};', 'is not in kebab-case'],
    ['a long file', 'src/cli/a.ts', '// x\n'.repeat(360), 'has 361 lines'],
  ];
  test.each(samples)('%s', (_, path, text, breach) => {
    expect(breaches(readSource(path, top + text))).toEqual([expect.stringContaining(breach)]);
  });

  test('a file without an opening comment', () => {
    expect(breaches(readSource('src/cli/a.ts', 'export {};\n// too late\n'))).toHaveLength(1);
  });

  test('a circle, one of types too', () => {
    const a = readSource('src/cli/a.ts', `${top}import './b.ts';`);
    for (const back of [`import './a.ts';`, `import type { A } from './a.ts';`]) {
      expect(circles([a, readSource('src/cli/b.ts', top + back)])).toEqual([
        'src/cli/a.ts → src/cli/b.ts → src/cli/a.ts',
      ]);
    }
  });

  test('a test that mirrors nothing', () => {
    expect(testBreach('test/policy/what-prefect-routes-is-what-policy-sees.test.ts', 400)).toBeNull();
    expect(testBreach('test/network/paths.test.ts', 9)).toContain('src/ does not have');
    expect(testBreach('test/paths.test.ts', 9)).toContain('stands in no folder');
    expect(testBreach('test/policy/fixture.ts', 451)).toContain('has 451 lines');
  });

  test('nothing in comments and strings', () => {
    const text = `${top}// import 'node:fs'; process.exit()\nexport const x = "import 'node:fs'; process.exit()";`;
    expect(breaches(readSource('src/pki/a.ts', text))).toEqual([]);
  });
});
