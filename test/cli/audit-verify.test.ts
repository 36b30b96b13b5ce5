import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { documented } from './documented.ts';
import { openShell } from './golden.ts';
import { recorded } from './recorded.ts';

test('a record as it was written is verified, by certgate and by the scripts of docs/audit.md; a changed one is not', async () => {
  const { shell, path, db } = await recorded(5);
  const issuer = join(shell.dir, 'certs', 'issuer.crt');
  shell.run('certgate issue worker/etl-1');
  const kept = shell.run('certgate audit --checkpoint kept.json');
  expect([kept.status, kept.stderr]).toEqual([0, expect.stringContaining("up to number 10 and the CA's acts up to 1")]);
  expect(kept.stderr).toContain('no gate runs here to sign 1 newer act of the CA');
  const good = shell.run('certgate audit --verify --since-checkpoint kept.json');
  expect([good.status, good.stderr]).toEqual([0, '']);
  expect(good.stdout).toContain('11 in the chain, in 1 file, up to number 11\nsigned up to number 10 at ');
  expect(good.stdout).toContain("the CA's acts: 2 in the chain, up to number 2\n");
  expect(documented('verify.py', [issuer, path]).stdout).toBe('11 records, signed up to 10\n');
  expect(documented('acts.py', [db]).stdout).toBe('2 acts\n');

  const text = readFileSync(path, 'utf8');
  const lineOf = (number: number): string => text.split('\n')[number - 1] ?? '';
  const attempts: ReadonlyArray<readonly [what: string, changed: string]> = [
    ['WRONG: state/audit.jsonl:3: record 3 was changed', text.replace(lineOf(3), lineOf(3).replace('POST', 'GET '))],
    ['record 3 is missing before record 4', text.replace(`${lineOf(3)}\n`, '')],
    ['records 5 to 10 are missing at the end', text.split('\n').slice(0, 4).join('\n').concat('\n')],
    ['is not valid: its signature is wrong', text.replace('"signature":"M', '"signature":"N')],
  ];
  for (const [what, changed] of attempts) {
    writeFileSync(path, changed);
    const bad = shell.run('certgate audit --verify');
    expect([bad.status, bad.stdout]).toEqual([3, expect.stringContaining(what)]);
    expect(bad.stderr).toContain('[CG_AUDIT_TAMPERED]');
    // What was cut off can't be seen by who knows no checkpoint.
    if (!what.includes('at the end')) expect(documented('verify.py', [issuer, path]).status).toBe(1);
  }
  writeFileSync(path, text);
});

test('acts of the CA that were changed or taken out are told, and so is a store that was put back', async () => {
  const { shell, db } = await recorded(1);
  shell.run('certgate issue worker/etl-1 && certgate issue worker/etl-2');
  const store = new DatabaseSync(db);
  const detail = String(store.prepare('SELECT detail FROM audit WHERE id = 2').get()?.['detail']);
  const change = (text: string): void => void store.prepare('UPDATE audit SET detail = ? WHERE id = 2').run(text);
  change(detail.replace('client', 'server'));
  expect(shell.run('certgate audit --verify').stdout).toContain('act 2 was changed');
  expect(documented('acts.py', [db]).status).toBe(1);
  change(detail);
  expect(shell.run('certgate audit --verify').status).toBe(0);
  store.exec('DELETE FROM audit WHERE id = 2');
  expect(shell.run('certgate audit --verify').stdout).toContain('act 2 is missing before act 3');
  store.exec('DELETE FROM audit');
  expect(shell.run('certgate audit --verify').stdout).toMatch(/the acts end with 0, but act 1 was signed at/);
  store.close();
});

test('comma-separated values are harmless to a spreadsheet, and say how a write went', async () => {
  const { shell } = await recorded(2);
  const { stdout } = shell.run('certgate audit --csv');
  const [header = '', , first = '', second = ''] = stdout.split('\r\n');
  expect(header.split(',')).toHaveLength(20);
  const lines = [first, second].map((line) => line.split(','));
  expect(lines.length).toBe(2);
  expect(stdout).toContain(",gate,'=cmd|calc,4f00aa,");
  expect(stdout).toMatch(/,201,complete,4,r-1,\r\n/);
  expect(shell.run('certgate audit --csv --json').stderr).toContain('exclude each other');
});

test('a checkpoint that is none is an error that says where they come from', () => {
  const shell = openShell();
  shell.run('certgate init');
  expect(shell.run('certgate audit --checkpoint -').stderr).toContain('nothing is signed yet');
  expect(shell.run('certgate audit --verify').stdout).toContain("the gate's record: 0 in the chain, in 0 files");
  writeFileSync(join(shell.dir, 'x.json'), '{}');
  const { status, stderr } = shell.run('certgate audit --verify --since-checkpoint x.json');
  expect([status, stderr]).toEqual([4, expect.stringContaining('x.json: is not a checkpoint of a record')]);
});

test('a checkpoint takes the place of an earlier one, and of nothing else', async () => {
  const { shell } = await recorded(1);
  const bundle = join(shell.dir, 'certs', 'ca.crt');
  const before = readFileSync(bundle, 'utf8');
  const refused = shell.run('certgate audit --checkpoint certs/ca.crt');
  expect([refused.status, refused.stderr]).toEqual([
    3,
    'error: certs/ca.crt exists already and is not a checkpoint of a record [CG_FILE_EXISTS]\nhint: name another with --checkpoint FILE\n',
  ]);
  expect(readFileSync(bundle, 'utf8')).toBe(before);
  writeFileSync(join(shell.dir, 'kept.json'), '');
  for (const _ of [1, 2]) expect(shell.run('certgate audit --checkpoint kept.json').status).toBe(0);
});
