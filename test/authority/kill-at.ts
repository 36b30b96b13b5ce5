// Loaded into a process before anything else (`node --import`): kills it, as `kill -9` would, right before the n-th thing
// that it does to a file or to SQLite, n in KILL_AT. Counting starts when the program says `globalThis.startCounting()`.
// With KILL_AT=0 it kills nothing and writes the number of steps to descriptor 3 when the process ends.
import { createRequire, syncBuiltinESMExports } from 'node:module';

const fs = createRequire(import.meta.url)('node:fs') as typeof import('node:fs');
const sqlite = createRequire(import.meta.url)('node:sqlite') as typeof import('node:sqlite');

const killAt = Number(process.env['KILL_AT'] ?? '0');
let steps = Number.NaN;

declare global {
  var startCounting: () => void;
}
globalThis.startCounting = () => {
  steps = 0;
};

function step(): void {
  steps += 1;
  if (killAt > 0 && steps === killAt) process.kill(process.pid, 'SIGKILL');
}

function wrap(holder: object, names: readonly string[]): void {
  const functions = holder as Record<string, (...args: unknown[]) => unknown>;
  for (const name of names) {
    const original = functions[name];
    if (original === undefined) throw new Error(`no ${name} to wrap`);
    functions[name] = function (this: unknown, ...args: unknown[]) {
      step();
      return original.apply(this, args);
    };
  }
}

const handle = await fs.promises.open(import.meta.filename, 'r');
wrap(Object.getPrototypeOf(handle) as object, ['chmod', 'writeFile', 'sync', 'stat']);
await handle.close();
// Not what only reads: Node's own module loader does that too.
wrap(fs.promises, ['open', 'mkdir', 'rename', 'link', 'unlink', 'rm']);
wrap(fs, ['openSync', 'closeSync', 'chmodSync', 'fsyncSync', 'linkSync', 'unlinkSync']);
wrap(sqlite.StatementSync.prototype, ['run', 'get', 'all']);
wrap(sqlite.DatabaseSync.prototype, ['exec', 'close']);
syncBuiltinESMExports();

if (killAt === 0) process.on('exit', () => fs.writeSync(3, String(steps)));
