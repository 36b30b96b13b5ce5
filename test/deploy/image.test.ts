// The Dockerfile: that its build has all that it wants of what .dockerignore lets in, and, by buildah, that the image is what it
// says. No registry is asked: the stand-in for the base image is this machine's own /usr and Node, and what the first stage
// makes is what the tests have built anyway.

import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { root } from './tools.ts';

const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
/** What stands before the first FROM, and then a text for each stage. */
const [before = '', build = '', final = ''] = dockerfile.split(/^(?=FROM )/m);
const allowed = readFileSync(join(root, '.dockerignore'), 'utf8')
  .split('\n')
  .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
const copied = (stage: string): readonly string[] =>
  [...stage.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, names = '']) => names.split(' '));

let place: string;
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'certgate-image-'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

test('what the build copies is let in, and what is let in is copied', () => {
  const names = [...copied(build), ...copied(final)].map((name) => name.replace(/^\.\//, ''));
  expect(names.toSorted()).toEqual(allowed.toSorted());
});

test('the image runs as a user without rights and is asked by certgate itself how it is', () => {
  for (const line of ['USER 1001:1001', 'ENTRYPOINT ["certgate"]']) expect(final.split('\n')).toContain(line);
  expect(final).toMatch(/^HEALTHCHECK .*CMD \["certgate", "health", "--live"\]$/m);
});

test('the program is built on the builder’s platform, whatever the image’s is', () => {
  expect(build).toMatch(/^FROM --platform=\$BUILDPLATFORM \$\{BASE\} AS build\n/);
});

test('what is copied is enough to build certgate from', () => {
  const dir = join(place, 'build');
  for (const name of copied(build)) cpSync(join(root, name), join(dir, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  const node = (...args: string[]): string => execFileSync(process.execPath, args, { cwd: dir, encoding: 'utf8' });
  const listed = node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--listFilesOnly');
  expect(listed.split('\n')).toContain(join(dir, 'src/main.ts'));
  node('scripts/build.ts');
  expect(node('dist/main.js', '--version')).toBe(
    execFileSync(process.execPath, [inject('certgate'), '--version'], { encoding: 'utf8' }),
  );
});

const missing = whyNoBuildah();

describe.skipIf(missing !== null)(`by buildah${missing === null ? '' : ` [skipped: ${missing}]`}`, () => {
  /** What a base image has, from this machine. */
  const volumes = [...['bin', 'sbin', 'lib', 'lib64'].map((name) => `/usr/${name}`).filter((path) => existsSync(path))]
    .map((path) => `${path}:${path}:ro`)
    .concat(`${process.execPath}:/usr/local/bin/node:ro`)
    .flatMap((volume) => ['--volume', volume]);
  const inPlace = ['--isolation', 'chroot'];
  let container: string;

  function make(tag: string, text: string, context: string, ...args: string[]): void {
    const file = join(place, `${tag}.Dockerfile`);
    writeFileSync(file, text);
    const flags = [...inPlace, '--pull-never', '--format', 'docker', '--signature-policy', join(place, 'policy.json')];
    buildah(place, 'build', ...flags, ...args, '-f', file, '-t', `localhost/${tag}`, context);
  }
  const inside = (...command: string[]): string =>
    buildah(place, 'run', ...inPlace, ...volumes, container, '--', ...command);

  beforeAll(() => {
    writeFileSync(join(place, 'policy.json'), JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }));
    const base = join(place, 'base');
    for (const dir of ['etc', 'tmp', 'root', 'var/lib', 'usr/local/bin'])
      mkdirSync(join(base, dir), { recursive: true });
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
      mkdirSync(join(base, 'usr', name));
      symlinkSync(`usr/${name}`, join(base, name));
    }
    // As in the base image of the Dockerfile, whose own user has other ids.
    writeFileSync(join(base, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n');
    writeFileSync(join(base, 'etc/group'), 'root:x:0:\nnode:x:1000:\n');
    make('certgate-base', 'FROM scratch\nCOPY . /\n', base);
    const built = join(place, 'built/build');
    cpSync(dirname(inject('certgate')), join(built, 'dist'), { recursive: true });
    cpSync(join(root, 'package.json'), join(built, 'package.json'));
    make('certgate-built', 'FROM scratch\nCOPY . /\n', dirname(built));
    const text = `${before}FROM localhost/certgate-built AS build\n${final}`;
    make('certgate', text, root, '--build-arg', 'BASE=localhost/certgate-base', ...volumes);
    container = buildah(place, 'from', '--pull-never', 'localhost/certgate').trim();
  }, 120_000);

  test('the image says how it is run', () => {
    const { Docker } = JSON.parse(buildah(place, 'inspect', '--type', 'image', 'localhost/certgate')) as {
      readonly Docker: { readonly config: Readonly<Record<string, unknown>> };
    };
    expect(Docker.config).toMatchObject({
      ...{ User: '1001:1001', WorkingDir: '/var/lib/certgate', Volumes: { '/var/lib/certgate': {} } },
      ...{ Entrypoint: ['certgate'], Cmd: ['serve'], StopSignal: 'SIGTERM', ExposedPorts: { '8443/tcp': {} } },
      Labels: { 'org.opencontainers.image.title': 'certgate', 'org.opencontainers.image.licenses': 'Apache-2.0' },
      Healthcheck: { Test: ['CMD', 'certgate', 'health', '--live'] },
    });
  });

  test('in it certgate runs as 1001, makes its CA on the volume, and can change nothing of itself', () => {
    expect(inside('certgate', '--version').trim()).not.toBe('');
    expect(inside('/usr/bin/id').trim()).toMatch(/^uid=1001\(certgate\) gid=1001\(certgate\)/);
    inside('certgate', 'init');
    const modes = inside('/usr/bin/stat', '-c', '%a %u:%g %n', '.', 'certs/issuer.key', '/opt/certgate/dist/main.js');
    expect(modes.trim().split('\n')).toEqual([
      '700 1001:1001 .',
      '600 1001:1001 certs/issuer.key',
      '755 0:0 /opt/certgate/dist/main.js',
    ]);
    expect(inside('/bin/sh', '-c', 'find /opt/certgate /usr/local/bin -writable -not -type l 2>/dev/null').trim()).toBe(
      '',
    );
  });
});

/** buildah with a store of its own in `dir`. Throws with what it said. */
function buildah(dir: string, ...args: string[]): string {
  const own = ['--root', join(dir, 'store'), '--runroot', join(dir, 'run'), '--storage-driver', 'vfs'];
  const ran = spawnSync('buildah', [...own, ...args], { encoding: 'utf8' });
  if (ran.status !== 0)
    throw new Error(`buildah ${args.join(' ')}\n${ran.stdout}${ran.stderr}${ran.error?.message ?? ''}`);
  return ran.stdout;
}

/** Why no image can be built here; null when one can. */
function whyNoBuildah(): string | null {
  if (spawnSync('buildah', ['--version']).status !== 0) return 'no buildah here';
  // Whoever is not root has no ids for the users of the image, unless somebody has set some aside.
  if (process.getuid?.() !== 0) return 'not root';
  if (spawnSync('unshare', ['--mount', 'true']).status !== 0) return 'no right to a mount of our own';
  return existsSync('/usr/bin/env') && existsSync('/usr/sbin/useradd') ? null : 'no useradd here';
}
