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

test('the configuration may be given before a command, between its words, and behind it', () => {
  const shell = openShell();
  shell.run('certgate init --dir here');
  const config = '--config here/certgate.yaml';
  for (const line of [
    `certgate ${config} ca status --json`,
    `certgate ca ${config} status --json`,
    `certgate ca --json ${config} status`,
    `certgate ca --config=here/certgate.yaml --json status`,
    `certgate ca status ${config} --json`,
    `certgate --json ca ${config} status`,
  ]) {
    const { status, stdout } = shell.run(line);
    expect([line, status, Object.keys(JSON.parse(stdout) as object)]).toEqual([
      line,
      0,
      expect.arrayContaining(['certificates']),
    ]);
  }
  expect(shell.run(`certgate ca ${config} rotate root prepare`).status).toBe(0);
  expect(shell.run(`certgate ca ${config} rotate --rollback root prepare`).status).toBe(0);
  expect(shell.run(`certgate token ${config} --ttl 1h create worker/etl-1`).stdout).toMatch(/^cgt1_/);
  expect(shell.run(`certgate audit ${config} --json export`).status).not.toBe(0);
});

test('what no command knows is refused wherever it stands, and a value is never taken for a command', () => {
  const shell = openShell();
  expect(shell.run('certgate ca --nothing status').stderr).toContain("unknown option '--nothing'");
  expect(shell.run('certgate ca --config status').stderr).not.toContain('certgate.db');
  shell.run('certgate init --dir status');
  expect(shell.run('certgate token --config status/certgate.yaml list')).toMatchObject({ status: 0 });
  expect(shell.run('certgate ca --help status').stdout).toContain('usage: certgate ca');
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
