import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { withOwnFolders } from '../../src/config/relocate.ts';
import { configTemplate } from '../../src/config/template.ts';
import { newFolder } from '../store/fixture.ts';

const choices = { trustDomain: 'prefect.example', names: ['gate.example', '192.0.2.7'] };

test('a configuration that named other folders names those beside it, and is the same otherwise', () => {
  const [elsewhere, dir] = [newFolder(), newFolder()];
  const text = configTemplate({ ...choices, certsDir: '/etc/keys', stateDir: '../state of mind' });
  writeFileSync(join(elsewhere, 'certgate.yaml'), text);
  mkdirSync(join(dir, 'certs'));
  const moved = withOwnFolders(text);
  writeFileSync(join(dir, 'certgate.yaml'), moved);
  const load = (cwd: string) => loadConfig({ env: {}, cwd });
  const [before, after] = [load(elsewhere), load(dir)];
  expect(before.certsDir).toBe('/etc/keys');
  expect([after.certsDir, after.stateDir]).toEqual([join(dir, 'certs'), join(dir, 'state')]);
  const own = { certsDir: '', stateDir: '', dir: '', file: '' };
  expect({ ...after, ...own }).toEqual({ ...before, ...own });
  // Line by line: nothing else moved, no comment was lost.
  const differing = text.split('\n').filter((line, n) => moved.split('\n')[n] !== line);
  expect(differing).toEqual(['stateDir: ../state of mind', 'certsDir: /etc/keys']);
});

test('a configuration that names no folders stays, octet for octet', () => {
  const text = configTemplate(choices);
  expect(withOwnFolders(text)).toBe(text);
});
