import { expect, test } from 'vitest';
import { hookWords } from '../../src/cli/renewal-hook.ts';

test('a command is split at spaces, and needs no shell', () => {
  expect(hookWords({ exec: ' nginx  -s reload ' })).toEqual(['nginx', '-s', 'reload']);
  expect(hookWords({ execShell: 'kill -HUP $(cat a)' })).toEqual(['/bin/sh', '-c', 'kill -HUP $(cat a)']);
  expect(hookWords({})).toBeNull();
});

test.each(["sh -c 'a b'", 'kill $(cat a)', 'a; b', 'a > b', 'a | b', 'a *'])(
  '%s is refused, and --exec-shell is named with it',
  (exec) => expect(() => hookWords({ exec })).toThrow('only a shell understands'),
);

test.each([{ exec: '  ' }, { execShell: '' }, { exec: 'a', execShell: 'b' }])('%j is refused', (flags) =>
  expect(() => hookWords(flags)).toThrow(expect.objectContaining({ code: 'CG_USAGE' })),
);
