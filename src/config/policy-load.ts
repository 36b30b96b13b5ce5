// Takes a policy up from its file: read, checked as a whole, and then asked its own tests, before anyone goes by it. What
// fails any of these is never taken; whoever had another policy before keeps that.
import { readFileSync } from 'node:fs';
import { CertgateError } from '../errors.ts';
import { runTests } from '../policy/explain.ts';
import { shortName, whyUnread } from './load.ts';
import { type ReadPolicy, readPolicy } from './policy-file.ts';

/** The text of a policy, and what its places are called by: all that another process needs to read it too. */
export interface PolicyText {
  readonly text: string;
  readonly file: string;
}

/** A policy and all that it was made from. */
export interface LoadedPolicy extends ReadPolicy {
  readonly source: PolicyText;
}

/** Reads the policy at `path`, absolute, and asks it its tests; places name it as seen from `cwd`. CG_POLICY_FILE, CG_POLICY, CG_POLICY_TEST. */
export function loadPolicy(path: string, cwd: string): LoadedPolicy {
  return tested(loadUntested(path, cwd));
}

/** The same, whatever its tests say: to find out why they fail. CG_POLICY_FILE, CG_POLICY. */
export function loadUntested(path: string, cwd: string): LoadedPolicy {
  const file = shortName(path, cwd);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    throw new CertgateError('CG_POLICY_FILE', { file, problem: whyUnread(code, error) }, { cause: error });
  }
  return parsePolicy({ text, file });
}

/** A policy from its text. CG_POLICY. */
export function parsePolicy(source: PolicyText): LoadedPolicy {
  const read = readPolicy(source.text, source.file);
  if (!read.ok) throw new CertgateError('CG_POLICY', { problems: read.problems });
  return { ...read, source };
}

function tested(loaded: LoadedPolicy): LoadedPolicy {
  const failed = runTests(loaded.policy, loaded.tests).filter((one) => !one.passed);
  if (failed.length === 0) return loaded;
  throw new CertgateError('CG_POLICY_TEST', { tests: failed.map((one) => one.test) });
}
