// Where the token to enrol with comes from: a file, standard input, the variable CERTGATE_TOKEN, or, where it does not
// matter that every user of the machine can read it in `ps` for a moment, the command line. What is read is never printed.
import { existsSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { isPattern, readToken, type Token } from '../enroll/token.ts';
import { CertgateError, shellWord, shown } from '../errors.ts';
import { isIdentityName, parseIdentityName } from '../identity/name.ts';
import { printable } from './escape.ts';
import { usage } from './flags.ts';
import type { CommandIo } from './io.ts';
import { readNamed } from './named-file.ts';

export interface TokenFlags {
  readonly token?: string;
  readonly tokenFile?: string;
  readonly name?: string;
}

const VARIABLE = 'CERTGATE_TOKEN';
const LONGEST = 4_096;

/** The flags of a command that enrols where it has no certificate yet. */
export function withTokenFlags(command: Command): Command {
  return command
    .option('--token-file <FILE>', `if there is no certificate, enrol with the token in this file (or in ${VARIABLE})`)
    .option('--token <TOKEN>', 'the token itself; until certgate has read it, every user of this machine can see it')
    .option('--name <NAME>', 'the name to enrol under, for a token that is valid for several');
}

/** Whether a token is named, be it that there is none any more where it should be. */
export function namesToken(flags: TokenFlags, io: CommandIo): boolean {
  return flags.token !== undefined || flags.tokenFile !== undefined || (io.env[VARIABLE] ?? '') !== '';
}

/**
 * The token that was given, if any; `first` is an argument in its place. `warn` is told of a file that others can read.
 * CG_USAGE, CG_TOKEN, and the system's errors.
 */
export async function tokenFrom(
  flags: TokenFlags,
  io: CommandIo,
  warn: (words: string) => void,
  first?: string,
): Promise<Token | null> {
  const ways = [
    ...(first === undefined ? [] : ['the token as an argument']),
    ...(flags.token === undefined ? [] : ['--token']),
    ...(flags.tokenFile === undefined ? [] : ['--token-file']),
  ];
  if (ways.length > 1) throw usage(`${ways.join(' and ')} both give the token`, 'choose one');
  const argument = first ?? flags.token ?? '';
  if (argument !== '') hideFromPs(argument);
  const text = first ?? flags.token ?? (await textIn(flags.tokenFile, io)) ?? io.env[VARIABLE];
  if (text === undefined || text === '') return null;
  const token = readToken(text);
  if (flags.tokenFile !== undefined && flags.tokenFile !== '-') warnOfReaders(flags.tokenFile, io, warn);
  return token;
}

/** It may be good for a fleet, and this process may run for weeks. Until here it stood in the list of processes. */
function hideFromPs(token: string): void {
  process.title = ['certgate', ...process.argv.slice(2)].map((word) => word.replaceAll(token, 'cgt1_...')).join(' ');
}

async function textIn(file: string | undefined, io: CommandIo): Promise<string | undefined> {
  if (file === undefined) return undefined;
  if (file !== '-' && !existsSync(resolve(io.cwd, file))) {
    throw new CertgateError('CG_TOKEN', {
      problem: `there is no file ${shown(file)}`,
      remedy: 'make one on the gate with `certgate token create NAME`, and put what it prints into that file',
    });
  }
  const bytes = file === '-' ? await io.input(LONGEST) : readNamed(file, io);
  if (bytes.length > LONGEST) {
    throw new CertgateError('CG_TOKEN', {
      problem: `${file} is too long to be one`,
      remedy: 'name the file with the token',
    });
  }
  const text = Buffer.from(bytes).toString('latin1');
  if (text.trim() === '') {
    throw new CertgateError('CG_TOKEN', {
      problem: `${file === '-' ? 'standard input' : `the file ${shown(file)}`} is empty`,
      remedy:
        'put into it what `certgate token create NAME` prints on the gate; a command that failed there prints nothing',
    });
  }
  return text;
}

function warnOfReaders(file: string, io: CommandIo, warn: (words: string) => void): void {
  const found = statSync(resolve(io.cwd, file), { throwIfNoEntry: false });
  if (found?.isFile() !== true || (found.mode & 0o077) === 0) return;
  const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
  warn(
    printable(
      `users other than its owner can get at the token in ${file} (mode ${mode}): chmod 600 ${shellWord(file)}`,
    ),
  );
}

/** Under which name to enrol: `wanted`, else the token's own, else, for a pattern, with this machine's name in place of `*`. CG_USAGE. */
export function nameToEnroll({ subject }: Token, wanted: string | undefined): string {
  if (wanted !== undefined) return parseIdentityName(wanted);
  if (!isPattern(subject)) return subject;
  const [machine = ''] = hostname().toLowerCase().split('.');
  const name = subject.slice(0, -1) + machine;
  if (isIdentityName(name)) return name;
  throw usage(
    `the token is for ${subject}, and this machine's name ${shown(machine)} makes no name of it`,
    `say which: --name ${subject.slice(0, -1)}1`,
  );
}
