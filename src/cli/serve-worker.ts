// A worker process of `certgate serve --workers N`: what it serves with comes from the primary, over the channel that it was
// started with. Signals are the primary's to hear, also where they are sent to a whole process group or a service.

import { storeFile } from '../authority/layout.ts';
import { CertgateError } from '../errors.ts';
import type { ToWorker } from '../inbound/workers/messages.ts';
import { runWorker } from '../inbound/workers/worker.ts';
import { flushLog, type Log, openLog } from '../observe/log.ts';
import { openReopeningStore } from '../store/reopening.ts';
import { openSqliteStore } from '../store/sqlite.ts';
import type { Store } from '../store/store.ts';
import { giveBackOnceIdle } from './give-back.ts';
import { auditFile, dataPathOptions, surviveFaults } from './serve-options.ts';

/** Resolves when the primary has had this worker drain. CG_USAGE when nobody but a person started it. */
export async function serveWorker(): Promise<void> {
  if (process.send === undefined) {
    const problem = '--as-worker is for the processes that `certgate serve --workers N` starts';
    throw new CertgateError('CG_USAGE', { problem, remedy: 'use certgate serve --workers N' });
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
  let log: Log | null = null;
  let store: Store | null = null;
  let sent: Promise<void> = Promise.resolve();
  await runWorker(
    {
      send: (message) => {
        // One after another: when the last has gone, all have.
        sent = new Promise<void>((resolve) => {
          if (!process.connected) return resolve();
          process.send?.(message, undefined, undefined, (error) => {
            resolve();
            // The primary waits for every message: without one of them this worker is of no use, and another takes its place.
            if (error !== null && process.connected) process.disconnect?.();
          });
        });
      },
      listen: (heard) => void process.on('message', (message: ToWorker, socket: unknown) => heard(message, socket)),
    },
    ({ config, authString }) => {
      log = openLog({ level: config.log.level, severalWriters: true });
      surviveFaults(log);
      const path = storeFile(config.stateDir);
      store = openReopeningStore(path, async () => openSqliteStore(path, { readOnly: true }));
      return {
        log,
        auditPath: auditFile(config),
        options: dataPathOptions(config, authString, store),
        connectionsPerIdentity: config.serve.limits.connectionsPerIdentity,
        serving: giveBackOnceIdle,
      };
    },
  );
  await (store as Store | null)?.close();
  if (log !== null) await flushLog(log);
  await sent;
  // Ends this process: it has nothing else to do, and node:cluster sees to it.
  process.disconnect?.();
}
