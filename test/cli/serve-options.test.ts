import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { authStringOf } from '../../src/cli/serve-options.ts';
import { loadConfig } from '../../src/config/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'certgate-auth-string-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What is read of a file with `content`. */
function readFrom(content: string | Uint8Array): string | null {
  writeFileSync(join(folder, 'password'), content);
  return authStringOf(loadConfig({ env: {}, flags: { 'serve.authStringFile': 'password' }, cwd: folder }));
}

describe('the file with the password that Prefect wants', () => {
  test.each(['admin:s3cret', 'admin:s3cret\n', 'admin:s3cret\r\n', '\ufeffadmin:s3cret\n'])(
    'is taken without its last line end and what an editor puts before it: %j',
    (content) => expect(readFrom(content)).toBe('admin:s3cret'),
  );

  test('may have blanks and letters of any alphabet in it', () => {
    expect(readFrom(' admin:gehéim 密 \n')).toBe(' admin:gehéim 密 ');
  });

  test.each([
    ['', 'is empty'],
    ['\n', 'is empty'],
    ['admin:s3cret\n\n', 'has more than one line'],
    ['admin:s3cret\nother:one\n', 'has more than one line'],
    ['admin:s3cret\0', 'a character that cannot be seen'],
    ['admin:s3\u200bcret', 'a character that cannot be seen'],
    [Buffer.from('admin:geh\u00e9im', 'latin1'), 'is not UTF-8 text'],
  ])('is refused at the start, not by Prefect at every request, where it is %j', (content, problem) => {
    expect(() => readFrom(content)).toThrow(expect.objectContaining({ code: 'CG_AUTH_STRING_FILE' }));
    expect(() => readFrom(content)).toThrow(problem);
    expect(() => readFrom(content)).not.toThrow('s3cret');
  });
});
