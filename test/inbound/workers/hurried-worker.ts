// A worker that serves nobody, and goes on after it is told to drain until it is told to hurry.

import type { ToPrimary, ToWorker } from '../../../src/inbound/workers/messages.ts';

const say = (message: ToPrimary): void => void process.send?.(message);
process.on('message', (message: ToWorker) => {
  if (message.kind === 'start') say({ kind: 'ready' });
  if (message.kind === 'hurry') process.disconnect?.();
});
say({ kind: 'hello' });
