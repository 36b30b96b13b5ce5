// Workers that serve nobody and never tell of their metrics. The first, asked how it is, says that it has had ten requests
// and is killed soon after; the others do not answer.

import cluster from 'node:cluster';
import type { ToPrimary, ToWorker, WorkerHealth } from '../../../src/inbound/workers/messages.ts';
import { createMetrics } from '../../../src/observe/metrics.ts';

const say = (message: ToPrimary): void => void process.send?.(message);
process.on('message', (message: ToWorker) => {
  if (message.kind === 'start') say({ kind: 'ready' });
  if (message.kind === 'drain') process.disconnect?.();
  if (message.kind !== 'ask' || cluster.worker?.id !== 1) return;
  const answer: WorkerHealth = {
    ...{ store: true, upstream: true, connections: 1, locks: { standing: 0, everyone: false } },
    metrics: { ...createMetrics(), requests: 10, connections: 1 },
  };
  say({ kind: 'answer', id: message.id, answer });
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), 500);
});
say({ kind: 'hello' });
