// The way of a person: issue, export, import into the browser's store, open the page.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { browserWith, noChromium } from './harness/chromium.ts';
import type { House, Serving } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';

const PASSWORD = 'pä ss ☃';

let home: House;
let gate: Serving;

beforeAll(async () => {
  if (noChromium !== null) return;
  home = await house();
  await home.issue('user/alice');
  gate = await home.serve({ upstream: (await echo()).url });
});

/** What the browser shows of the gate, with a profile that holds the root and, when it is given, a PKCS#12 file. */
async function page(pkcs12: string | null): Promise<string> {
  const origin = `https://localhost:${gate.port}`;
  const browser = await browserWith({
    trusted: [join(home.dir, 'certs/root.crt')],
    pkcs12: pkcs12 === null ? null : { file: pkcs12, password: PASSWORD },
    origin,
  });
  return browser.dump(`${origin}/api/hello`);
}

beforeEach((context) => {
  if (noChromium === null) return;
  process.stderr.write(`skipped: ${context.task.name}: ${noChromium}\n`);
  context.skip(noChromium);
});

test.each([
  ['modern', []],
  ['legacy', ['--legacy']],
])(
  'Chromium presents the certificate of a PKCS#12 file in the %s form, and the gate knows who it is',
  async (form, flags) => {
    await writeFile(join(home.dir, 'password'), PASSWORD);
    await home.certgate(['export', 'user-alice', '--out', `${form}.p12`, '--password-file', 'password', ...flags]);
    const shown = await page(join(home.dir, `${form}.p12`));
    expect(shown).toMatch(/x-certgate-identity[^a-z]+user\/alice/);
  },
);

test('Chromium without a certificate gets nothing', async () => {
  const shown = await page(null);
  expect(shown).toContain('certgate: a client certificate is required');
  expect(shown).not.toContain('x-certgate-identity');
});
