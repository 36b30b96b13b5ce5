// What `token create --pool` says of the policy is what the policy's own commands say: a line that it asks for, pasted where it
// says, is all that was missing.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openShell } from './golden.ts';

const shell = openShell();
shell.run('certgate init');
const file = join(shell.dir, 'policy.yaml');
const create = (words: string) => shell.run(`CERTGATE_SERVE_POLICY=policy.yaml certgate token create ${words}`);
const explain = (identity: string, pool: string) =>
  shell.run(
    `certgate policy explain ${identity} POST /api/work_pools/${pool}/get_scheduled_flow_runs --policy policy.yaml --group pool:${pool}`,
  );

test.each([
  ['no bindings at all', 'mode: enforce\n', 'worker/etl-1', 'worker/etl-1'],
  ['a list of bindings with nothing in it', 'bindings: # none yet\nmode: enforce\n', 'worker/etl-1', 'worker/etl-1'],
  ['bindings of others', 'bindings:\n- {role: Owner, identity: user/root}\n', 'worker/etl-1', 'worker/etl-1'],
  [
    'bindings over several lines, in a list that is further in, for a pattern',
    'bindings:\n    # people\n    - role: [Viewer]\n      identity: user/alice\n    - role: Owner\n      identity: user/root\n',
    "'worker/etl.a-*'",
    'worker/etl.a-77',
  ],
  [
    'a binding to another pool',
    'bindings:\n  - {role: Worker, identity: worker/etl-1, pools: [ml]}\n',
    'worker/etl-1',
    'worker/etl-1',
  ],
])(
  'a policy with %s gets the line that lets the machine poll its pool and no other',
  (_what, policy, subject, identity) => {
    writeFileSync(file, policy);
    const { stderr, status } = create(`${subject} --pool etl`);
    expect(status).toBe(0);
    const [, line = '', paste = ''] = /put this into the policy, at policy\.yaml:(\d+):\n([\s\S]+)$/.exec(stderr) ?? [];
    const lines = policy.split('\n');
    lines.splice(Number(line) - 1, 0, paste.replace(/\n$/, ''));
    const poll = (pool: string) => `request: POST /api/work_pools/${pool}/get_scheduled_flow_runs`;
    // Neither its certificate nor the new line lets it go anywhere else.
    const tests = [
      'tests:',
      `  - {identity: ${identity}, groups: ['pool:etl'], ${poll('etl')}, expect: allow}`,
      `  - {identity: ${identity}, groups: ['pool:etl'], ${poll('web')}, expect: deny}`,
      `  - {identity: ${identity}, ${poll('web')}, expect: deny}`,
    ];
    writeFileSync(file, [...policy.split('\n'), ...tests].join('\n'));
    expect(shell.run('certgate policy check policy.yaml').status).not.toBe(0);
    writeFileSync(file, [...lines, ...tests].join('\n'));
    expect(shell.run('certgate policy check policy.yaml')).toMatchObject({ status: 0 });
    expect(explain(identity, 'etl')).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('has Worker') as string,
    });
  },
);

test('a name of a pool that YAML would read as something else is written so that it does not', () => {
  writeFileSync(file, 'mode: enforce\n');
  const { binding } = JSON.parse(create('worker/etl-1 --pool 007 --pool "a: b" --json').stdout) as {
    binding: { line: string };
  };
  writeFileSync(file, `${binding.line}\n`);
  expect(shell.run('certgate policy check policy.yaml')).toMatchObject({ status: 0 });
  expect(shell.run('certgate policy show policy.yaml --json').stdout).toMatch(/"pools": \[\s+"007",\s+"a: b"\s+\]/);
});

test('no line is told that would not help: where a deny stands against it, or the list leaves no room for one', () => {
  writeFileSync(file, "roles: {idle: {deny: [write_workers]}}\nbindings:\n  - {role: idle, match: 'worker/.+'}\n");
  expect(create('worker/etl-1 --pool etl').stderr).toMatch(
    /the policy lets it poll nothing there: .* it is denied write_workers \(by idle\); to permit it, take that deny out/,
  );
  writeFileSync(file, 'bindings: [{role: Owner, identity: user/root}]\n');
  const { stderr } = create('worker/etl-1 --pool etl');
  expect(stderr).toContain('add to bindings in the policy: - {role: Worker, identity: worker/etl-1}');
  expect(stderr).not.toContain('put this');
});

test('what the policy gives already is said, and where', () => {
  writeFileSync(file, "bindings:\n  - {role: Worker, match: 'worker/.+'}\n");
  const { stderr } = create("'worker/etl-*' --uses 2 --pool etl");
  expect(stderr).toContain(
    'worker/etl-1, say, has Worker, bound at policy.yaml:2:5, within the pool etl, and nothing beyond\n',
  );
  expect(stderr).not.toContain('put this');
});

test('a token is made although the policy cannot be read, and that is said', () => {
  writeFileSync(file, 'bindings: 1\n');
  expect(create('worker/etl-1 --pool etl')).toMatchObject({ status: 0 });
  expect(create('worker/etl-1 --pool etl').stderr).toContain("what it may do there can't be said: ");
});

test('the pool is on record: in the token, the lists, the audit', () => {
  writeFileSync(file, 'bindings:\n  - {role: Worker, match: worker/.+}\n');
  expect(create('worker/on-record --pool etl').status).toBe(0);
  expect(shell.run('certgate token list | grep on-record').stdout).toMatch(/ {2}worker\/on-record {2}etl {2}/);
  const all = JSON.parse(shell.run('certgate token list --json').stdout) as {
    tokens: Array<{ subject: string; groups: string[]; pools: string[] }>;
  };
  expect(all.tokens.find((one) => one.subject === 'worker/on-record')).toMatchObject({
    groups: ['pool:etl'],
    pools: ['etl'],
  });
  expect(shell.run('certgate audit --json | grep on-record').stdout).toContain('pool:etl');
  expect(readFileSync(file, 'utf8')).toContain('Worker');
});

test('what a certificate cannot say, and no pool can be called, is refused before a token is made', () => {
  const { stderr, status } = create(`worker/etl-1 --pool "$(printf 'Prod Ü')"`);
  expect([status, stderr]).toEqual([
    2,
    expect.stringContaining('error: --pool is "Prod \\u{dc}", which a certificate cannot contain'),
  ]);
  const slash = create('worker/etl-1 --pool etl/prod');
  expect([slash.status, slash.stderr]).toEqual([
    2,
    expect.stringContaining('error: --pool is "etl/prod", which no work pool is called'),
  ]);
  expect(create(`worker/etl-1 --pool ${'a'.repeat(60)}`).status).toBe(2);
  expect(create(`worker/etl-1 --pool ${'a'.repeat(59)}`).status).toBe(0);
});
