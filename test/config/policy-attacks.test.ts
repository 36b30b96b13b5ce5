// Policies as an attacker, a broken tool or a full disk would write them: each is refused with its place, or means what it says,
// and none keeps a gate that reads it for long. How long is bounded by what is done, which is counted here, never by a clock.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readPolicy } from '../../src/config/policy-file.ts';
import { loadPolicy, readPolicyText } from '../../src/config/policy-load.ts';
import { compilePattern } from '../../src/identity/pattern.ts';

const folder = mkdtempSync(join(tmpdir(), 'certgate-policy-attacks-'));
afterAll(() => rmSync(folder, { recursive: true }));

function problems(text: string): readonly string[] {
  const read = readPolicy(text, 'p');
  return read.ok ? [] : read.problems.map(({ place, problem }) => `${place.slice(2)} ${problem}`);
}

const list = (length: number, make: (i: number) => string, between = '\n'): string =>
  Array.from({ length }, (_, i) => make(i)).join(between);

describe('a policy', () => {
  test('says nothing twice, however a name is written', () => {
    expect(problems('mode: enforce\n"mode": observe')).toEqual(['2:1 mode is here twice']);
    // To YAML these are a truth value and a text, and the second would hold.
    expect(problems('roles:\n  true: {deny: [see_flows]}\n  "true": {permissions: ["*"]}')).toEqual([
      '3:3 true is here twice',
    ]);
    expect(problems('bindings: [{role: Viewer, role: Owner, identity: user/a}]')).toEqual(['1:27 role is here twice']);
  });

  test('takes words as they stand, and nothing that objects inherit', () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
    for (const name of names) {
      expect(problems(`${name}: {}`), name).toEqual([`1:1 there is no key ${name} here`]);
      expect(problems(`bindings: [{role: ${name}, identity: user/a}]`), name).toEqual([
        `1:19 there is no role "${name}"`,
      ]);
      expect(problems(`roles: {a: {permissions: [${name}]}}`), name).toEqual([`1:27 there is no permission "${name}"`]);
      expect(problems(`tests: [{identity: user/a, operation: ${name}, expect: deny}]`), name).toEqual([
        `1:39 Prefect has no operation "${name}"`,
      ]);
    }
    const read = readPolicy(
      'roles: {constructor: {permissions: [see_flows]}}\nbindings: [{role: constructor, identity: user/constructor}]',
      'p',
    );
    expect(read.ok && [...read.policy.grants('user/constructor').allowed.keys()]).toEqual(['see_flows']);
    expect(read.ok && read.policy.grants('user/tostring').roles).toEqual([]);
    for (const word of ['yes', 'on', '1', '1e400', '0x10', '.inf', '2026-11-30']) {
      expect(problems(`mode: ${word}`), word).toEqual([`1:7 mode is "${word}"`]);
    }
  });

  test('has no tags, merges, octets or second document that make something else of it', () => {
    expect(problems('roles: !!js/function "function(){}"')[0]).toContain('this is not YAML: unresolved tag');
    expect(problems('roles: {a: {permissions: [!!binary c2VlX2Zsb3dz]}}')).toEqual([
      '1:36 there is no permission "c2VlX2Zsb3dz"',
    ]);
    for (const version of ['', '%YAML 1.1\n---\n']) {
      expect(problems(`${version}roles:\n  a: &a {permissions: [see_flows]}\n  b: {<<: *a}`).join()).toContain(
        'there is no key << here',
      );
    }
    expect(problems('mode: enforce\n---\nmode: observe')[0]).toContain('another document begins');
    expect(problems('mode: enforce\0')).toEqual(['1:7 mode is "enforce\\u{0}"']);
    expect(problems('roles:\n\ta: {permissions: [see_flows]}')[0]).toContain('tabs are not allowed');
    expect(problems('\ufeffmode: enforce\r\nbindings: []\r\n')).toEqual([]);
  });

  test('names are those that are written: no case and no composition of letters is passed over', () => {
    expect(problems('bindings: [{role: OWNER, identity: user/a}]')).toEqual(['1:19 there is no role "OWNER"']);
    expect(problems('bindings: [{role: Owner, identity: user/A}]')).toHaveLength(1);
    expect(problems('bindings: [{role: Owner, identity: user/ａ}]')).toHaveLength(1);
    const read = readPolicy('bindings: [{role: Owner, identity: user/a, pools: ["caf\\u00e9"]}]', 'p');
    const ruling = read.ok && read.policy.grants('user/a').rule({ needs: ['see_flows'] });
    expect(ruling !== false && ruling.permit && ruling.scope?.pools).toEqual(['caf\u00e9']);
  });

  test('that binds nobody by an empty list is told', () => {
    for (const key of ['identity: []', 'match: ', 'group: ~', 'identity: []\n    match: []']) {
      expect(problems(`bindings:\n  - role: Owner\n    ${key}`), key).toEqual(['2:5 this binding is for nobody']);
    }
  });

  test('nested as deep as it goes is told as that, once', () => {
    for (const text of [
      `roles: ${'['.repeat(20_000)}`,
      `roles: ${'['.repeat(20_000)}${']'.repeat(20_000)}`,
      `roles: ${'{a: '.repeat(20_000)}`,
      list(5000, (i) => `${' '.repeat(i)}a:`),
    ]) {
      const found = problems(text);
      expect(found).toHaveLength(1);
      expect(found[0]).toContain('this is nested too deeply');
    }
  });

  test('whose aliases write out more than any file has room for is refused', () => {
    const bomb = `bindings:\n  - &b {role: Viewer, match: [${list(1000, (i) => `u${i}`, ', ')}]}\n${'  - *b\n'.repeat(1000)}`;
    expect(problems(bomb).filter((one) => one.includes('write out more than 100000 values'))).toHaveLength(1);
    expect(problems('bindings: &b [*b]')[0]).toContain('keys are wanted here');
    expect(problems('roles:\n  c: {permissions: *p}\n  a: {permissions: &p [see_flows]}')).toContain(
      '2:20 there is no &p',
    );
    // The last of a name before it, as YAML has it.
    const read = readPolicy(
      'roles:\n  a: {permissions: &p [see_flows]}\n  b: {permissions: &p [see_blocks]}\n  c: {permissions: *p}',
      'p',
    );
    expect(read.ok && read.roles[2]?.permissions.map((one) => one.text)).toEqual(['see_blocks']);
  });

  test('with ten thousand aliases, or as many roles, or as many wrong words, is read all the same', () => {
    expect(
      problems(
        `bindings:\n${list(10_000, (i) => `  - {role: Viewer, identity: &x${i} user/u${i}}\n  - {role: Viewer, identity: *x${i}}`)}`,
      ),
    ).toEqual([]);
    const roles = `roles:\n${list(10_000, (i) => `  role${i}: {permissions: [see_flows]}`)}`;
    expect(problems(roles)).toEqual([]);
    const read = readPolicy(
      `${roles}\nbindings:\n${list(5000, (i) => `  - {role: rule${i}x, identity: user/a}`)}`,
      'p',
    );
    expect(read.ok ? [] : read.problems).toHaveLength(5000);
    // Not each with a list of all roles, and not each compared with all of them.
    expect(read.ok ? 0 : JSON.stringify(read.problems).length).toBeLessThan(5000 * 400);
  }, 60_000);

  test('whose roles extend one another deeper than anybody means is refused', () => {
    const chain = `roles:\n${list(10_000, (i) => `  r${i}: {extends: [r${i + 1}]}`)}\n  r10000: {extends: [Viewer]}`;
    expect(problems(chain)[0]).toContain('is extended by 100 others, each by the next');
    const knot = `roles:\n${list(2000, (i) => `  r${i}: {extends: [${list(10, (j) => `r${(i * 7 + j * 13) % 2000}`, ', ')}]}`)}`;
    expect(problems(knot)[0]).toContain('extends itself');
    expect(
      problems(`roles:\n${list(99, (i) => `  r${i}: {extends: [r${i + 1}]}`)}\n  r99: {extends: [Viewer]}`),
    ).toEqual([]);
  });
});

test('a pattern that begins otherwise than a name costs no look at the rest of it', () => {
  const { match } = compilePattern('worker/etl-[0-9]+');
  let looks = 0;
  const watched = Object.assign(Object.create(String.prototype), {
    startsWith: (text: string) => 'worker/ml-1'.startsWith(text),
    *[Symbol.iterator]() {
      looks++;
      yield* 'worker/ml-1';
    },
  }) as string;
  expect([match(watched), looks]).toEqual([null, 0]);
  expect(match('worker/etl-7')).not.toBeNull();
  expect(compilePattern('(?:a|b)c').match('bc')).not.toBeNull();
  expect(compilePattern('a?bc').match('bc')).not.toBeNull();
  expect(compilePattern('ab|cd').match('cd')).not.toBeNull();
  expect(compilePattern('ab*').match('a')).not.toBeNull();
});

describe('where a policy should be', () => {
  const refusal = (path: string): string => {
    try {
      loadPolicy(path, folder);
      return 'none';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  };

  test('a pipe, a folder, a device or a file without end is told, and nobody waits for it', () => {
    const pipe = join(folder, 'pipe.yaml');
    execFileSync('mkfifo', [pipe]);
    expect(refusal(pipe)).toBe('the policy pipe.yaml is not a regular file');
    mkdirSync(join(folder, 'folder.yaml'));
    expect(refusal(join(folder, 'folder.yaml'))).toBe('the policy folder.yaml is a folder');
    symlinkSync('/dev/zero', join(folder, 'zero.yaml'));
    expect(refusal(join(folder, 'zero.yaml'))).toBe('the policy zero.yaml is not a regular file');
    symlinkSync('loop.yaml', join(folder, 'loop.yaml'));
    expect(refusal(join(folder, 'loop.yaml'))).toContain('the policy loop.yaml cannot be read');
    writeFileSync(join(folder, 'huge.yaml'), 'mode: enforce\n');
    truncateSync(join(folder, 'huge.yaml'), 2 ** 33);
    expect(refusal(join(folder, 'huge.yaml'))).toContain('has 8589934592 bytes, more than the 8388608');
  });

  test('a pipe is read where a command names it', async () => {
    const pipe = join(folder, 'named.yaml');
    execFileSync('mkfifo', [pipe]);
    const writer = spawn('sh', ['-c', 'echo "bindings: []" > "$1"', 'sh', pipe]);
    expect(readPolicyText(pipe, folder, true)).toEqual({ file: 'named.yaml', text: 'bindings: []\n' });
    await once(writer, 'close');
  });
});
