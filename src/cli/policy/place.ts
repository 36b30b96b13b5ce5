// Which policy a command is about: the file on its command line, else that of the gate that runs here, else the one that the
// configuration names.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { shortName } from '../../config/load.ts';
import {
  type LoadedPolicy,
  type PolicyText,
  parsePolicy,
  readPolicyText,
  takePolicy,
} from '../../config/policy-load.ts';
import { CertgateError } from '../../errors.ts';
import { printable } from '../escape.ts';
import type { CommandIo } from '../io.ts';
import { asServed } from '../running-gate.ts';
import { configOf } from '../settings.ts';

/** Loads it, and asks it its tests. CG_POLICY_NONE when there is none; CG_POLICY_FILE, CG_POLICY, CG_POLICY_TEST, CG_CONFIG. */
export async function policyAt(file: string | undefined, command: Command, io: CommandIo): Promise<LoadedPolicy> {
  return takePolicy(await textOf(file, command, io));
}

/** The same, whatever its tests say. */
export async function untestedPolicyAt(
  file: string | undefined,
  command: Command,
  io: CommandIo,
): Promise<LoadedPolicy> {
  return parsePolicy(await textOf(file, command, io));
}

async function textOf(file: string | undefined, command: Command, io: CommandIo): Promise<PolicyText> {
  // What another program writes may be asked for too: certgate policy check /dev/stdin.
  if (file !== undefined) return readPolicyText(resolve(io.cwd, file), io.cwd, true);
  const configured = configOf(command, io);
  const { policy } = (await asServed(configured)).config.serve;
  if (policy === null) throw new CertgateError('CG_POLICY_NONE', {});
  if (policy !== configured.serve.policy) {
    io.say(printable(`the policy of the gate that runs here, not of the configuration: ${shortName(policy, io.cwd)}`));
  }
  return readPolicyText(policy, io.cwd);
}
