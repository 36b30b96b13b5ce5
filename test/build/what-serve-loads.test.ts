// A start takes the time, and an idle gate or sidecar the memory, of what is loaded: what is not needed before somebody asks
// for it stays out. The published form, which is what starts.

import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { runIn } from '../cli/run-in.ts';

interface Loaded {
  /** The program's files: how many, and their characters. */
  readonly files: number;
  readonly characters: number;
  /** What went into them, as the bundler notes it: `src/errors.ts`, `node_modules/yaml/…`. */
  readonly modules: readonly string[];
  /** Node's own modules. */
  readonly builtins: readonly string[];
}

const place = mkdtempSync(join(tmpdir(), 'certgate-loads-'));
afterAll(() => rmSync(place, { recursive: true, force: true }));

/** What a gate, or a sidecar, has loaded when it listens. */
async function loadedBy(command: string, flags: readonly string[]): Promise<Loaded> {
  const noted = join(place, `${command}-builtins.json`);
  const note = join(place, `${command}-note.cjs`);
  writeFileSync(
    note,
    `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(noted)}, JSON.stringify(process.moduleLoadList)))`,
  );
  const args = ['--require', note, inject('certgate'), command, '--listen', '127.0.0.1:0', ...flags];
  const coverage = `${command}-coverage`;
  const env = { ...process.env, NODE_V8_COVERAGE: join(place, coverage) };
  const child = spawn(process.execPath, args, { cwd: place, env, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  for await (const line of createInterface({ input: child.stderr })) {
    if (line.includes('"msg":"listening"')) child.kill('SIGTERM');
  }
  const code = await ended;
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
  const urls = new Set<string>();
  for (const file of globSync(`${coverage}/*.json`, { cwd: place })) {
    const { result } = JSON.parse(readFileSync(join(place, file), 'utf8')) as { result: { url: string }[] };
    for (const { url } of result) if (url.startsWith('file:') && !url.endsWith('note.cjs')) urls.add(url);
  }
  const texts = [...urls].map((url) => readFileSync(fileURLToPath(url), 'utf8'));
  return {
    files: texts.length,
    characters: texts.join('').length,
    modules: texts.flatMap((text) =>
      [...text.matchAll(/^\/\/ ((?:src|node_modules)\/\S+)$/gm)].map(([, id = '']) => id),
    ),
    builtins: (JSON.parse(readFileSync(noted, 'utf8')) as string[])
      .filter((name) => name.startsWith('NativeModule '))
      .map((name) => name.slice('NativeModule '.length)),
  };
}

beforeAll(async () => {
  await runIn(place, ['init', '--name', 'localhost']);
  await runIn(place, ['issue', 'worker/etl-1']);
});

describe('a gate that listens', () => {
  let loaded: Loaded;

  beforeAll(async () => {
    writeFileSync(join(place, 'policy.yaml'), 'bindings:\n  - {role: Viewer, identity: user/alice}\n');
    loaded = await loadedBy('serve', ['--policy', 'policy.yaml']);
  });

  test('has loaded what it serves with', () => {
    expect(loaded.modules).toContain('src/inbound/gate.ts');
    expect(loaded.builtins).toContain('tls');
  });

  test('has loaded no package but those that read its command line and its files', () => {
    const packages = loaded.modules.flatMap((id) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(id)?.[1] ?? []);
    expect([...new Set(packages)].toSorted()).toEqual(['commander', 'yaml', 'zod']);
  });

  test.each([
    [
      'identity tokens, which no issuer is configured for',
      /^src\/enroll\/(?:identity-tokens|issuer-keys|jwt-form|fetch-json)/,
    ],
    ['the listener for enrolment alone', /^src\/inbound\/enrolment-listener/],
    ['what publishes revocations, and what monitors ask', /^src\/(?:inbound\/status\/(?!send)|observe\/exposition)/],
    ['several processes', /^src\/(?:inbound\/workers|cli\/serve-worker)/],
    ['a signer', /^src\/(?:authority\/remote-signer|authority\/pkcs11|admin\/signer-server)/],
    ['an issuer that is signed elsewhere', /^src\/authority\/(?:import-issuer|ca-fitness)/],
    ['the outbound sidecar', /^src\/outbound\//],
    ['the other end of its control socket', /^src\/admin\/control-client/],
    ['what removes files of the record, which are all kept', /^src\/observe\/audit-(?:retention|verify)/],
    ['doctor', /^src\/cli\/doctor\/(?!node|finding)/],
    ['the commands of the CA', /^src\/cli\/(?:ca|token|policy|check)\//],
  ])('has not loaded %s', (_what, of) => expect(loaded.modules.filter((id) => of.test(id))).toEqual([]));

  test('has not loaded the parts of Node that an import of others brings with it, nor those that it has no use for', () => {
    const heavy =
      /^(?:_?https?\b|_http_|worker_threads$|internal\/worker$|module$|assert$|readline|internal\/deps\/undici)/;
    expect(loaded.builtins.filter((name) => heavy.test(name))).toEqual([]);
    expect(loaded.builtins).not.toContain('internal/crypto/webcrypto');
  });

  test('reads a few files, not one for each module', () => {
    expect(loaded.files).toBeLessThanOrEqual(20);
    expect(loaded.characters).toBeLessThan(1_085_000);
  });
});

describe('a sidecar that listens', () => {
  let loaded: Loaded;

  beforeAll(async () => {
    loaded = await loadedBy('connect', ['--identity', 'worker-etl-1', '--gate', 'https://127.0.0.1:1']);
  });

  test('has loaded what it serves with', () => {
    expect(loaded.modules).toContain('src/outbound/sidecar.ts');
  });

  test('has not loaded what monitors ask', () => {
    const asked = /^src\/(?:inbound\/status\/(?!send)|observe\/exposition|outbound\/told)/;
    expect(loaded.modules.filter((id) => asked.test(id))).toEqual([]);
  });
});
