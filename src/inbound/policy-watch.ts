// The policy of a running gate: read again when its file changes, or at once when somebody says so (SIGHUP). Another policy
// is read, checked and asked its tests before it is taken, all of it or nothing; on failure the old one stays, a line is
// logged for each problem and a metric counts. One that takes long to read is read beside the event loop.

import { statSync } from 'node:fs';
import { type LoadedPolicy, type PolicyText, readPolicyText, takePolicy } from '../config/policy-load.ts';
import { isCertgateError, reasonOf } from '../errors.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { takePolicyApart } from './policy-apart.ts';

/** How often the file is looked at, ms. It is read when it is the same at two looks: half a file may be a policy too. */
const LOOK_INTERVAL = 900;

/** Characters of a policy that is read at once: it takes no longer than a thread does to start. */
const SHORT = 16_384;

/** Where a gate's policy is, and the one that it starts with. */
export interface PolicyPlace {
  /** Absolute. */
  readonly path: string;
  /** What its places are told from. */
  readonly cwd: string;
  readonly loaded: LoadedPolicy;
}

export interface PolicyWatch {
  /** Reads it now, changed or not. A long one is taken a moment later; one that changes meanwhile is read once more. */
  readonly reload: () => void;
  stop(): void;
}

/** Watches; `taken` is called with each policy that is to hold from now on, and answers when it does, where that is later. */
export function watchPolicy(
  { path, cwd, loaded }: PolicyPlace,
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
  taken: (policy: LoadedPolicy) => void | Promise<void>,
): PolicyWatch {
  let seen = stampOf(path);
  let before = seen;
  let current = loaded.source.text;
  /** Why the file was not taken when it was last read; null when it was. */
  let trouble: string | null = null;
  /** One is read apart; whether another look is due after it, and somebody asked for that. */
  let apart: { again: boolean; asked: boolean } | null = null;
  const over = new AbortController();

  const refused = (error: unknown, asked: boolean): void => {
    const code = isCertgateError(error) ? error.code : null;
    const reasons = reasonOf(error);
    // What can't be read now, for want of a descriptor say, is tried at each look, and told once.
    if (code === 'CG_POLICY_FILE' || noThread(error)) seen = UNREAD;
    if (!asked && reasons === trouble) return;
    trouble = reasons;
    metrics.policyReloadFailures++;
    for (const reason of reasons.split('\n').slice(0, MOST_LINES)) {
      log.error({ code, reason }, 'new policy refused, the old one stays');
    }
  };
  const take = (fresh: LoadedPolicy): void => {
    current = fresh.source.text;
    trouble = null;
    metrics.policyReloads++;
    const tell = (): void => {
      const { mode } = fresh.policy;
      const counts = { roles: fresh.roles.length, bindings: fresh.bindings.length, tests: fresh.tests.length };
      log.info({ file: fresh.source.file, mode, ...counts }, 'new policy taken');
    };
    // Who reads that line may go by it.
    const holding = taken(fresh);
    if (holding === undefined) tell();
    else void holding.then(tell);
  };
  const readApart = async (source: PolicyText, asked: boolean): Promise<void> => {
    const next = { again: false, asked: false };
    apart = next;
    try {
      const fresh = await takePolicyApart(source, over.signal);
      if (!over.signal.aborted) take(fresh);
    } catch (error) {
      if (!over.signal.aborted) refused(error, asked);
    }
    apart = null;
    if (next.again && !over.signal.aborted) read(next.asked);
  };
  const read = (asked: boolean): void => {
    if (apart !== null) {
      apart.again = true;
      apart.asked ||= asked;
      return;
    }
    seen = stampOf(path);
    try {
      const source = readPolicyText(path, cwd);
      if (source.text === current) {
        if (trouble !== null) log.info({ file: source.file }, 'the policy is the one that holds again');
        trouble = null;
      } else if (source.text.length > SHORT) void readApart(source, asked);
      else take(takePolicy(source));
    } catch (error) {
      refused(error, asked);
    }
  };
  const timer = setInterval(() => {
    const now = stampOf(path);
    if (now !== seen && now === before) read(false);
    before = now;
  }, LOOK_INTERVAL);
  timer.unref();
  const stop = (): void => {
    clearInterval(timer);
    over.abort();
  };
  return { reload: () => read(true), stop };
}

/** Whether it was not read because no thread could be started. */
function noThread(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_INIT_FAILED';
}

/** No stamp. */
const UNREAD = '';

/** Problems that are logged; certgate policy check tells them all. */
const MOST_LINES = 20;

function stampOf(path: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path);
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
  }
}
