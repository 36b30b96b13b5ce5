// A worker that takes each connection and answers it with its process id, and has an answer to whatever it is asked.

import { Socket } from 'node:net';
import { NO_WORK } from '../../../src/inbound/live-index.ts';
import type { ToPrimary, ToWorker } from '../../../src/inbound/workers/messages.ts';

const say = (message: ToPrimary): void => void process.send?.(message);
process.on('message', (message: ToWorker, socket: unknown) => {
  if (message.kind === 'start') say({ kind: 'ready' });
  if (message.kind === 'drain') process.disconnect?.();
  if (message.kind === 'ask') say({ kind: 'answer', id: message.id, answer: { revision: 1, cut: NO_WORK } });
  if (message.kind !== 'connection' || !(socket instanceof Socket)) return;
  const { connection } = message;
  say({ kind: 'taken', connection });
  socket.on('close', () => say({ kind: 'closed', connections: [connection] }));
  socket.end(String(process.pid));
});
say({ kind: 'hello' });
