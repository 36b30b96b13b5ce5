// What may stand where a gate's policy is, while the gate runs: whatever becomes of the file, the policy that holds is the last
// one that was whole and right, and the gate goes on.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type WatchedPolicy, watchedPolicy } from './watched-policy.ts';

let { folder, path, watch, metrics, said, taken } = {} as WatchedPolicy;

const bound = (role: string): string => `bindings: [{role: ${role}, identity: worker/etl-1}]\n`;

beforeEach(() => {
  ({ folder, path, watch, metrics, said, taken } = watchedPolicy(bound('Viewer')));
});
afterEach(() => {
  watch.stop();
  rmSync(folder, { recursive: true });
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}

function huge(file: string): void {
  writeFileSync(file, '');
  truncateSync(file, 2 ** 33);
}

const REFUSED = 'new policy refused, the old one stays: the policy policy.yaml';

test('a pipe, a folder, a device, nothing, something huge or an empty file in its place changes nothing, and holds nobody up', () => {
  const places: ReadonlyArray<readonly [put: () => void, says: string]> = [
    [() => execFileSync('mkfifo', [path]), `${REFUSED} is not a regular file`],
    [() => mkdirSync(path), `${REFUSED} is a folder`],
    [() => symlinkSync('/dev/zero', path), `${REFUSED} is not a regular file`],
    [() => symlinkSync('nowhere', path), `${REFUSED} does not exist`],
    [() => {}, `${REFUSED} does not exist`],
    [() => huge(path), `${REFUSED} has 8589934592 bytes`],
    [
      () => writeFileSync(path, Buffer.from('bindings: []\n', 'utf16le')),
      'new policy refused, the old one stays: policy.yaml:1:',
    ],
    [() => writeFileSync(path, ''), 'new policy refused, the old one stays: policy.yaml:1:1: it is empty'],
    [() => writeFileSync(path, bound('Owner').slice(0, -5)), 'new policy refused, the old one stays: policy.yaml:'],
  ];
  for (const [put, says] of places) {
    said.length = 0;
    rmSync(path, { recursive: true });
    put();
    watch.reload();
    expect(said.join('\n')).toContain(says);
    expect([taken, said.length > 0]).toEqual([[], true]);
    if (says.endsWith('does not exist')) writeFileSync(path, '');
  }
  rmSync(path, { recursive: true });
  writeFileSync(path, bound('Viewer'));
  watch.reload();
  expect(said.at(-1)).toBe('the policy is the one that holds again');
  expect(metrics).toMatchObject({ policyReloads: 0, policyReloadFailures: places.length });
});

test('links that are swapped, as Kubernetes does, are seen by what they lead to', async () => {
  for (const [version, role] of [
    ['v1', 'Worker'],
    ['v2', 'Owner'],
  ] as const) {
    mkdirSync(join(folder, version));
    writeFileSync(join(folder, version, 'policy.yaml'), bound(role));
  }
  symlinkSync('v1', join(folder, 'data'));
  symlinkSync('data/policy.yaml', join(folder, 'linked'));
  renameSync(join(folder, 'linked'), path);
  await until(() => taken.length === 1);
  symlinkSync('v2', join(folder, 'data.new'));
  renameSync(join(folder, 'data.new'), join(folder, 'data'));
  await until(() => taken.length === 2);
  expect(taken).toEqual(['Worker', 'Owner']);
});

test('a thousand signals read what is there, take it once and refuse it as often as it is asked for', () => {
  writeFileSync(path, bound('Worker'));
  for (let i = 0; i < 1000; i++) watch.reload();
  expect([taken, metrics.policyReloads, said]).toEqual([['Worker'], 1, ['new policy taken']]);
  writeFileSync(path, `${bound('Owner')}tests: [{identity: worker/etl-1, operation: create_flow, expect: deny}]\n`);
  for (let i = 0; i < 100; i++) watch.reload();
  expect([taken, metrics.policyReloadFailures]).toEqual([['Worker'], 100]);
});

test('a file that cannot be read for want of descriptors is read when there are some again, though it has not changed since', async () => {
  const script = join(import.meta.dirname, 'policy-watcher.ts');
  const child = spawn('sh', ['-c', 'ulimit -n 64; exec "$0" "$@"', process.execPath, script, path]);
  const ended = new Promise((resolve) => child.once('close', resolve));
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  await until(() => lines.some((one) => one.includes('"full"')));
  writeFileSync(path, bound('Worker'));
  await until(() => lines.some((one) => one.includes('too many open files')));
  child.stdin.write('go on\n');
  await until(() => lines.some((one) => one.includes('new policy taken')));
  // Said once, however often it was tried.
  expect(lines.filter((one) => one.includes('refused'))).toHaveLength(1);
  child.stdin.end();
  await ended;
});
