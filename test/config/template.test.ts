import { mkdtempSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { leaves } from '../../src/config/leaves.ts';
import { loadConfig } from '../../src/config/load.ts';
import { configTemplate } from '../../src/config/template.ts';

const names = [hostname().toLowerCase(), 'localhost', '127.0.0.1', '::1'];
const template = configTemplate({ trustDomain: 'certgate.internal', names });

function load(text: string | null) {
  const cwd = mkdtempSync(join(tmpdir(), 'certgate-template-'));
  if (text !== null) writeFileSync(join(cwd, 'certgate.yaml'), text);
  const { file: _file, dir: _dir, stateDir, certsDir, ...rest } = loadConfig({ env: {}, cwd });
  return { ...rest, stateDir: stateDir.replace(cwd, '.'), certsDir: certsDir.replace(cwd, '.') };
}

test('the configuration that init writes holds exactly the defaults', () => {
  expect(load(template)).toEqual(load(null));
});

test('a setting in it that loses its comment sign has its default', () => {
  const open = template.replaceAll(/^( *)#(?=[a-zA-Z]+:)/gm, '$1').replaceAll(/^ *[a-zA-Z]+:$\n/gm, (line) => {
    return ['serve', 'limits', 'identity', 'connect', 'enroll', 'renew', 'issue', 'audit', 'log'].includes(
      line.trim().slice(0, -1),
    )
      ? line
      : '';
  });
  expect(open).not.toBe(template);
  expect(load(open)).toEqual(load(null));
});

test('every setting stands in it once, but the secrets', () => {
  const keys = template.match(/^ *#?[a-zA-Z]+:/gm) ?? [];
  const sections = new Set(
    leaves.flatMap(({ path }) =>
      path
        .split('.')
        .slice(0, -1)
        .map((_, i, all) => all.slice(0, i + 1).join('.')),
    ),
  );
  expect(keys).toHaveLength(leaves.length - 2 + sections.size);
  expect(template).not.toContain('authString:');
  expect(template).not.toContain('passphrase:');
});

test('what init was told is set in it', () => {
  const text = configTemplate({
    trustDomain: 'prefect.example',
    names: ['gate.example', '192.0.2.7', '2001:db8::1'],
    stateDir: '/var/lib/certgate: #1',
  });
  const cwd = mkdtempSync(join(tmpdir(), 'certgate-template-'));
  writeFileSync(join(cwd, 'certgate.yaml'), text);
  const config = loadConfig({ env: {}, cwd });
  expect(config.trustDomain).toBe('prefect.example');
  expect(config.stateDir).toBe('/var/lib/certgate: #1');
  expect(config.serve.names).toEqual(['gate.example', '192.0.2.7', '2001:db8::1']);
});
