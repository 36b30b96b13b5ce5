// Which policy a command is about: the file on its command line, else the one that the configuration names.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type LoadedPolicy, loadPolicy, loadUntested } from '../../config/policy-load.ts';
import { CertgateError } from '../../errors.ts';
import type { CommandIo } from '../io.ts';
import { configOf } from '../settings.ts';

/** Loads it, and asks it its tests. CG_POLICY_NONE when there is none; CG_POLICY_FILE, CG_POLICY, CG_POLICY_TEST, CG_CONFIG. */
export function policyAt(file: string | undefined, command: Command, io: CommandIo): LoadedPolicy {
  return loadPolicy(placeOf(file, command, io), io.cwd);
}

/** The same, whatever its tests say. */
export function untestedPolicyAt(file: string | undefined, command: Command, io: CommandIo): LoadedPolicy {
  return loadUntested(placeOf(file, command, io), io.cwd);
}

function placeOf(file: string | undefined, command: Command, io: CommandIo): string {
  const named = file === undefined ? configOf(command, io).serve.policy : resolve(io.cwd, file);
  if (named === null) throw new CertgateError('CG_POLICY_NONE', {});
  return named;
}
