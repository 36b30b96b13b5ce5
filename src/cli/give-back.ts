// Gives back, once, the memory that the start of a gate took: V8 has let its heap grow for all that was read and compiled, and
// shrinks it by itself only after much work. The event loop stands still for it, 30 ms or so: nobody may be connected.

/** How often it is looked whether somebody is connected, ms. */
const LOOK = 500;

/** Does so the first time that `open` says that there is no connection. It keeps no process. */
export function giveBackOnceIdle(open: () => number): void {
  const look = setInterval(() => {
    if (open() > 0) return;
    clearInterval(look);
    collect();
  }, LOOK).unref();
}

/** By what V8 has for tests: its collection for want of memory is the one that also lets go of pages that it keeps to use again. */
function collect(): void {
  const { setFlagsFromString } = process.getBuiltinModule('node:v8');
  setFlagsFromString('--expose-gc');
  const gc = process.getBuiltinModule('node:vm').runInNewContext('globalThis.gc') as NodeJS.GCFunction | undefined;
  setFlagsFromString('--no-expose-gc');
  gc?.({ type: 'major', flavor: 'last-resort' });
}
