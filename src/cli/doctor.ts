// `certgate doctor`: looks at this machine (a gate's, a worker's or both) and says for each finding what to do.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import type { Config } from '../config/schema.ts';
import { EXIT } from '../errors.ts';
import { checkEnvironment } from './doctor/environment.ts';
import type { Finding } from './doctor/finding.ts';
import { checkAuthorityFiles, checkIdentityFiles, checkNode } from './doctor/machine.ts';
import { checkPolicy } from './doctor/policy.ts';
import { checkGate, checkOwnGate } from './doctor/reach.ts';
import { printable } from './escape.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
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
  const command = describe(new Command('doctor'), "check this machine's state and say what to do", {
    examples: [
      ['where the gate runs', 'certgate doctor'],
      ['where a worker runs', 'certgate doctor --gate https://gate.example:8443 --identity ./worker-etl-1'],
    ],
    notes: ['exit code 0 when nothing failed, 1 when something did; warnings do not count.'],
  });
  withSettings(command, SETTINGS).option('--json', 'print JSON');
  return command.action(async (options: { json?: boolean }) => {
    const findings = await examine(configOf(command, io), io);
    if (options.json === true) io.out(JSON.stringify(findings));
    else {
      for (const { check, level, found, remedy } of findings) {
        io.out(`${level.padEnd(4)}  ${check}: ${printable(found)}`);
        if (remedy !== '') io.out(`      → ${printable(remedy)}`);
      }
    }
    if (findings.some(({ level }) => level === 'fail')) io.setExitCode(EXIT.failure);
  });
}

async function examine(config: Config, io: CommandIo): Promise<Finding[]> {
  const now = Date.now();
  const hasAuthority = existsSync(join(config.certsDir, 'issuer.crt'));
  return [
    checkNode(process.version),
    ...checkAuthorityFiles(config, now),
    ...checkPolicy(config, hasAuthority, io.cwd),
    ...(await checkOwnGate(config, hasAuthority)),
    ...checkIdentityFiles(config, now),
    ...(await checkGate(config, io)),
    ...checkEnvironment(io.env, config.connect.gate),
  ];
}
