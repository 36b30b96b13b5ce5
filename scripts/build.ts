// Builds what is published: dist/main.js and a few files beside it, with every package that they need inside. A start of
// `certgate serve` then reads a dozen files instead of four hundred, and nothing has to be installed beside them. Lines and names
// stay, for stack traces; source maps do not come along: they are twice the program, and Node reads them only when it is told to.
// Comments go, and what is not ASCII is escaped, because V8 keeps such a file in half the memory. debian-weak-keys.bin, which
// src/authority reads, goes beside them. THIRD-PARTY-LICENSES.txt holds the licence of each package that has gone in; one
// without a licence fails the build.
// Run: npm run build            (`node scripts/build.ts --out DIR` builds into DIR, which is replaced)

import { chmodSync, copyFileSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type ChunkingContext, rolldown } from 'rolldown';

const root = resolve(import.meta.dirname, '..');
const { values } = parseArgs({ options: { out: { type: 'string', default: join(root, 'dist') } } });
const out = resolve(values.out);

/** `…/node_modules/@a/b/lib/c.js` → `…/node_modules/@a/b`; null for what is our own. */
function packageFolder(file: string): string | null {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0] ?? null;
}

function licenceOf(folder: string): string {
  const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, string>;
  const [file] = globSync('{LICENSE,LICENCE}*', { cwd: folder }).toSorted();
  if (file === undefined) throw new Error(`${name} has no licence in ${folder}`);
  return `${name} ${version}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
}

/**
 * What `certgate serve` loads at its start goes into a few files, by the rooms of the house (test/house/rules.ts), the lower ones
 * first, so that no file needs a later one. Other commands load the same files.
 */
const ROOMS: ReadonlyArray<readonly [file: string, of: RegExp]> = [
  ['policies', /\/src\/(?:policy\/|config\/policy-)/],
  ['settings', /\/node_modules\/|\/src\/(?:config|identity)\//],
  ['records', /\/src\/(?:pki|store)\//],
  ['authorities', /\/src\/(?:observe|authority)\//],
  ['serving', /\/src\/(?:http1|proxy|enroll|inbound)\//],
];

type Graph = Pick<ChunkingContext, 'getModuleInfo'>;

/** `entry` and all that it imports, also by way of others, before it runs. */
function loadedWith(entry: string, graph: Graph): ReadonlySet<string> {
  const all = new Set([join(root, entry)]);
  for (const id of all) for (const imported of graph.getModuleInfo(id)?.importedIds ?? []) all.add(imported);
  return all;
}

let loaded: { readonly always: ReadonlySet<string>; readonly byServe: ReadonlySet<string> } | null = null;

/** The file that a module goes into; null leaves it to the bundler. */
function fileFor(id: string, graph: Graph): string | null {
  loaded ??= { always: loadedWith('src/main.ts', graph), byServe: loadedWith('src/cli/serve.ts', graph) };
  if (id === join(root, 'src/main.ts')) return null;
  if (loaded.always.has(id)) return 'program';
  return loaded.byServe.has(id) ? (ROOMS.find(([, of]) => of.test(id))?.[0] ?? null) : null;
}

/**
 * `code` with Node's own modules had by process.getBuiltinModule. An import reads each export of such a module, and some are made
 * when they are read: WebCrypto, all root certificates, undici.
 */
function withoutReadingAll(code: string): string {
  const text = code.replaceAll(/^import (.*) from "(node:[^"]+)";$/gm, (_line, names: string, module: string) => {
    const { whole = '', some } = /^(?:\* as )?(?<whole>[\w$]*)(?:, )?(?:\{(?<some>.*)\})?$/.exec(names)?.groups ?? {};
    const has = `process.getBuiltinModule("${module}")`;
    const wholeLine = whole !== '' ? `const ${whole} = ${has};` : '';
    return some === undefined ? wholeLine : `${wholeLine}const {${some.replaceAll(' as ', ': ')}} = ${has};`;
  });
  const left = /^import\b.*"node:.*/m.exec(text)?.[0];
  if (left !== undefined) throw new Error(`not understood: ${left}`);
  return text;
}

const bundle = await rolldown({
  cwd: root,
  input: { main: 'src/main.ts', 'policy-thread': 'src/inbound/policy-thread.ts' },
  platform: 'node',
  external: /^node:/,
  plugins: [{ name: 'without-reading-all', renderChunk: withoutReadingAll }],
  preserveEntrySignatures: false,
  // Its form for Node is CommonJS, which goes in whole.
  resolve: { alias: { yaml: join(root, 'node_modules/yaml/browser/dist/index.js') } },
  onLog(_level, { message }) {
    throw new Error(message);
  },
});
rmSync(out, { recursive: true, force: true });
const { output } = await bundle.write({
  dir: out,
  format: 'esm',
  chunkFileNames: '[name].js',
  codeSplitting: { includeDependenciesRecursively: false, groups: [{ debugName: 'rooms', name: fileFor }] },
  comments: false,
  minify: { compress: false, mangle: false, codegen: { removeWhitespace: false, asciiOnly: true } },
});
await bundle.close();
// `npm link` makes it a command once; a build after that must leave it one.
chmodSync(join(out, 'main.js'), 0o755);

const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
const packages = new Set(modules.map(packageFolder).filter((folder) => folder !== null));
copyFileSync(join(root, 'src/authority/debian-weak-keys.bin'), join(out, 'debian-weak-keys.bin'));
const listLicence = readFileSync(join(root, 'src/authority/debian-weak-keys.LICENSE'), 'utf8').trim();
const licences = [
  ...[...packages].toSorted().map(licenceOf),
  `debian-weak-keys.bin, made from the list of badkeys 0.0.3\n\n${listLicence}\n`,
];
writeFileSync(join(out, 'THIRD-PARTY-LICENSES.txt'), licences.join(`\n${'-'.repeat(80)}\n\n`));
