// `certgate run -- CMD…`: an outbound sidecar around one command. The command finds PREFECT_API_URL set to the sidecar;
// signals reach it, its exit code is ours (128+n when signal n ended it), and the sidecar goes when it has gone, after
// the requests still in flight.

import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { Command } from 'commander';
import { CertgateError, reasonOf, systemCode } from '../errors.ts';
import { flushLog, openLog } from '../observe/log.ts';
import { startSidecar } from '../outbound/sidecar.ts';
import { type EnrollFlags, withEnrollFlags } from './enroll-source.ts';
import { enrollingAgain, ensureEnrolled } from './ensure-enrolled.ts';
import { usage } from './flags.ts';
import { describe } from './help.ts';
import { identityTokenVariable } from './identity-token-source.ts';
import type { CommandIo } from './io.ts';
import { configOf, withSettings } from './settings.ts';
import { CONNECT_SETTINGS, sidecarOptions } from './sidecar-options.ts';

const PASSED_ON: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'];
/** A terminal sends these to the whole foreground group, the command included; a second copy would force it to quit. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];

export function runCommand(io: CommandIo): Command {
  const command = describe(new Command('run'), 'run a command with its own outbound sidecar', {
    examples: [
      [
        'a worker',
        'certgate run --gate https://gate.example:8443 --identity ./worker-etl-1 -- prefect worker start --pool etl',
      ],
      [
        'a worker on a new machine, with a token that the gate made: certgate token create worker/etl-1',
        'certgate run --token-file token -- prefect worker start --pool etl',
      ],
      [
        'a script that uses Prefect',
        'certgate run --gate https://gate.example:8443 --identity ./user-alice -- python flow.py',
      ],
    ],
    notes: [
      'run sets PREFECT_API_URL and NO_PROXY, and PREFECT_UI_URL if it is not set; the exit code is the command’s.',
      'the sidecar shows only warnings; --log-level debug shows every request.',
    ],
  });
  withEnrollFlags(withSettings(command, CONNECT_SETTINGS));
  command.argument('<command...>', 'the command and its arguments, after --');
  return command.passThroughOptions().action(async (words: string[], flags: EnrollFlags) => {
    if (flags.tokenFile === '-') {
      throw usage(
        'standard input is the command’s, and cannot carry a token',
        'use --token-file FILE, or CERTGATE_TOKEN',
      );
    }
    const given = configOf(command, io);
    const verbose = given.log.level === 'debug';
    const log = openLog({ level: given.log.level === 'info' ? 'warn' : given.log.level });
    const config = await ensureEnrolled(given, flags, log, io);
    const sidecar = await startSidecar(
      sidecarOptions(config, log, io, {
        listen: '127.0.0.1:0',
        unsafeListen: false,
        allowHosts: [],
        accessLog: verbose,
        enrollAgain: enrollingAgain(config, flags, io),
      }),
    );
    try {
      const env = environmentFor(io.env, sidecar.url, new URL(config.connect.gate ?? '').origin, flags);
      io.setExitCode(await runToEnd(words, env));
    } finally {
      await sidecar.drain(config.connect.drain);
      await flushLog(log);
    }
  });
}

/** The command's environment: the caller's, with Prefect pointed at the sidecar. */
export function environmentFor(
  env: NodeJS.ProcessEnv,
  url: string,
  gate: string,
  flags: EnrollFlags = {},
): NodeJS.ProcessEnv {
  const passed = withoutSecrets(env, identityTokenVariable(flags));
  // Programs read one or the other, and an empty one is none.
  const before = [env['NO_PROXY'] ?? '', env['no_proxy'] ?? ''].filter((hosts) => hosts !== '');
  const noProxy = [...new Set([...before, '127.0.0.1', 'localhost'])].join(',');
  return {
    ...passed,
    PREFECT_API_URL: `${url}/api`,
    // Links that Prefect prints are for people: they lead to the gate.
    PREFECT_UI_URL: env['PREFECT_UI_URL'] ?? gate,
    NO_PROXY: noProxy,
    no_proxy: noProxy,
  };
}

/**
 * An environment for a command of somebody else's, which has no use for what enrols an identity or opens its key, and
 * whatever it starts would have it too. `variable` is one that holds an identity token, or null.
 */
export function withoutSecrets(env: NodeJS.ProcessEnv, variable: string | null): NodeJS.ProcessEnv {
  const { CERTGATE_TOKEN: _token, CERTGATE_PASSPHRASE: _passphrase, ...passed } = env;
  if (variable !== null) delete passed[variable];
  return passed;
}

function runToEnd(words: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const [program = '', ...args] = words;
  return new Promise((resolve, reject) => {
    const failed = (error: unknown): void => {
      const reason = systemCode(error) === 'ENOENT' ? 'there is no such command' : reasonOf(error);
      reject(new CertgateError('CG_COMMAND', { command: program, reason }, { cause: error }));
    };
    let child: ChildProcess;
    try {
      child = spawn(program, args, { env, stdio: 'inherit' });
    } catch (error) {
      // Some of the system's errors are thrown.
      failed(error);
      return;
    }
    const stop = passSignals(child);
    child.on('error', (error) => {
      // Of one that runs: a signal could not be passed on to it, because it is another user's by now (sudo).
      if (child.pid !== undefined) return;
      stop();
      failed(error);
    });
    child.once('exit', (code, signal) => {
      stop();
      resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]);
    });
  });
}

function passSignals(child: ChildProcess): () => void {
  const pass = (signal: NodeJS.Signals): void => {
    if (process.stdin.isTTY && FROM_TERMINAL.includes(signal)) return;
    child.kill(signal);
  };
  const end = (): void => void child.kill('SIGTERM');
  for (const signal of PASSED_ON) process.on(signal, pass);
  process.on('exit', end);
  return () => {
    for (const signal of PASSED_ON) process.off(signal, pass);
    process.off('exit', end);
  };
}
