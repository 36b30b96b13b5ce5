import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseSystemdName } from '../../src/config/address.ts';
import { unknownIn } from './command-lines.ts';
import { deploy, root, skippedFor, systemdAnalyze, systemdSysusers } from './tools.ts';

const folder = join(deploy, 'systemd');
const units = readdirSync(folder).filter((name) => name.endsWith('.service'));
const sockets = readdirSync(folder).filter((name) => name.endsWith('.socket'));
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
const page = readFileSync(join(root, 'docs/deploy.md'), 'utf8');
/** Of systemd-analyze security: 0 is nothing left open, 10 is all. */
const MOST_EXPOSURE = 1.5;

test('the units run commands of certgate that there are', async () => {
  expect(units.length).toBeGreaterThan(1);
  for (const unit of units) {
    for (const [, line = ''] of read(unit).matchAll(/^ExecStart=(.*)$/gm)) {
      expect(await unknownIn(line.split(' ')), unit).toEqual([]);
    }
  }
});

test('a unit is started again however often it ends', () => {
  for (const unit of units) {
    const text = read(unit);
    expect(text, unit).toMatch(/^Restart=always$/m);
    // systemd gives a unit up that was started five times in ten seconds, unless it is told not to.
    const seconds = Number(/^RestartSec=(\d+)$/m.exec(text)?.[1]);
    expect(seconds * 5 > 10 || /^StartLimitIntervalSec=0$/m.test(text), unit).toBe(true);
  }
});

test('a unit is started when its program says so, and a sidecar may wait for its gate until then', () => {
  for (const unit of units) {
    const text = read(unit);
    expect(text, unit).toMatch(/^\[Service\]\n(?:#.*\n)*Type=notify\nNotifyAccess=all\n/m);
    const enrols = text.includes('--token-file');
    expect(/^TimeoutStartSec=infinity$/m.test(text), unit).toBe(enrols);
  }
});

test('a port that systemd keeps is the one of the defaults, taken by its name, and comes with the service without being its end', () => {
  const defaults = readFileSync(join(root, 'docs/configuration.md'), 'utf8');
  const of = (key: string): string | undefined =>
    new RegExp(`^\\| \`${key}\` .*? \\| \`([0-9.:]+)\` \\|`, 'm').exec(defaults)?.[1];
  const wanted = {
    'certgate.socket': { listen: of('serve.listen'), service: 'certgate.service', told: /^ {2}listen: (\S+)$/m },
    'certgate-connect@.socket': {
      listen: of('connect.listen'),
      service: 'certgate-connect@%i.service',
      told: /CERTGATE_CONNECT_LISTEN=(systemd:\w+)/,
    },
  };
  expect(sockets.toSorted()).toEqual(Object.keys(wanted).toSorted());
  for (const [unit, { listen, service, told }] of Object.entries(wanted)) {
    const said = new Map(
      read(unit)
        .match(/^\w+=.*$/gm)
        ?.map((line) => line.split('=', 2) as [string, string]),
    );
    // No Accept=yes, which passes connections; and not required by the service, which would not be tried again once that
    // port was taken at its start.
    expect([...said.keys()]).toEqual(['Description', 'ListenStream', 'FileDescriptorName', 'WantedBy']);
    expect(said.get('ListenStream')).toBe(listen);
    expect(said.get('WantedBy')).toBe(`sockets.target ${service}`);
    const name = parseSystemdName(told.exec(page)?.[1] ?? '');
    expect(said.get('FileDescriptorName'), unit).toBe(name);
    expect(read(unit)).toContain(`systemd:${name}`);
    expect(units).toContain(service.replace('%i', ''));
  }
});

test('a reload sends its signal with what every machine has: not all have a kill that is a file', () => {
  const reloads = units.flatMap((unit) => [...read(unit).matchAll(/^ExecReload=(.*)$/gm)].map(([, line]) => line));
  expect(reloads).toEqual(["/bin/sh -c 'kill -HUP $MAINPID'"]);
});

test('a token is for the user of the sidecars alone, who is not warned of it', () => {
  const [, mode, ...owner] =
    /^Z \/etc\/certgate\/\*\.token (\S+) (\S+) (\S+)$/m.exec(read('certgate.tmpfiles.conf')) ?? [];
  const sidecars = units.filter((unit) => read(unit).includes('--token-file /etc/certgate/'));
  expect(sidecars.length).toBe(2);
  for (const unit of sidecars) expect(read(unit), unit).toContain(`\nUser=${owner[0]}\nGroup=${owner[1]}\n`);
  const installed = [...page.matchAll(/^sudo install (.*) token \/etc\/certgate\/\S+\.token$/gm)].map(([, how]) => how);
  expect(installed).toEqual(Array(2).fill(`-o ${owner[0]} -g ${owner[1]} -m ${mode}`));
  expect(mode).toBe('0400');
});

test.skipIf(systemdSysusers.missing !== null)(`the users of the units are made${skippedFor(systemdSysusers)}`, () => {
  const empty = mkdtempSync(join(tmpdir(), 'certgate-users-'));
  try {
    const args = ['--dry-run', `--root=${empty}`, join(folder, 'certgate.sysusers.conf')];
    const { code, said } = systemdSysusers.run(args);
    expect(code, said).toBe(0);
    const made = [...said.matchAll(/^Creating user '(\S+)'/gm)].map(([, name = '']) => name);
    const wanted = units.flatMap((unit) => [...read(unit).matchAll(/^User=(.*)$/gm)].map(([, name = '']) => name));
    expect(made.toSorted()).toEqual([...new Set(wanted)].toSorted());
  } finally {
    rmSync(empty, { recursive: true });
  }
});

describe.skipIf(systemdAnalyze.missing !== null)(`by systemd-analyze${skippedFor(systemdAnalyze)}, a unit`, () => {
  let place: string;
  // The program need not be installed where the tests run.
  beforeAll(() => {
    place = mkdtempSync(join(tmpdir(), 'certgate-units-'));
    writeFileSync(join(place, 'certgate'), '#!/bin/sh\n');
    chmodSync(join(place, 'certgate'), 0o755);
    for (const unit of [...units, ...sockets]) {
      writeFileSync(join(place, unit), read(unit).replaceAll('/usr/local/bin/certgate', join(place, 'certgate')));
    }
  });
  afterAll(() => rmSync(place, { recursive: true }));

  test.each(sockets)('%s is right', (unit) => {
    expect(systemdAnalyze.run(['verify', join(place, unit)])).toEqual({ code: 0, said: '' });
  });

  test.each(units)('%s is right, and leaves little open', (unit) => {
    const path = join(place, unit);
    expect(systemdAnalyze.run(['verify', path])).toEqual({ code: 0, said: '' });
    const { said } = systemdAnalyze.run(['security', '--offline=true', '--no-pager', path]);
    const exposure = /Overall exposure level for \S+: ([0-9.]+)/.exec(said)?.[1];
    expect(Number(exposure), said).toBeLessThanOrEqual(MOST_EXPOSURE);
  });
});
