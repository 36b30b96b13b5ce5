// A process that reads one JSON question a line and prints one JSON answer a line, in turn.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface AskedProcess {
  /** What it prints unasked. */
  next(): Promise<unknown>;
  /** The answer to `asked`; one question at a time. The last one is kept: asked again, the process does not hear of it. */
  ask(asked: unknown): Promise<unknown>;
  stop(): Promise<void>;
}

export function startAsking(program: string, args: readonly string[]): AskedProcess {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let words = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    words = (words + text).slice(-4_000);
  });
  child.stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const line = await lines.next();
    if (line.done === true) throw new Error(`${program} ended: ${words}`);
    return JSON.parse(line.value);
  };
  let kept: { readonly question: string; readonly answer: Promise<unknown> } | null = null;
  return {
    next,
    ask(asked) {
      const question = JSON.stringify(asked);
      if (kept?.question === question) return kept.answer;
      child.stdin.write(`${question}\n`);
      const answer = next();
      kept = { question, answer };
      return answer;
    },
    async stop() {
      child.stdin.end();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}

export function base64(pieces: readonly Buffer[]): string[] {
  return pieces.map((piece) => piece.toString('base64'));
}
