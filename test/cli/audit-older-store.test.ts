import { copyFileSync, rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { initialised, record } from './recorded.ts';

test('a store that somebody has replaced by an older copy does not fit the record, whose checkpoints say what was done since', async () => {
  const made = initialised();
  const { shell, db, path } = made;
  await record(made, 1);
  copyFileSync(db, `${shell.dir}/older.db`);
  shell.run('certgate issue worker/etl-1');
  shell.run('certgate revoke worker/etl-1');
  await record(made, 1);
  expect(shell.run('certgate audit --verify').status).toBe(0);

  for (const end of ['-wal', '-shm']) rmSync(`${db}${end}`, { force: true });
  copyFileSync(`${shell.dir}/older.db`, db);
  for (const command of ['certgate audit --verify', `certgate audit --verify ${path}`]) {
    const { status, stdout } = shell.run(command);
    expect([status, stdout]).toEqual([
      3,
      expect.stringMatching(/^WRONG: state\/audit\.jsonl: the acts end with 1, but act \d+ was signed at/m),
    ]);
  }
}, 30_000);
