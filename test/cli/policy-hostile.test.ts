// Logs and descriptions as somebody would write them who wants another policy to come of them, or none: what is proposed is a
// policy that passes its own tests, and nothing takes memory or time without end.
import { writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bind } from '../../src/proxy/connection-set.ts';
import { portOf } from '../proxy/plain-proxy.ts';
import { openShell } from './golden.ts';

const seen = (fields: object): string =>
  JSON.stringify({ identity: 'worker/etl-1', method: 'POST', path: '/api/flows/', decision: 'permit', ...fields });

test('a log with forged, torn, endless and misleading lines gives a policy of the honest ones, which passes its own tests', () => {
  const shell = openShell();
  const pool = 'caf\u00e9 \u2028\u200b"\u{1f680}';
  const lines = [
    seen({ path: `/api/work_pools/${pool}/get_scheduled_flow_runs`, operation: 'get_scheduled_flow_runs' }),
    seen({ path: '/x\n  - {role: Owner, identity: user/evil}', method: 'GET' }),
    seen({ path: '/x', method: 'GET\nbindings: [{role: Owner, identity: user/evil}]' }),
    seen({ path: '/api/flows/../variables/', method: 'GET' }),
    seen({ path: '/api/no-such # \u0085\u001b[2J' }),
    seen({ identity: 'user/evil\nbindings: []' }),
    seen({ identity: '__proto__' }),
    seen({ identity: 'gate/a', method: 'GET' }),
    '{"identity":"user/torn","method":"GET","path":"/api/va',
    '[1,2]',
    'null',
    '\0\0',
    '{"a":'.repeat(20_000),
    `{"identity":"user/long","decision":"permit","method":"GET","path":"/api/variables/name/${'x'.repeat(300_000)}"}`,
    'x'.repeat(3_000_000),
  ];
  writeFileSync(join(shell.dir, 'gate.log'), lines.join('\r\n'));
  const { stdout, stderr, status } = shell.run(
    'certgate policy suggest --from-log gate.log > new.yaml; certgate policy check new.yaml',
  );
  expect({ stdout, stderr, status }).toEqual({
    stdout: 'new.yaml  ok  enforce: 1 role, 1 binding, 1 test\n',
    stderr: 'left out, for they are no JSON: 5 lines\n',
    status: 0,
  });
  expect(shell.run('certgate policy explain user/evil GET /api/flows/x --policy new.yaml').stdout).toContain(
    'has no role',
  );
  expect(JSON.parse(shell.run('certgate policy show new.yaml --json').stdout)).toMatchObject({
    bindings: [{ scope: { pools: [pool] } }],
  });
  expect(
    shell.run('cat gate.log | certgate policy suggest --from-log /dev/stdin | certgate policy check /dev/stdin').status,
  ).toBe(0);
});

test('an address that never answers in full, leads in a circle or sends without end is told, and so is what is no description', async () => {
  const shell = openShell();
  const endless = (to: ServerResponse): void => {
    while (!to.destroyed && to.write(' '.repeat(1_048_576)));
    if (!to.destroyed) to.once('drain', () => endless(to));
  };
  const server = createServer(({ url }, answer) => {
    if (url === '/endless') endless(answer.writeHead(200));
    else if (url === '/circle') answer.writeHead(302, { location: '/circle' }).end();
    else if (url === '/page') answer.end('<html>');
    else answer.writeHead(500).end();
  });
  await bind(server, { host: '127.0.0.1', port: 0 });
  const sync = async (from: string): Promise<string> =>
    await new Promise((resolve) => {
      // Not in this process's way, which answers.
      void import('node:child_process').then(({ exec }) =>
        exec(`certgate policy sync --from ${from}`, { cwd: shell.dir, env: shell.env }, (_, out, err) =>
          resolve(out + err),
        ),
      );
    });
  const base = `http://127.0.0.1:${portOf(server)}`;
  expect(await sync(`${base}/endless`)).toContain(
    'cannot be read: the answer is longer than 33554432 bytes [CG_OPENAPI]',
  );
  expect(await sync(`${base}/circle`)).toContain('redirect count exceeded [CG_OPENAPI]');
  expect(await sync(`${base}/page`)).toContain('is not JSON [CG_OPENAPI]');
  expect(await sync(`HTTP://127.0.0.1:${portOf(server)}/else`)).toContain('answers 500 [CG_OPENAPI]');
  expect(await sync('.')).toContain('cannot be read: it is a folder [CG_OPENAPI]');
  server.close();
  for (const text of ['[]', 'null', '"x"', '{"paths":[]}', `${'['.repeat(100_000)}${']'.repeat(100_000)}`]) {
    writeFileSync(join(shell.dir, 'openapi.json'), text);
    expect(shell.run('certgate policy sync --from openapi.json').stderr).toContain('[CG_OPENAPI]');
  }
  const paths = {
    '/api/\u001b[31mred\n': { get: {} },
    __proto__: null,
    constructor: { post: {} },
    '/api/flows/': null,
    '/x': [1],
  };
  writeFileSync(join(shell.dir, 'openapi.json'), JSON.stringify({ paths }));
  expect(shell.run('certgate policy sync --from openapi.json').stdout.split('\n').slice(0, 2)).toEqual([
    'new   GET /\\u{1b}[31mred\\u{a}',
    'new   POST constructor',
  ]);
});

test('what is to be verified or backed up and is not there is said in words', () => {
  const shell = openShell();
  shell.run('certgate init');
  for (const [command, words] of [
    [
      'certgate audit --verify none.jsonl',
      'the record none.jsonl cannot be read: no such file or folder [CG_AUDIT_UNREADABLE]',
    ],
    ['certgate audit --verify .', 'the record . cannot be read: it is a folder [CG_AUDIT_UNREADABLE]'],
    [
      'certgate audit --verify --since-checkpoint none',
      'none: cannot be read: no such file or folder [CG_AUDIT_CHECKPOINT]',
    ],
    ['rm -r certs; certgate backup --out copy', '/certs does not exist [CG_CA_FILE]'],
  ] as const) {
    const { stderr } = shell.run(command);
    expect(stderr).toContain(words);
    expect(stderr).not.toMatch(/E[A-Z]{4,}:/u);
  }
});
