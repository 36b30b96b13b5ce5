// Questions over a channel that only carries messages: each gets an id, its promise waits for the answer with that id, and
// all that wait are rejected when the channel ends. Pure but for the promises.

import { reasonOf } from '../../errors.ts';

export interface Questions<Q> {
  /** Rejects when the other end answers with a failure, or is gone. */
  ask(question: Q): Promise<unknown>;
  /** Takes an answer that came. */
  answered(id: number, answer: unknown): void;
  /** The channel has ended: nobody will answer any more. */
  end(): void;
}

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A failure on its way back. */
interface Failure {
  readonly failure: string;
}

export function openQuestions<Q>(send: (id: number, question: Q) => void): Questions<Q> {
  const waiting = new Map<number, Waiting>();
  let last = 0;
  let ended = false;
  return {
    ask: (question) =>
      new Promise((resolve, reject) => {
        if (ended) {
          reject(new Error('the other process is gone'));
          return;
        }
        const id = ++last;
        waiting.set(id, { resolve, reject });
        send(id, question);
      }),
    answered(id, answer) {
      const one = waiting.get(id);
      waiting.delete(id);
      if (isFailure(answer)) one?.reject(new Error(answer.failure));
      else one?.resolve(answer);
    },
    end() {
      ended = true;
      for (const one of waiting.values()) one.reject(new Error('the other process is gone'));
      waiting.clear();
    },
  };
}

/** What to send back for a question that `work` works on. Never rejects. */
export async function answerTo(work: Promise<unknown>): Promise<unknown> {
  try {
    return await work;
  } catch (error) {
    return { failure: reasonOf(error) } satisfies Failure;
  }
}

function isFailure(answer: unknown): answer is Failure {
  return typeof answer === 'object' && answer !== null && 'failure' in answer;
}
