// How a serving process ends: the first SIGTERM or SIGINT begins `finish`, a second one stops waiting for it.

/** Resolves when `finish` has, which begins at a first signal; a second one aborts `hurry`. */
export async function untilStopped(
  finish: (signal: NodeJS.Signals, hurry: AbortSignal) => Promise<void>,
): Promise<void> {
  const signal = await next();
  const hurry = new AbortController();
  void next().then(() => hurry.abort());
  await finish(signal, hurry.signal);
}

function next(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const heard = (signal: NodeJS.Signals): void => {
      process.off('SIGTERM', heard);
      process.off('SIGINT', heard);
      resolve(signal);
    };
    process.on('SIGTERM', heard);
    process.on('SIGINT', heard);
  });
}
