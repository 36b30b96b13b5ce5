// Takes a policy up from its file: read, checked as a whole, and then asked its own tests, before anyone goes by it. What
// fails any of these is never taken; whoever had another policy before keeps that.
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { CertgateError } from '../errors.ts';
import { runTests } from '../policy/explain.ts';
import { shortName, whyUnread } from './load.ts';
import { readPolicy } from './policy-file.ts';
import type { ReadPolicy } from './policy-words.ts';

/** The text of a policy, and what its places are called by: all that is needed to read it. */
export interface PolicyText {
  readonly text: string;
  readonly file: string;
}

/** A policy and all that it was made from. */
export interface LoadedPolicy extends ReadPolicy {
  readonly source: PolicyText;
}

/** Bytes. A hundred thousand bindings are half of it; reading takes two seconds for each of its millions. */
const LONGEST = 8 * 1024 * 1024;

/** Reads the policy at `path`, absolute, and asks it its tests; places name it as seen from `cwd`. CG_POLICY_FILE, CG_POLICY, CG_POLICY_TEST. */
export function loadPolicy(path: string, cwd: string): LoadedPolicy {
  return takePolicy(readPolicyText(path, cwd));
}

/** The text of the file at `path`, or of what a pipe has that stands there, if it may. CG_POLICY_FILE. */
export function readPolicyText(path: string, cwd: string, pipes = false): PolicyText {
  const file = shortName(path, cwd);
  try {
    const bytes = pipes ? readFileSync(path) : readFile(path, file);
    return { file, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch (error) {
    if (error instanceof CertgateError) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    throw new CertgateError('CG_POLICY_FILE', { file, problem: whyUnread(code, error) }, { cause: error });
  }
}

/** Never waits: a gate that serves reads it again, and a pipe that stands there by then has perhaps no other end. */
function readFile(path: string, file: string): Buffer {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = fstatSync(descriptor);
    const problem = found.isFile()
      ? `has ${found.size} bytes, more than the ${LONGEST} that a policy may have`
      : 'is not a regular file';
    if ((!found.isFile() && !found.isDirectory()) || found.size > LONGEST) {
      throw new CertgateError('CG_POLICY_FILE', { file, problem });
    }
    return readFileSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** A policy from its text, its own tests passed. CG_POLICY, CG_POLICY_TEST. */
export function takePolicy(source: PolicyText): LoadedPolicy {
  const loaded = parsePolicy(source);
  const failed = runTests(loaded.policy, loaded.tests).filter((one) => !one.passed);
  if (failed.length === 0) return loaded;
  throw new CertgateError('CG_POLICY_TEST', { tests: failed.map((one) => one.test) });
}

/** A policy from its text. CG_POLICY. */
export function parsePolicy(source: PolicyText): LoadedPolicy {
  const read = readPolicy(source.text, source.file);
  if (!read.ok) throw new CertgateError('CG_POLICY', { problems: read.problems });
  return { ...read, source };
}
