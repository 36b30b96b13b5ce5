// How a serving process ends: the first SIGTERM or SIGINT begins to finish, a second one stops waiting for it. Who binds a
// port calls `hearStop` before that: a signal that came between would end the process with its work undone.

/** Signals that are heard, and kept until somebody asks. */
export interface Stop {
  /** Resolves when `finish` has, which begins at the first signal, also one that came before; a second aborts `hurry`. */
  readonly until: (finish: (signal: NodeJS.Signals, hurry: AbortSignal) => Promise<void>) => Promise<void>;
}

/** Hears SIGTERM and SIGINT from now on. Until `until` is called a second one ends the process: its start may hang. */
export function hearStop(): Stop {
  const first = Promise.withResolvers<NodeJS.Signals>();
  const hurry = new AbortController();
  let asked = false;
  let count = 0;
  const heard = (signal: NodeJS.Signals): void => {
    count++;
    first.resolve(signal);
    if (count === 1) return;
    process.off('SIGTERM', heard);
    process.off('SIGINT', heard);
    if (asked) hurry.abort();
    else process.kill(process.pid, signal);
  };
  process.on('SIGTERM', heard);
  process.on('SIGINT', heard);
  return {
    async until(finish) {
      asked = true;
      const signal = await first.promise;
      await finish(signal, hurry.signal);
    },
  };
}
