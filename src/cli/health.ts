// `certgate health`: asks the gate of this machine how it is, for a container's HEALTHCHECK and for people.

import { join } from 'node:path';
import { Command } from 'commander';
import { askHealth } from '../admin/control-client.ts';
import { CertgateError, EXIT } from '../errors.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { configOf, withSettings } from './settings.ts';

export function healthCommand(io: CommandIo): Command {
  const command = describe(new Command('health'), 'ask the gate on this machine whether it is healthy', {
    examples: [
      ['exit code 0 if it is', 'certgate health'],
      ['as JSON, with its counters', 'certgate health --json'],
      ['whether a gate answers at all, for a liveness probe', 'certgate health --live'],
    ],
  });
  withSettings(command)
    .option('--json', 'print JSON')
    .option('--live', 'exit code 0 if a gate answers, even if degraded: Prefect may be down, or not up yet');
  return command.action(async (options: { json?: boolean; live?: boolean }) => {
    const socket = join(configOf(command, io).stateDir, 'control.sock');
    const health = await askHealth(socket);
    if (health === null) throw new CertgateError('CG_GATE_ANSWER', { socket, reason: 'no gate runs there' });
    if (options.json === true) io.out(JSON.stringify(health));
    else {
      const part = (name: string, good: boolean): string => `${name} ${good ? 'ok' : 'FAILED'}`;
      const parts = [part('store', health.store), part('record', health.audit), part('upstream', health.upstream)];
      if (health.workers === false) parts.push(part('workers', false));
      const { standing, everyone } = health.locks;
      const locks = everyone
        ? ', everyone is locked'
        : standing === 0
          ? ''
          : `, ${standing} ${standing === 1 ? 'lock' : 'locks'}`;
      io.out(`${health.status}: ${parts.join(', ')}, ${health.connections} connections${locks}`);
    }
    if (health.status !== 'ok' && options.live !== true) io.setExitCode(EXIT.failure);
  });
}
