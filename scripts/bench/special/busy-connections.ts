// A process whose connections are in use until they are cut (busy.ts), and what it says of each of them.

import { once } from 'node:events';
import { join } from 'node:path';
import { startProcess, stopProcess } from '../processes.ts';
import type { BusyCounts, BusyEnd, BusyMessage } from './busy.ts';
import type { ClientFiles } from './revoking.ts';
import type { Stage } from './stage.ts';

export interface Busy {
  /** Of each connection when it read the last octets of data and when it ended; resolves when all have. */
  ends(): Promise<readonly BusyEnd[]>;
  stop(): Promise<void>;
}

/** Opens connections with the certificate of `files`; resolves when each has had an answer. */
export async function keepBusy(port: number, files: ClientFiles, counts: BusyCounts, stage: Stage): Promise<Busy> {
  const { requests, tunnels, streams } = counts;
  const words = [port, files.chain, files.key, files.bundle, requests, tunnels, streams].map(String);
  const child = startProcess(process.execPath, [join(import.meta.dirname, 'busy.ts'), ...words], {
    core: stage.cores.load,
    cwd: stage.ground.dir,
    outputFile: join(stage.ground.dir, 'busy.log'),
    ipc: true,
  });
  const messages: BusyMessage[] = [];
  child.on('message', (message) => messages.push(message as BusyMessage));
  const next = async (): Promise<BusyMessage> => {
    if (messages.length === 0) await Promise.race([once(child, 'message'), once(child, 'exit')]);
    const message = messages.shift();
    if (message === undefined) throw new Error('the busy connections ended');
    return message;
  };
  await next();
  return {
    async ends() {
      const message = await next();
      return 'gone' in message ? message.gone : [];
    },
    stop: () => stopProcess(child),
  };
}
