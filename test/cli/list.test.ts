import { expect, test } from 'vitest';
import { openShell } from './golden.ts';

test('a listing as JSON continues from its cursor and shows every certificate once', () => {
  const shell = openShell();
  const names = ['worker/a', 'user/b', 'worker/c', 'service/d', 'worker/e'];
  shell.run(`certgate init; for name in ${names.join(' ')}; do certgate issue $name; done`);
  const pages: string[][] = [];
  let after = '';
  do {
    const { stdout } = shell.run(`certgate list --limit 2 --json ${after}`);
    const page = JSON.parse(stdout) as { certificates: Array<{ identity: string }>; next: string | null };
    pages.push(page.certificates.map(({ identity }) => identity));
    after = page.next === null ? '' : `--after ${page.next}`;
  } while (after !== '');
  expect(pages.map((page) => page.length)).toEqual([2, 2, 1]);
  expect(pages.flat()).toEqual(names.toReversed());
  const workers = shell.run("certgate list 'worker/*' --limit 2");
  expect(workers.stdout.match(/worker\/\w/g)).toEqual(['worker/e', 'worker/c']);
  expect(workers.stderr).toBe('there are more: the newest 2 are shown, --limit shows more\n');
});
