// Tells systemd that what was started can be used (sd_notify(3)), so that a unit of Type=notify counts as started then and not
// before, and what is ordered after it need not wait by itself. The message is a datagram on a Unix socket, which Node can't
// send: systemd's own program does. Nobody is told where NOTIFY_SOCKET is not set, and a failure ends nothing.

import type { Log } from '../observe/log.ts';

/** How long systemd may take to hear it, ms. */
const HEARING = 10_000;

/** Resolves when systemd has heard it, or won't. */
export async function tellReady(log: Log, env: NodeJS.ProcessEnv): Promise<void> {
  if ((env['NOTIFY_SOCKET'] ?? '') === '') return;
  const { execFile } = await import('node:child_process');
  await new Promise<void>((told) => {
    execFile('systemd-notify', ['--ready'], { env, timeout: HEARING }, (error) => {
      if (error !== null) log.warn({ reason: error.message.trim() }, 'could not notify systemd that this is ready');
      told();
    });
  });
}
