// A policy that is read beside the event loop: 10,000 bindings take a second, nearly all of it for the YAML, and whoever is
// connected would wait. Nothing of the thread is loaded before it is wanted, and nothing is kept after it.
import type { LoadedPolicy, PolicyText } from '../config/policy-load.ts';
import { type PolicyWords, patternsIn, policyFrom, type ReadPolicy } from '../config/policy-words.ts';
import { CertgateError, type ErrorCode, type ErrorFacts } from '../errors.ts';
import { compilePattern, type Pattern } from '../identity/pattern.ts';
import type { PolicyRead } from './policy-thread.ts';

/** How long patterns are compiled before others have their turn, ms. */
const TURN = 5;
const THREAD = new URL(`./policy-thread.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);

/** As `takePolicy`, in a thread; `signal` ends that, and then nobody is answered. CG_POLICY, CG_POLICY_TEST. */
export async function takePolicyApart(source: PolicyText, signal: AbortSignal): Promise<LoadedPolicy> {
  const { Worker } = await import('node:worker_threads');
  signal.throwIfAborted();
  const thread = new Worker(THREAD, { workerData: source, execArgv: [], env: {}, name: 'policy' });
  thread.unref();
  const stop = (): void => void thread.terminate();
  signal.addEventListener('abort', stop);
  try {
    const read = await new Promise<PolicyRead>((resolve, reject) => {
      thread.once('message', resolve);
      thread.once('error', reject);
      thread.once('exit', (code) => reject(new Error(`the thread that read the policy ended by itself, with ${code}`)));
    });
    if ('refused' in read) throw new CertgateError(read.refused.code, read.refused.facts as ErrorFacts<ErrorCode>);
    return { ...(await policyInTurns(JSON.parse(read.words) as PolicyWords)), source };
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** As `policyFrom`, a little at a time: a pattern takes up to a tenth of a millisecond, and there may be thousands. */
export async function policyInTurns(words: PolicyWords): Promise<ReadPolicy> {
  const matches = new Map<string, Pattern['match']>();
  let until = performance.now() + TURN;
  for (const pattern of patternsIn(words)) {
    if (matches.has(pattern)) continue;
    matches.set(pattern, compilePattern(pattern).match);
    if (performance.now() < until) continue;
    await new Promise((resolve) => setImmediate(resolve));
    until = performance.now() + TURN;
  }
  return policyFrom(words, matches);
}
