import { join } from 'node:path';
import { Command } from 'commander';
import { expect, test } from 'vitest';
import { carryConfig } from '../../src/cli/given-config.ts';
import { openShell } from './golden.ts';

test('commands in next steps and hints carry the configuration that was given, and work when pasted elsewhere', () => {
  const shell = openShell();
  shell.run('certgate init --dir "a folder"');
  const config = `--config '${join(shell.dir, 'a folder', 'certgate.yaml')}'`;
  const prepared = shell.run('certgate ca rotate root prepare --config "a folder/certgate.yaml"');
  expect(prepared.status).toBe(0);
  expect(prepared.stderr).toContain(
    `next: certgate ${config} ca status, then certgate ${config} ca rotate root activate\n`,
  );
  expect(shell.run(`cd / && certgate ${config} ca status`)).toMatchObject({ status: 0 });
  expect(shell.run(`cd / && certgate ${config} ca rotate root activate`)).toMatchObject({ status: 0 });
  const again = shell.run('certgate ca rotate root activate --config "a folder/certgate.yaml"');
  expect(again.stderr).toContain(`hint: \`certgate ${config} ca rotate root prepare\`\n`);
  // Where none was given, what is there is meant.
  expect(shell.run('cd "a folder" && certgate ca rotate root activate').stderr).toContain(
    'hint: `certgate ca rotate root prepare`\n',
  );
});

test.each([
  ['see what there is with `certgate list`', 'see what there is with `certgate --config /x/a.yaml list`'],
  [
    '`certgate locks` says; `certgate unlock all`',
    '`certgate --config /x/a.yaml locks` says; `certgate --config /x/a.yaml unlock all`',
  ],
  ['certgate never overwrites a CA', 'certgate never overwrites a CA'],
  ['certgate list --config /y', 'certgate list --config /y'],
  ['see certgate ca rotate --help', 'see certgate ca rotate --help'],
  ['look into /opt/certgate list', 'look into /opt/certgate list'],
])('%s: %s', (text, expected) => {
  const on = (name: string) => {
    const command = new Command(name).option('--config <FILE>');
    new Command('certgate').addCommand(command);
    return command.parse(['--config', 'a.yaml'], { from: 'user' });
  };
  expect(carryConfig(on('revoke'), { cwd: '/x' })(text)).toBe(expected);
  // A sidecar's configuration is not the CA's.
  expect(carryConfig(on('run'), { cwd: '/x' })(text)).toBe(text);
});
