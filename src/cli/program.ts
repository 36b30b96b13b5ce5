// The command line as a whole: which commands there are, how their help looks, and how every ending becomes an exit
// code. It prints through the Io that it is given and ends nothing itself.
import { Command, CommanderError } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { CertgateError } from '../errors.ts';
import { requirePaths } from './flags.ts';
import { carryConfig } from './given-config.ts';
import { describe, formatHelp } from './help.ts';
import type { CommandIo, Io } from './io.ts';
import { requireNode } from './node-version.ts';
import { commandLineError, report } from './report.ts';
import { inOrder } from './word-order.ts';

type MakeCommand = (io: CommandIo) => Command;

/** One line for each command, in the order of `certgate --help`. A command's rooms are loaded only when it is the one. */
const commands: Readonly<Record<string, () => Promise<MakeCommand>>> = {
  init: async () => (await import('./init.ts')).initCommand,
  issue: async () => (await import('./issue.ts')).issueCommand,
  export: async () => (await import('./export.ts')).exportCommand,
  revoke: async () => (await import('./revoke.ts')).revokeCommand,
  lock: async () => (await import('./lock.ts')).lockCommand,
  unlock: async () => (await import('./unlock.ts')).unlockCommand,
  unflag: async () => (await import('./unflag.ts')).unflagCommand,
  locks: async () => (await import('./locks.ts')).locksCommand,
  crl: async () => (await import('./crl.ts')).crlCommand,
  list: async () => (await import('./list.ts')).listCommand,
  token: async () => (await import('./token.ts')).tokenCommand,
  ca: async () => (await import('./ca.ts')).caCommand,
  policy: async () => (await import('./policy.ts')).policyCommand,
  inspect: async () => (await import('./inspect.ts')).inspectCommand,
  backup: async () => (await import('./backup.ts')).backupCommand,
  restore: async () => (await import('./restore.ts')).restoreCommand,
  audit: async () => (await import('./audit.ts')).auditCommand,
  enroll: async () => (await import('./enroll.ts')).enrollCommand,
  renew: async () => (await import('./renew.ts')).renewCommand,
  login: async () => (await import('./login.ts')).loginCommand,
  logout: async () => (await import('./logout.ts')).logoutCommand,
  serve: async () => (await import('./serve.ts')).serveCommand,
  signer: async () => (await import('./signer.ts')).signerCommand,
  connect: async () => (await import('./connect.ts')).connectCommand,
  run: async () => (await import('./run.ts')).runCommand,
  doctor: async () => (await import('./doctor.ts')).doctorCommand,
  health: async () => (await import('./health.ts')).healthCommand,
};

/** The commander program, not yet run: with the command called `only`, with none when that is empty, or with all. docs/cli.md is made from it. */
export async function buildProgram(io: CommandIo, only?: string): Promise<Command> {
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
        ['revoke the certificates of an identity, at once', 'certgate revoke worker/etl-1 --reason keyCompromise'],
      ],
      notes: [
        'settings come from flags, CERTGATE_… variables and certgate.yaml, in that order of precedence: see docs/configuration.md.',
        'every error ends with its code in brackets: see docs/errors.md.',
      ],
    },
  )
    .usage('COMMAND [options]')
    .version(manifest.version, '--version', 'print the version')
    .option('--config <FILE>', 'the configuration file (default: ./certgate.yaml if there is one)')
    .enablePositionalOptions();
  for (const [name, load] of Object.entries(commands)) {
    if (only === undefined || only === name) program.addCommand((await load())(io));
  }
  program.hook('preAction', (_program, command) => requirePaths(command));
  settle(program, io);
  return program.helpCommand(false);
}

/**
 * Runs one command line and answers the exit code. Whatever is thrown is reported on stderr; nothing escapes.
 * `argv` is without the program's name.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let exitCode = 0;
  let carry = (text: string): string => text;
  const say = (text: string): void => io.say(carry(text));
  const first = argv.find((word) => !word.startsWith('-')) ?? '';
  const name = Object.hasOwn(commands, first) ? first : undefined;
  try {
    if (argv.length === 0)
      throw new CertgateError('CG_USAGE', { problem: 'no command', remedy: 'see certgate --help' });
    const commandIo = { ...io, say, setExitCode: (code: number) => (exitCode = code) };
    // The version is asked for often, by scripts that wait for it, and needs no command at all.
    const only = argv[0] === '--version' ? '' : argv[0] === name ? name : undefined;
    if (only !== '') requireNode(process.versions.node);
    const program = await buildProgram(commandIo, only);
    program.hook('preAction', (_program, command) => {
      carry = carryConfig(command, io);
    });
    await program.parseAsync(inOrder(program, argv), { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    return report(error, { say });
  }
}

function settle(command: Command, io: Io, name = command.name()): void {
  command
    .exitOverride((error) => {
      throw error.exitCode === 0 ? error : commandLineError(error, name);
    })
    .configureHelp({ formatHelp: (cmd, helper) => formatHelp(cmd, helper) })
    .configureOutput({
      writeOut: (text) => io.out(text.replace(/\n$/, '')),
      // What commander would write about errors, `report` says in our form.
      writeErr: () => {},
      outputError: () => {},
    })
    .helpOption('-h, --help', 'print this help')
    .allowExcessArguments(false);
  if (command.parent !== null && command.commands.length > 0) command.helpCommand(false);
  for (const sub of command.commands) settle(sub, io, `${name} ${sub.name()}`);
}
