// A question at the terminal whose answer is not shown: readline edits the line, and what it would write goes nowhere.
// Nothing is echoed, not even the length. Only asked when both standard input and standard error are a terminal, so
// that a script never hangs on a question that nobody sees.
import { Writable } from 'node:stream';
import { CertgateError } from '../errors.ts';

/** The line that was typed, without its end. CG_PASSPHRASE when the question was left by Ctrl-C or Ctrl-D. */
export async function askUnseen(question: string): Promise<string> {
  const { createInterface } = await import('node:readline');
  process.stderr.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const line = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  try {
    return await new Promise((resolve, reject) => {
      const left = (): void =>
        reject(
          new CertgateError('CG_PASSPHRASE', {
            problem: 'no passphrase was typed',
            remedy: 'run the command again, or name a file with --passphrase-file FILE',
          }),
        );
      line.once('line', resolve);
      line.once('SIGINT', left);
      line.once('close', left);
    });
  } finally {
    line.close();
    process.stderr.write('\n');
  }
}
