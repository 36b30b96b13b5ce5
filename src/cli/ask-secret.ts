// A line typed on the terminal that the terminal never shows: a password. Echo is off from before the question to after
// the answer. Ctrl-C ends the program as it would anywhere else, and the terminal is as before; so it is after a kill,
// which Node itself sees to. What was typed is answered and kept nowhere.

/** A line being typed; `ended` by its return, or by Ctrl-C. */
export interface Line {
  readonly typed: readonly string[];
  readonly ended: 'answered' | 'interrupted' | null;
}

/** The line after one more key: what a terminal would do with it if echo were on. Pure. */
export function afterKey({ typed, ended }: Line, key: string): Line {
  if (ended !== null) return { typed, ended };
  switch (key) {
    case '\r':
    case '\n':
    case '\x04': // Ctrl-D
      return { typed, ended: 'answered' };
    case '\x03': // Ctrl-C
      return { typed: [], ended: 'interrupted' };
    case '\b':
    case '\x7f':
      return { typed: typed.slice(0, -1), ended };
    case '\x15': // Ctrl-U
      return { typed: [], ended };
    default:
      return { typed: [...typed, key], ended };
  }
}

/** Asks `question` on stderr and reads one line from the terminal that is stdin. */
export function askSecret(question: string): Promise<string> {
  const { stdin, stderr } = process;
  return new Promise((resolve) => {
    let line: Line = { typed: [], ended: null };
    const take = (text: string): void => {
      for (const key of text) line = afterKey(line, key);
      if (line.ended === null) return;
      stdin.off('data', take);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
      if (line.ended === 'interrupted') process.kill(process.pid, 'SIGINT');
      else resolve(line.typed.join(''));
    };
    stdin.setRawMode(true);
    stderr.write(question);
    stdin.setEncoding('utf8').on('data', take).resume();
  });
}
