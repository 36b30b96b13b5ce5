// What the browser of `certgate login` is started with.
import { chmodSync, existsSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openBrowser } from '../../src/cli/open-browser.ts';

/** A folder with a program `name` that writes its argument and its environment into `said`, whole or not at all. */
function programCalled(name: string): { readonly dir: string; readonly said: string } {
  const dir = mkdtempSync(join(tmpdir(), 'certgate-browser-'));
  const said = join(dir, 'said');
  const draft = join(dir, 'draft');
  writeFileSync(draft, `#!/bin/sh\n{ echo "$1"; env; } > "${said}.part"; mv "${said}.part" "${said}"\n`);
  chmodSync(draft, 0o755);
  renameSync(draft, join(dir, name));
  return { dir, said };
}

test('the browser gets the address, whatever stands in it, and nothing that enrols or opens a key', async () => {
  const { dir, said } = programCalled('browser');
  const url = 'https://idp.example/?a=$(touch%20x)&b=`id`;c';
  const secrets = { CERTGATE_TOKEN: 'cgt1_secret', CERTGATE_PASSPHRASE: 'secret' };
  openBrowser(url, { PATH: '/usr/bin:/bin', BROWSER: join(dir, 'browser'), ...secrets });
  await expect.poll(() => existsSync(said), { timeout: 20_000 }).toBe(true);
  const text = readFileSync(said, 'utf8');
  expect(text.split('\n')[0]).toBe(url);
  expect(text).not.toContain('secret');
});

test('an empty BROWSER is none, and one that is not there fails nothing', async () => {
  const { dir, said } = programCalled(process.platform === 'darwin' ? 'open' : 'xdg-open');
  openBrowser('https://idp.example/', { PATH: `${dir}:/usr/bin:/bin`, BROWSER: '' });
  await expect.poll(() => existsSync(said), { timeout: 20_000 }).toBe(true);
  openBrowser('https://idp.example/', { PATH: dir, BROWSER: 'no-such-browser' });
  // Below a file, of which the system says so at once.
  openBrowser('https://idp.example/', { PATH: dir, BROWSER: join(said, 'browser') });
});
