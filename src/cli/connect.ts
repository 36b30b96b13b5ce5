// `certgate connect`: the outbound sidecar as a process of its own, for whatever speaks Prefect's API on this machine.

import { Command } from 'commander';
import type { Told } from '../observe/exposition.ts';
import { flushLog, openLog } from '../observe/log.ts';
import { startSidecar } from '../outbound/sidecar.ts';
import { type EnrollFlags, withEnrollFlags } from './enroll-source.ts';
import { enrollingAgain, ensureEnrolled } from './ensure-enrolled.ts';
import { collect } from './flags.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { startMonitor } from './monitor-listener.ts';
import { configOf, withSettings } from './settings.ts';
import { CONNECT_SETTINGS, sidecarOptions } from './sidecar-options.ts';
import { hearStop } from './signals.ts';
import { tellReady } from './tell-ready.ts';

export function connectCommand(io: CommandIo): Command {
  const command = describe(
    new Command('connect'),
    'run the outbound sidecar: a loopback port that reaches Prefect through the gate, with a certificate',
    {
      examples: [
        [
          'then: export PREFECT_API_URL=http://127.0.0.1:4210/api',
          'certgate connect --gate https://gate.example:8443 --identity ./worker-etl-1',
        ],
        [
          'on a new machine, with a token that the gate made: certgate token create worker/etl-1',
          'certgate connect --token-file /run/secrets/token --identity ./worker-etl-1',
        ],
        [
          'on a unix socket',
          'certgate connect --listen unix:/run/certgate.sock --gate https://gate.example:8443 --identity ./worker-etl-1',
        ],
      ],
      notes: ['whoever can reach the port acts as this identity: keep it on loopback, or on a unix socket (0600).'],
    },
  );
  withSettings(command, ['connect.listen', 'connect.metrics.listen', ...CONNECT_SETTINGS])
    .option(
      '--allow-host <NAME>',
      'an additional Host that clients may use, e.g. host.docker.internal; may be repeated',
      collect,
      [],
    )
    .option('--unsafe-listen', 'allow an address that is not loopback: whoever reaches it can use this certificate');
  withEnrollFlags(command);
  return command.action(async (options: EnrollFlags & { allowHost: string[]; unsafeListen?: boolean }) => {
    const given = configOf(command, io);
    const log = openLog({ level: given.log.level });
    const config = await ensureEnrolled(given, options, log, io);
    const stop = hearStop();
    const sidecar = await startSidecar(
      sidecarOptions(config, log, io, {
        listen: config.connect.listen,
        unsafeListen: options.unsafeListen === true,
        allowHosts: options.allowHost,
        accessLog: config.log.access,
        enrollAgain: enrollingAgain(config, options, io),
      }),
    );
    let draining = false;
    const told = async (): Promise<Told> =>
      (await import('../outbound/told-of-sidecar.ts')).toldOfSidecar(sidecar.health());
    const monitored = startMonitor(config.connect.metrics.listen, { told, draining: () => draining }, log);
    const monitor = await monitored.catch(async (error: unknown) => {
      await sidecar.drain(0);
      throw error;
    });
    log.info({ address: sidecar.url, gate: config.connect.gate }, 'listening');
    void tellReady(log, io.env);
    process.on('uncaughtException', (error) => log.error({ stack: error.stack }, 'fault: please report this'));
    await stop.until(async (signal, hurry) => {
      log.info({ signal }, 'draining');
      draining = true;
      await sidecar.drain(config.connect.drain, hurry);
    });
    await monitor?.stop();
    log.info('stopped');
    await flushLog(log);
  });
}
