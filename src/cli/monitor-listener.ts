// What monitors ask of a gate, or of a sidecar: listened for only where that is configured, and loaded only then.

import manifest from '../../package.json' with { type: 'json' };
import { bracketed, parseHostPort } from '../config/address.ts';
import { reasonOf } from '../errors.ts';
import type { MonitorOptions } from '../inbound/status/monitor.ts';
import type { PlainListener } from '../inbound/status/plain-listener.ts';
import { limitLog } from '../observe/limited-log.ts';
import type { Log } from '../observe/log.ts';

/** `listen` as in `metrics.listen`. CG_LISTEN. */
export async function startMonitor(
  listen: string | null,
  about: Pick<MonitorOptions, 'told' | 'draining'>,
  log: Log,
): Promise<PlainListener | null> {
  const where = listen === null ? null : parseHostPort(listen);
  if (where === null) return null;
  const { openMonitor } = await import('../inbound/status/monitor.ts');
  const { startPlainListener } = await import('../inbound/status/plain-listener.ts');
  const said = limitLog(log);
  const failed = (error: unknown): void =>
    said.say('error', 'monitor', { reason: reasonOf(error) }, 'a monitor could not be answered');
  const answers = openMonitor({ ...about, version: manifest.version, failed });
  const listener = await startPlainListener({ ...where, flag: '--metrics-listen' }, answers);
  log.info({ address: `${bracketed(where.host)}:${listener.port}` }, 'telling monitors');
  return {
    port: listener.port,
    async stop() {
      await listener.stop();
      said.close();
    },
  };
}
