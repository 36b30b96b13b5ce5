// Completes package-lock.json after `npm install`: `npm ci` refuses a lock file that lacks an entry for an optional
// package of another platform, and npm writes none for those that the registry in use does not serve. The entry added
// has the exact version and the platform but no integrity: it is what makes the lock file hold on every machine.
// Run: npm install; node scripts/lock.ts            (`--check` only says whether something is missing)
// It never changes an entry that npm wrote.

import { readFileSync, writeFileSync } from 'node:fs';

interface LockedPackage {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface LockFile {
  packages: Record<string, LockedPackage>;
}

const systems = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const processors = ['arm64', 'arm', 'x64', 'ia32', 'ppc64', 'riscv64', 's390x'];

/** What a platform package's name says: `@x/binding-linux-arm64-musl` → linux, arm64, musl. */
function platformOf(name: string): { os: string[]; cpu: string[]; libc?: string[] } {
  const words = name.split(/[/-]/);
  const os = systems.filter((system) => words.includes(system));
  const cpu = processors.filter((processor) => words.includes(processor));
  if (os.length !== 1 || cpu.length !== 1) throw new Error(`no platform in the package name ${name}: add it by hand`);
  if (os[0] !== 'linux' || words.includes('eabi')) return { os, cpu };
  return { os, cpu, libc: [words.some((word) => word.startsWith('musl')) ? 'musl' : 'glibc'] };
}

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8')) as LockFile;
const added: string[] = [];
for (const [holder, held] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(held.optionalDependencies ?? {})) {
    const here = `node_modules/${name}`;
    if (here in lock.packages || `${holder}/${here}` in lock.packages) continue;
    if (!/^\d+\.\d+\.\d+/.test(version)) throw new Error(`${holder} wants ${name}@${version}: only exact versions`);
    lock.packages[here] = {
      version,
      ...(held.dev === true ? { dev: true } : {}),
      optional: true,
      ...platformOf(name),
    } as LockedPackage;
    added.push(`${name}@${version}`);
  }
}

const isCheck = process.argv.includes('--check');
if (added.length > 0 && !isCheck) {
  const sorted = Object.entries(lock.packages).toSorted(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = Object.fromEntries(sorted);
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
}
process.stdout.write(
  added.length === 0
    ? 'package-lock.json is complete\n'
    : `${isCheck ? 'missing' : 'added'}:\n${added.map((a) => `  ${a}\n`).join('')}`,
);
process.exitCode = isCheck && added.length > 0 ? 1 : 0;
