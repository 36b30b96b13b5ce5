// certgate's commands run in this process, and what they said kept.

import type { Io } from '../../src/cli/io.ts';
import { run } from '../../src/cli/program.ts';

export interface Ran {
  readonly code: number;
  /** stdout's lines. */
  readonly out: string;
  /** stderr's. */
  readonly said: string;
  /** Both, in their order. */
  readonly all: string;
}

/** Runs `certgate …argv` in the folder `cwd`, with nothing on stdin and no terminal. */
export async function runIn(cwd: string, argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const lines: { readonly to: 'out' | 'said'; readonly text: string }[] = [];
  const io: Io = {
    out: (text) => void lines.push({ to: 'out', text }),
    say: (text) => void lines.push({ to: 'said', text }),
    input: async () => new Uint8Array(),
    env,
    cwd,
    program: 'certgate',
    isTerminal: false,
  };
  const code = await run([...argv], io);
  const joined = (some: typeof lines): string => some.map(({ text }) => text).join('\n');
  const of = (which: 'out' | 'said'): string => joined(lines.filter(({ to }) => to === which));
  return { code, out: of('out'), said: of('said'), all: joined(lines) };
}
