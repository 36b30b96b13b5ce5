// Where the password of a file that certgate writes comes from: a file, a variable, standard input, the terminal, or the
// dice. Never an argument, which every user of the machine can read; never kept; shown only when it was thrown by
// certgate itself, once, and only on a terminal. What programs read in different ways is refused: none, control
// characters, bytes that are no UTF-8.
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { CertgateError, isCertgateError } from '../errors.ts';
import { usage } from './flags.ts';
import type { CommandIo } from './io.ts';
import { naming } from './named-file.ts';

export interface PasswordFlags {
  readonly passwordFile?: string;
  readonly passwordEnv?: string;
  readonly generatePassword?: true;
}

const LONGEST = 1_024;
const WAYS = 'give one with --password-file FILE (- is standard input) or --password-env NAME';

/** The three flags. */
export function withPasswordFlags(command: Command): Command {
  return command
    .option('--password-file <FILE>', 'the password is the one line in this file (- is standard input)')
    .option('--password-env <NAME>', 'the password is in this environment variable')
    .option('--generate-password', 'generate a password and show it on this terminal, once');
}

/** How many of the flags were given. */
export function passwordFlagsGiven({ passwordFile, passwordEnv, generatePassword }: PasswordFlags): readonly string[] {
  return [
    ...(passwordFile === undefined ? [] : ['--password-file']),
    ...(passwordEnv === undefined ? [] : ['--password-env']),
    ...(generatePassword === undefined ? [] : ['--generate-password']),
  ];
}

/** A new password, from where the flags say; without any, from the terminal, asked twice. @throws CG_USAGE, CG_PASSWORD */
export async function newPassword(flags: PasswordFlags, io: CommandIo): Promise<string> {
  const given = passwordFlagsGiven(flags);
  if (given.length > 1) throw usage(`${given.join(' and ')} both give the password`, 'choose one');
  if (flags.generatePassword === true) return generated(io);
  if (flags.passwordFile !== undefined) return checked(await lineOf(flags.passwordFile, io));
  if (flags.passwordEnv !== undefined) return checked(variable(flags.passwordEnv, io));
  if (io.askSecret === undefined) throw refused('there is no terminal to ask for a password on', WAYS);
  const password = checked(await io.askSecret('password for the file: '));
  if ((await io.askSecret('the same again: ')) === password) return password;
  throw refused('the two passwords are not the same', 'try again');
}

/** 120 bits, in letters and digits that are not taken for one another. */
function generated(io: CommandIo): string {
  if (!io.isTerminal) throw refused('there is no terminal to show a generated password on', WAYS);
  const alphabet = 'abcdefghijkmnpqrstuvwxyz23456789';
  const characters = Array.from(randomBytes(24), (octet) => alphabet[octet % alphabet.length] ?? '');
  const password = characters.join('').replace(/.{4}(?=.)/g, '$&-');
  io.say(`password: ${password}`);
  return password;
}

async function lineOf(file: string, io: CommandIo): Promise<string> {
  const bytes = file === '-' ? await standardInput(io) : naming(file, () => startOf(resolve(io.cwd, file)));
  if (bytes.length > LONGEST) throw tooLong();
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes).replace(/\r?\n$/, '');
  } catch (cause) {
    throw new CertgateError(
      'CG_PASSWORD',
      { problem: 'the password is not UTF-8, so programs would read it in different ways', remedy: 'save it as UTF-8' },
      { cause },
    );
  }
  if (text.includes('\n')) throw refused('the password has more than one line', 'leave one line in the file');
  return text;
}

async function standardInput(io: CommandIo): Promise<Uint8Array> {
  try {
    return await io.input(LONGEST);
  } catch (error) {
    throw isCertgateError(error, 'CG_USAGE') ? tooLong() : error;
  }
}

/** As much of a file, or of a pipe, as shows that it is too long. */
function startOf(path: string): Uint8Array {
  const fd = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(LONGEST + 1);
    let filled = 0;
    for (let read = -1; read !== 0 && filled < bytes.length; filled += read) {
      read = readSync(fd, bytes, filled, bytes.length - filled, null);
    }
    return bytes.subarray(0, filled);
  } finally {
    closeSync(fd);
  }
}

function variable(name: string, { env }: CommandIo): string {
  const value = env[name];
  if (value === undefined) throw refused(`there is no environment variable ${name}`, `export ${name} first`);
  return value;
}

function checked(password: string): string {
  if (password === '') throw refused('the password is empty: it would protect nothing', WAYS);
  if (Buffer.byteLength(password) > LONGEST) throw tooLong();
  if (/[\p{Cc}\u{feff}]/u.test(password) || !password.isWellFormed()) {
    throw refused(
      'the password has a control character, which programs read in different ways',
      'choose one of visible characters; arrow keys and pasted line endings count, too',
    );
  }
  return password;
}

function tooLong(): CertgateError<'CG_PASSWORD'> {
  return refused(`the password is longer than ${LONGEST} bytes`, 'choose a shorter one');
}

function refused(problem: string, remedy: string): CertgateError<'CG_PASSWORD'> {
  return new CertgateError('CG_PASSWORD', { problem, remedy });
}
