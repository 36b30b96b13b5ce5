import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sidecarOptions } from '../../src/cli/sidecar-options.ts';
import { loadConfig } from '../../src/config/load.ts';
import { openLog } from '../../src/observe/log.ts';

const cwd = mkdtempSync(join(tmpdir(), 'certgate-sidecar-options-'));
const config = loadConfig({
  env: {},
  flags: { 'connect.gate': 'https://gate.example', 'connect.identityDir': 'id' },
  cwd,
});
const log = openLog({ level: 'error' });

function allowed(host: string): readonly string[] {
  const more = { listen: '127.0.0.1:0', unsafeListen: false, accessLog: false, enrollAgain: null };
  return sidecarOptions(config, log, { env: {} }, { ...more, allowHosts: [host] }).allowedHosts;
}

describe('a host that clients may use besides', () => {
  test.each([
    ['Host.Docker.Internal', 'host.docker.internal'],
    ['my_sidecar', 'my_sidecar'],
    ['sidecar.prefect.svc.cluster.local.', 'sidecar.prefect.svc.cluster.local.'],
    ['172.17.0.1', '172.17.0.1'],
    ['fd00::1', '[fd00::1]'],
    ['[FD00::1]', '[fd00::1]'],
    ['*', '*'],
  ])('is as a request has it: %s', (given, host) => expect(allowed(given)).toEqual([host]));

  test.each(['', 'host:4210', '[fd00::1]:4210', 'http://host', '*.example', 'a b', 'a,b', 'host..'])(
    'is refused where no request can have it: %j',
    (given) => {
      expect(() => allowed(given)).toThrow(/^--allow-host is ".*", which no request has for its Host$/);
    },
  );
});
