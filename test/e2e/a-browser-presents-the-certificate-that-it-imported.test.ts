// The way of a person: issue, export, import into the browser's store, open the page. Chromium asks which certificate to
// show; a policy answers for us, in a mount of this process's own, so that nothing of the machine changes.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { noBrowser, PASSWORD, pageOf } from './harness/browser.ts';
import type { House, Serving } from './harness/house.ts';
import { echo, house } from './harness/scenario.ts';

const reason = noBrowser();

let home: House;
let gate: Serving;

beforeAll(async () => {
  if (reason !== null) return;
  home = await house();
  await home.issue('user/alice');
  gate = await home.serve({ upstream: (await echo()).url });
});

const page = async (pkcs12: string | null): Promise<string> =>
  await pageOf(home, gate.port, `https://localhost:${gate.port}/api/hello`, pkcs12);

beforeEach((context) => {
  if (reason === null) return;
  process.stderr.write(`skipped: ${context.task.name}: ${reason}\n`);
  context.skip(reason);
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
