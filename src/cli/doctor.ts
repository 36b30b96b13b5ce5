// `certgate doctor`: looks at this machine (a gate's, a worker's or both), what is configured on it and what it reaches, and
// says for each finding what to do. Of a CA here it says the sum alone: each finding about it is `certgate ca check`'s.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import { EXIT } from '../errors.ts';
import { examineCa, levelled } from './check/examine.ts';
import { commandWriter } from './check/subject.ts';
import { checkEnvironment } from './doctor/environment.ts';
import { type Finding, failure, findingLines, fine, plainMarks, warning } from './doctor/finding.ts';
import { checkFolders, checkIdentityFiles, checkRecord } from './doctor/machine.ts';
import { checkNode } from './doctor/node.ts';
import { checkPolicy } from './doctor/policy.ts';
import { checkGate, checkOwnGate } from './doctor/reach.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { asServed } from './running-gate.ts';
import { configOf, withSettings } from './settings.ts';

const SETTINGS = [
  'connect.gate',
  'connect.identityDir',
  'connect.cert',
  'connect.key',
  'connect.ca',
  'connect.serverName',
];

export function doctorCommand(io: CommandIo): Command {
  const command = describe(new Command('doctor'), 'check this machine, and say what to do about each problem', {
    examples: [
      ['where the gate runs', 'certgate doctor'],
      ['where a worker runs', 'certgate doctor --gate https://gate.example:8443 --identity ./worker-etl-1'],
    ],
    notes: [
      'doctor checks this machine: its configuration, and what it reaches. If there is a CA here, it says only whether that is well;',
      'certgate ca check shows the details.',
      "if a gate is running, doctor checks the settings that are in effect, even if the gate's flags or CERTGATE_… variables override the file.",
      'exit code 0 if nothing failed, 1 if something did; warnings do not count.',
    ],
  });
  withSettings(command, SETTINGS).option('--json', 'print JSON');
  return command.action(async (options: { json?: boolean }) => {
    const findings = await examine(configOf(command, io), command, io);
    if (options.json === true) io.out(JSON.stringify(findings));
    else {
      for (const finding of findings) for (const line of findingLines(finding, plainMarks())) io.out(line);
    }
    if (findings.some(({ level }) => level === 'fail')) io.setExitCode(EXIT.failure);
  });
}

async function examine(configured: Config, command: Command, io: CommandIo): Promise<Finding[]> {
  const { config, differing } = await asServed(configured);
  const words = commandWriter(io.program, config.file, command);
  const now = Date.now();
  const hasAuthority = existsSync(join(config.certsDir, 'issuer.crt'));
  const closed = checkFolders(config, words('doctor'));
  return [
    checkNode(process.version),
    ...closed,
    ...(hasAuthority || closed.length > 0 || config.connect.gate !== null ? [] : [nothingHere(config)]),
    ...(hasAuthority ? [await checkCa(config, now, words)] : []),
    ...checkPolicy(config, hasAuthority, io.cwd),
    ...checkRecord(config),
    ...(await checkOwnGate(config, hasAuthority, differing)),
    ...checkIdentityFiles(config, now),
    ...(await checkGate(config, io)),
    ...checkEnvironment(io.env, config.connect.gate),
  ];
}

/** Neither a gate nor a client is to be seen: what follows is true, and of little use. */
function nothingHere({ certsDir }: Config): Finding {
  const found = `there is no CA in ${certsDir}, and no gate that this machine connects to`;
  return warning('certgate', found, 'say what to check: --config FILE, or --gate https://HOST:8443 --identity DIR');
}

/** The sum of `certgate ca check`. */
async function checkCa(config: Config, now: number, command: (words: string) => string): Promise<Finding> {
  const findings = (await examineCa(config, now, command)).flatMap((section) => section.findings);
  const [failed, warned] = [levelled(findings, 'fail'), levelled(findings, 'warn')];
  const [first] = [...failed, ...warned];
  if (first === undefined) return fine('CA', `is well, by ${findings.length} checks`);
  const found = `failed: ${failed.length}, warnings: ${warned.length}, first ${first.check}: ${first.found}`;
  return (failed.length > 0 ? failure : warning)('CA', found, command('ca check'));
}
