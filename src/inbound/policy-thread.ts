// A thread of its own that reads one policy, checks it and asks it its tests, while the gate serves. What it says is plain data.
import { parentPort, workerData } from 'node:worker_threads';
import { type PolicyText, takePolicy } from '../config/policy-load.ts';
import type { PolicyWords } from '../config/policy-words.ts';
import { type ErrorCode, isCertgateError } from '../errors.ts';

export type PolicyRead =
  /** PolicyWords as JSON, which is had sooner than a copy of its objects. */
  { readonly words: string } | { readonly refused: { readonly code: ErrorCode; readonly facts: object } };

function readApart(source: PolicyText): PolicyRead {
  try {
    const words: PolicyWords = takePolicy(source).words;
    return { words: JSON.stringify(words) };
  } catch (error) {
    if (!isCertgateError(error)) throw error;
    return { refused: { code: error.code, facts: error.facts } };
  }
}

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
parentPort?.postMessage(readApart(workerData as PolicyText));
