// The world as a command sees it: two streams of lines, one stream of bytes in, the environment and a folder. A command
// gets it as a value, so that every command can be run inside a test. Results go to `out`, words to `say`; commands
// escape what others wrote (escape.ts) before they hand it over. Nothing here ends the process.
import { Buffer } from 'node:buffer';
import { basename, delimiter, dirname, relative } from 'node:path';
import { shellWord } from '../errors.ts';
import { askSecret } from './ask-secret.ts';
import { usage } from './flags.ts';

export interface Io {
  /** A line of the result, to stdout. */
  out(text: string): void;
  /** A line for people, to stderr. */
  say(text: string): void;
  /** All of stdin, at most `limit` bytes; more is CG_USAGE. */
  input(limit: number): Promise<Uint8Array>;
  /** Asks for a line on the terminal and shows nothing of it; undefined where there is no terminal to ask on. */
  readonly askSecret?: ((question: string) => Promise<string>) | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Whether stderr is a terminal: progress is shown only there. */
  readonly isTerminal: boolean;
  /** How this program is called here, fit for a shell: `certgate`, or a path, or `node …/main.ts`. */
  readonly program: string;
}

/** What a command gets: the world, and the exit code to leave when it succeeded in its own way (`certgate run`). */
export interface CommandIo extends Io {
  /** Sets the program's exit code for a command that ends without an error. Without it: 0. */
  setExitCode(code: number): void;
}

/** The real process's. */
export function processIo(): Io {
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    say: (text) => void process.stderr.write(`${text}\n`),
    input: readAll,
    askSecret: process.stdin.isTTY && process.stderr.isTTY ? askSecret : undefined,
    env: process.env,
    get cwd() {
      return workingFolder();
    },
    isTerminal: process.stderr.isTTY,
    program: programName(process.argv[1] ?? 'certgate', process.env['PATH'] ?? ''),
  };
}

/** CG_USAGE where it was removed under a shell that still stands in it, as a release's or a volume's is. */
function workingFolder(): string {
  try {
    return process.cwd();
  } catch {
    throw usage(
      'the folder that this runs in was removed',
      'change to one that exists: cd "$PWD" if it is back, or cd /',
    );
  }
}

function programName(script: string, path: string): string {
  const [folder, name] = [dirname(script), basename(script)];
  if (name !== 'certgate') return `node ${shellWord(script)}`;
  return path.split(delimiter).includes(folder) ? name : shellWord(script);
}

/** A path as people would type it here: from `./` on where it is below the working folder. */
export function here(path: string, { cwd }: Pick<Io, 'cwd'>): string {
  const below = relative(cwd, path);
  return below.startsWith('..') ? path : `./${below}`;
}

async function readAll(limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > limit) throw usage(`more than ${limit} bytes on standard input`, 'see that it is the right file there');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
