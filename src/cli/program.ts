// The command line as a whole: which commands there are, how their help looks, and how every ending becomes an exit
// code. It prints through the Io that it is given and ends nothing itself.
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { CertgateError } from '../errors.ts';
import { auditCommand } from './audit.ts';
import { connectCommand } from './connect.ts';
import { doctorCommand } from './doctor.ts';
import { healthCommand } from './health.ts';
import { describe, formatHelp } from './help.ts';
import { initCommand } from './init.ts';
import { inspectCommand } from './inspect.ts';
import type { CommandIo, Io } from './io.ts';
import { issueCommand } from './issue.ts';
import { listCommand } from './list.ts';
import { report } from './report.ts';
import { revokeCommand } from './revoke.ts';
import { runCommand } from './run.ts';
import { serveCommand } from './serve.ts';

/** One line for each command, in the order of `certgate --help`. */
const commands: ReadonlyArray<(io: CommandIo) => Command> = [
  initCommand,
  issueCommand,
  revokeCommand,
  listCommand,
  inspectCommand,
  auditCommand,
  serveCommand,
  connectCommand,
  runCommand,
  doctorCommand,
  healthCommand,
];

/** The commander program with all its commands, not yet run. docs/cli.md is made from it. */
export function buildProgram(io: CommandIo): Command {
  const program = describe(
    new Command('certgate'),
    'certgate: mutual TLS, identities and an audit record for a self-hosted Prefect server',
    {
      examples: [
        ['on the server: a CA, a store and a configuration in this folder', 'certgate init --name gate.example'],
        ['a certificate for a worker, into ./worker-etl-1', 'certgate issue worker/etl-1'],
        ['the gate in front of Prefect', 'certgate serve --upstream http://127.0.0.1:4200'],
        [
          'on the worker: Prefect through the gate',
          'certgate run --gate https://gate.example:8443 --identity ./worker-etl-1 -- prefect worker start --pool etl --type process',
        ],
        ['take the certificates of an identity back, at once', 'certgate revoke worker/etl-1 --reason keyCompromise'],
      ],
      notes: [
        'settings come from flags, then CERTGATE_… variables, then certgate.yaml: see docs/configuration.md.',
        'every error ends with its code in brackets: see docs/errors.md.',
      ],
    },
  )
    .usage('COMMAND [options]')
    .version(version(), '--version', 'print the version')
    .option('--config <FILE>', 'the configuration file (default: ./certgate.yaml if there is one)')
    .enablePositionalOptions();
  for (const make of commands) program.addCommand(make(io));
  for (const command of [program, ...program.commands]) settle(command, io);
  return program.helpCommand(false);
}

/**
 * Runs one command line and answers the exit code. Whatever is thrown is reported on stderr; nothing escapes.
 * `argv` is without the program's name.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let exitCode = 0;
  const program = buildProgram({ ...io, setExitCode: (code) => (exitCode = code) });
  try {
    if (argv.length === 0)
      throw new CertgateError('CG_USAGE', { problem: 'no command', remedy: 'see certgate --help' });
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const name = program.commands
      .find((command) => command.name() === argv.find((word) => !word.startsWith('-')))
      ?.name();
    return report(error, io, name === undefined ? 'certgate' : `certgate ${name}`);
  }
}

function settle(command: Command, io: Io): void {
  command
    .exitOverride()
    .configureHelp({ formatHelp: (cmd, helper) => formatHelp(cmd, helper) })
    .configureOutput({
      writeOut: (text) => io.out(text.replace(/\n$/, '')),
      // What commander would write about errors, `report` says in our form.
      writeErr: () => {},
      outputError: () => {},
    })
    .helpOption('-h, --help', 'print this help')
    .allowExcessArguments(false);
}

/** certgate's own version: src/cli and dist/cli are equally far from package.json. */
function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version: found } = JSON.parse(text) as { version: string };
  return found;
}
