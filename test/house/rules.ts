// The rules of the house (DESIGN.md, "The house"), as data and as one pure function that says which of them a source
// breaks. Type imports count like any other: to know a room's types is to know the room.

import { posix } from 'node:path';
import type { Import, Source } from './source.ts';

interface Room {
  /** Other rooms it may import from. `errors.ts` is open to all, each room to itself. */
  readonly rooms: readonly string[];
  /** True for a room that does no I/O: then `packages` is all that it may import, `node:` modules included. */
  readonly pure?: true;
  readonly packages?: readonly string[];
  /** Packages it may not import. */
  readonly never?: readonly string[];
}

const TLS = ['node:tls', 'node:https', '@peculiar/x509', 'pkijs', 'node-forge'];

/** Every folder of src/ and what it may know. A folder that is not here does not belong in the house. */
export const ROOMS: Readonly<Record<string, Room>> = {
  pki: {
    rooms: [],
    pure: true,
    packages: ['node:crypto', 'node:buffer', 'node:util', 'pkijs', 'asn1js', 'node-forge'],
  },
  identity: { rooms: [], pure: true },
  policy: { rooms: [], pure: true },
  http1: { rooms: [], pure: true },
  store: { rooms: [], never: TLS },
  config: { rooms: ['identity', 'policy'] },
  observe: { rooms: ['store'], never: TLS },
  authority: { rooms: ['pki', 'identity', 'store', 'observe'] },
  proxy: { rooms: ['http1', 'observe'], never: TLS },
  admin: { rooms: ['authority', 'config', 'http1', 'identity', 'observe', 'pki', 'policy', 'proxy', 'store'] },
  enroll: { rooms: ['authority', 'config', 'http1', 'identity', 'observe', 'pki', 'store'] },
  inbound: {
    rooms: [
      'admin',
      'authority',
      'config',
      'enroll',
      'http1',
      'identity',
      'observe',
      'pki',
      'policy',
      'proxy',
      'store',
    ],
  },
  outbound: { rooms: ['config', 'enroll', 'http1', 'identity', 'observe', 'pki', 'proxy'] },
  cli: {
    rooms: [
      ...['admin', 'authority', 'config', 'enroll', 'http1', 'identity', 'inbound', 'observe', 'outbound'],
      ...['pki', 'policy', 'proxy', 'store'],
    ],
  },
};

/** I/O and the clock, as a pure room would reach them without an import. */
const IMPURE =
  /^(process(\..*)?|console\..*|fetch|WebSocket|setTimeout|setInterval|setImmediate|queueMicrotask|Date\.now|new Date\(\)|performance\..*)$/;
const FORBIDDEN_NAMES = ['utils', 'util', 'helpers', 'helper', 'common', 'manager', 'base', 'misc', 'shared', 'lib'];
const MOST_LINES = 350;
/** A test says more words than what it tests; past this a file holds more than one promise. */
const MOST_TEST_LINES = 450;
/** The one catalogue stands in one file, however many errors there are. */
const LONG_BY_NATURE = ['src/errors.ts'];

const roomOf = (path: string): string => (path.split('/').length > 2 ? (path.split('/')[1] ?? '') : '');

function importProblem(source: Source, room: Room | undefined, { specifier }: Import): string | null {
  if (specifier === null) return 'imports something that only shows at run time';
  if (!specifier.startsWith('.')) {
    if (room?.pure === true && room.packages?.includes(specifier) !== true) return `is pure, and imports ${specifier}`;
    if (room?.never?.includes(specifier) === true) return `must not know ${specifier}`;
    return null;
  }
  const target = posix.join(posix.dirname(source.path), specifier);
  if (target === 'package.json' && roomOf(source.path) === 'cli') return null;
  if (!target.startsWith('src/')) return `reaches out of src: ${specifier}`;
  if (!target.endsWith('.ts') && !target.endsWith('.json')) return `imports ${specifier} without its ending`;
  if (target === 'src/errors.ts') return null;
  const other = roomOf(target);
  if (room === undefined) {
    const isDoor = source.path === 'src/main.ts' && other === 'cli';
    return isDoor ? null : `stands outside of every room, and imports ${specifier}`;
  }
  if (other === '') return `imports ${specifier}, which belongs to no room`;
  return other === roomOf(source.path) || room.rooms.includes(other) ? null : `must not know ${other}: ${specifier}`;
}

/** What `source` breaks, one sentence a breach, each with the path. Empty when all is well. */
export function breaches(source: Source): readonly string[] {
  const found: string[] = [];
  const room = ROOMS[roomOf(source.path)];
  if (roomOf(source.path) !== '' && room === undefined) found.push('is in a folder that DESIGN.md does not have');

  for (const each of source.imports) {
    const problem = importProblem(source, room, each);
    if (problem !== null) found.push(problem);
  }
  for (const name of source.globals) {
    if (room?.pure === true && IMPURE.test(name)) found.push(`is pure, and uses ${name}`);
    const prints = /^(console\..*|process\.(stdout|stderr))$/.test(name);
    if (prints && roomOf(source.path) !== 'cli' && source.path !== 'src/main.ts') found.push(`prints with ${name}`);
    const exits = /^process\.(exit|exitCode|abort|kill|reallyExit)$/.test(name);
    if (exits && source.path !== 'src/main.ts' && !(name === 'process.kill' && room?.pure !== true)) {
      found.push(`ends the process with ${name}`);
    }
  }
  if (roomOf(source.path) === 'proxy' && source.strings.some((text) => /prefect/i.test(text))) {
    found.push('is in proxy, and speaks of Prefect');
  }

  if (source.lines > MOST_LINES && !LONG_BY_NATURE.includes(source.path)) {
    found.push(`has ${source.lines} lines; past ${MOST_LINES} it wants splitting`);
  }
  if (source.opening === 0) found.push('does not open with a comment that says what it promises');
  for (const part of source.path.split('/')) {
    const stem = part.replace(/\.[a-z]+$/, '');
    if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(stem)) found.push(`is not in kebab-case: ${part}`);
    const bad = stem.split('-').find((word) => FORBIDDEN_NAMES.includes(word));
    if (bad !== undefined) found.push(`has "${bad}" in its name, which says nothing`);
  }
  return found.map((problem) => `${source.path} ${problem}`);
}

/** Circles of imports, each as `a → b → a`; those of types count too: who reads one of the files has to read all. */
export function circles(sources: readonly Source[]): readonly string[] {
  const known = new Map(sources.map((source) => [source.path, source]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, way: readonly string[]): void => {
    const before = way.indexOf(path);
    if (before !== -1) found.push([...way.slice(before), path].join(' → '));
    if (before !== -1 || done.has(path)) return;
    for (const { specifier } of known.get(path)?.imports ?? []) {
      if (specifier?.startsWith('.') !== true) continue;
      const target = posix.join(posix.dirname(path), specifier);
      if (known.has(target)) visit(target, [...way, path]);
    }
    done.add(path);
  };
  for (const { path } of sources) visit(path, []);
  return found;
}

/** Folders of test/ that mirror no room of src/. */
const TEST_FOLDERS = ['e2e', 'security', 'house', 'build', 'deploy', 'bench', 'soak', 'cli'];

/** What a test's file breaks: those of `src/ROOM/` stand in `test/ROOM/`, whatever promise names the file, and none is long. */
export function testBreach(path: string, lines: number): string | null {
  if (lines > MOST_TEST_LINES)
    return `${path} has ${lines} lines; past ${MOST_TEST_LINES} it wants splitting by promise`;
  if (!path.endsWith('.test.ts')) return null;
  const [, folder = '', ...rest] = path.split('/');
  if (rest.length === 0) return folder === 'errors.test.ts' ? null : `${path} stands in no folder`;
  if (TEST_FOLDERS.includes(folder)) return null;
  return ROOMS[folder] === undefined ? `${path} is in a folder that src/ does not have` : null;
}
