// How a serving process ends: the first SIGTERM or SIGINT begins `finish`, a second one stops waiting for it.

/** Resolves when `finish` has, after a first signal, or at once on a second. */
export async function untilStopped(finish: (signal: NodeJS.Signals) => Promise<void>): Promise<void> {
  const signal = await next();
  const second = next();
  await Promise.race([finish(signal), second]);
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
