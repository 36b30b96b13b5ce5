// What is published and what the container image holds: the compiled program, without a development dependency.

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSource } from '../house/source.ts';

const root = join(import.meta.dirname, '../..');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const manifest = JSON.parse(read('package.json')) as { version: string; dependencies: Record<string, string> };

describe('the production build', () => {
  let place: string;

  // Inside the checkout, so that its node_modules is found; beside dist/, so that nobody's build is replaced.
  beforeAll(() => {
    mkdirSync(join(root, '.cache'), { recursive: true });
    place = mkdtempSync(join(root, '.cache/build-test-'));
    cpSync(join(root, 'package.json'), join(place, 'package.json'));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const args = [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', join(place, 'dist')];
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

  test('makes a CA and a certificate', () => {
    const dir = join(place, 'home');
    certgate('init', '--dir', dir);
    const config = join(dir, 'certgate.yaml');
    certgate('issue', 'worker/etl-1', '--config', config, '--out', join(dir, 'out'));
    expect(certgate('inspect', join(dir, 'out/tls.crt'), '--config', config)).toContain('worker/etl-1');
  });

  test('imports no package that is only there for development', () => {
    const sources = globSync('src/**/*.ts', { cwd: root }).map((path) => readSource(path, read(path)));
    const packages = sources
      .flatMap((source) => source.imports.filter(({ typeOnly }) => !typeOnly).map(({ specifier }) => specifier ?? ''))
      .filter((name) => !name.startsWith('.') && !name.startsWith('node:'))
      .map((name) =>
        name
          .split('/')
          .slice(0, name.startsWith('@') ? 2 : 1)
          .join('/'),
      );
    expect(packages).toContain('commander');
    expect(packages.filter((name) => manifest.dependencies[name] === undefined)).toEqual([]);
  });
});

describe('the container image', () => {
  const dockerfile = read('Dockerfile');
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) =>
    (match[1] ?? '').split(' '),
  );

  test('is made of files that are there and that .dockerignore lets through', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'));
    expect(copied.length).toBeGreaterThan(3);
    for (const name of copied) {
      const path = name.replace(/^\.\//, '');
      expect(existsSync(join(root, path)), path).toBe(true);
      expect(allowed).toContain(`!${path}`);
    }
  });

  test('runs as a user without rights and is asked by certgate itself how it is', () => {
    expect(dockerfile).toMatch(/^USER 1001:1001$/m);
    expect(dockerfile).toMatch(/^HEALTHCHECK .*CMD \["certgate", "health"\]$/m);
    expect(dockerfile).toMatch(/^ENTRYPOINT \["certgate"\]$/m);
  });
});
