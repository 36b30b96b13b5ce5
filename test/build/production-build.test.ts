// What is published, and what the container image (test/deploy/image.test.ts) holds: the built program, which needs Node and nothing beside it.

import { execFileSync, spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSource } from '../house/source.ts';

const root = join(import.meta.dirname, '../..');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const manifest = JSON.parse(read('package.json')) as { version: string; dependencies?: Record<string, string> };

describe('the production build', () => {
  let place: string;

  // Outside of the checkout, so that no node_modules is found.
  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), 'certgate-build-'));
    const args = [join(root, 'scripts/build.ts'), '--out', join(place, 'dist')];
    execFileSync(process.execPath, args, { encoding: 'utf8', stdio: 'pipe' });
  });
  afterAll(() => rmSync(place, { recursive: true, force: true }));

  const certgate = (...args: string[]): string =>
    execFileSync(process.execPath, [join(place, 'dist/main.js'), ...args], {
      encoding: 'utf8',
      cwd: place,
      stdio: 'pipe',
    });

  test('runs and says its version', () => {
    expect(certgate('--version').trim()).toBe(manifest.version);
  });

  test('can be run by its name, which npm link makes a command, also after a further build', () => {
    expect(statSync(join(place, 'dist/main.js')).mode & 0o777).toBe(0o755);
    const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` };
    const said = execFileSync(join(place, 'dist/main.js'), ['--version'], { encoding: 'utf8', env });
    expect(said.trim()).toBe(manifest.version);
  });

  test('makes a CA and a certificate', () => {
    const dir = join(place, 'home');
    certgate('init', '--dir', dir);
    const config = join(dir, 'certgate.yaml');
    certgate('issue', 'worker/etl-1', '--config', config, '--out', join(dir, 'out'));
    expect(certgate('inspect', join(dir, 'out/tls.crt'), '--config', config)).toContain('worker/etl-1');
  });

  test('imports nothing but its own files and what comes with Node, so nothing is installed beside it', () => {
    const files = globSync('*.js', { cwd: join(place, 'dist') });
    const imported = new Set<string>();
    for (const file of files) {
      const text = readFileSync(join(place, 'dist', file), 'utf8');
      for (const { specifier } of readSource(file, text).imports) imported.add(specifier ?? 'something computed');
      for (const [, name = ''] of text.matchAll(/\bgetBuiltinModule\("([^"]*)"\)/g)) imported.add(name);
      // What came from CommonJS asks for Node's modules through a function of the bundler.
      for (const [, name = ''] of text.matchAll(/\b__require\("([^"]*)"\)/g)) imported.add(name);
    }
    expect(imported).toContain('node:tls');
    const others = [...imported].filter((name) => !isBuiltin(name) && !files.includes(name.replace('./', '')));
    expect(others).toEqual([]);
    expect(manifest.dependencies ?? {}).toEqual({});
  });

  test('refuses one of the keys that Debian made, whose list is beside it', () => {
    const config = join(place, 'home', 'certgate.yaml');
    const csr = join(root, 'test/authority/debian-weak.csr');
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(place, 'dist/main.js'), 'issue', 'worker/etl-1', '--csr', csr, '--config', config],
      { encoding: 'utf8', cwd: place },
    );
    expect(stderr).toContain('CVE-2008-0166');
    expect(status).toBe(3);
  });

  test('holds the licence of every package that is in it', () => {
    const licences = readFileSync(join(place, 'dist/THIRD-PARTY-LICENSES.txt'), 'utf8');
    for (const name of ['commander', 'yaml', 'zod']) {
      expect(licences).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+\n\n[^]*?Copyright`, 'm'));
    }
    expect(licences).toMatch(/^debian-weak-keys\.bin, made from the list of badkeys 0\.0\.3\n\nMIT License\n/m);
    expect(licences).toContain('Hanno Böck');
  });

  test('is ASCII, which V8 keeps in half the memory, and reads line by line in a stack trace', () => {
    for (const file of globSync('*.js', { cwd: join(place, 'dist') })) {
      const text = readFileSync(join(place, 'dist', file), 'latin1');
      expect(/[\x80-\xff]/.exec(text)?.[0] ?? null, file).toBeNull();
      expect(text.length / text.split('\n').length, file).toBeLessThan(400);
    }
  });

  test('is the program, a list of keys and the licences, and no source maps, which nobody reads', () => {
    const others = readdirSync(join(place, 'dist')).filter((name) => !name.endsWith('.js'));
    expect(others.toSorted()).toEqual(['THIRD-PARTY-LICENSES.txt', 'debian-weak-keys.bin']);
    expect(readFileSync(join(place, 'dist/main.js'), 'utf8')).not.toContain('sourceMappingURL');
  });
});
