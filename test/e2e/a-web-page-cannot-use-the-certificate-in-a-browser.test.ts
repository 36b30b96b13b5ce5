// A person has a certificate in a real Chromium, and may do everything; then a page of another site is open beside it. What that
// page has the browser send goes out with the certificate: the gate refuses it by where it is from, a frame to click in too. A link
// is all that another site may have.

import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { noBrowser, PASSWORD, pageOf } from './harness/browser.ts';
import type { Echo } from './harness/echo.ts';
import type { House, Serving } from './harness/house.ts';
import { atEnd, echo, folder, house } from './harness/scenario.ts';

const reason = noBrowser();
let home: House;
let gate: Serving;
let upstream: Echo;
let p12: string;

beforeAll(async () => {
  if (reason !== null) return;
  home = await house();
  const policy = join(await folder(), 'policy.yaml');
  await writeFile(policy, 'bindings: [{role: Owner, identity: user/alice}]\n');
  await writeFile(join(home.dir, 'password'), PASSWORD);
  await home.issue('user/alice');
  p12 = join(home.dir, 'alice.p12');
  await home.certgate(['export', 'user-alice', '--out', p12, '--password-file', 'password']);
  upstream = await echo();
  gate = await home.serve({ upstream: upstream.url, flags: ['--policy', policy] });
});

beforeEach((context) => {
  if (reason === null) return;
  process.stderr.write(`skipped: ${context.task.name}: ${reason}\n`);
  context.skip(reason);
});

/** A page that has the browser do all that, and says in its title what each came to. */
function attack(target: string): string {
  return `<!doctype html><title>begun</title><body>
<iframe name=frame></iframe><iframe name=other></iframe><iframe src="${target}/api/flow_runs/by-frame"></iframe>
<form id=form method=post action="${target}/api/flows/by-form" target=frame><input name=a value=b></form>
<form id=bare method=post enctype=text/plain action="${target}/api/deployments/by-bare-form" target=other></form>
<img src="${target}/api/by-image">
<script>
const said = {};
const tell = (name, word) => { said[name] = word; document.title = JSON.stringify(said); };
for (const mode of ['no-cors', 'cors']) fetch('${target}/api/flow_runs/by-fetch-' + mode, {method: 'POST', mode,
  credentials: 'include', body: '{}'}).then((a) => tell(mode, a.type + ' ' + a.status), () => tell(mode, 'failed'));
fetch('${target}/api/read-by-fetch', {credentials: 'include'}).then((a) => a.text()).then((t) => tell('read', t), () => tell('read', 'failed'));
navigator.sendBeacon('${target}/api/logs/by-beacon', '[]');
// By then the browser knows which certificate it shows there. Chromium's page time stands still while this page's own site is slow.
fetch('/slow').then(() => {
  const socket = new WebSocket('${target.replace('https', 'wss')}/api/events/in', 'prefect');
  socket.onopen = () => { socket.onclose = (e) => tell('socket', 'closed ' + e.code); };
  socket.onerror = () => tell('socket', 'failed');
  return fetch('/slow');
});
document.getElementById('form').submit();
document.getElementById('bare').submit();
</script>`;
}

async function records(): Promise<ReadonlyArray<Readonly<Record<string, unknown>>>> {
  const text = await readFile(join(home.dir, 'state/audit.jsonl'), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Another site, all of whose pages are `page`; answers its port. */
async function otherSite(page: string): Promise<number> {
  const server = createServer((request, response) => {
    if (request.url === '/slow') {
      setTimeout(() => response.end('slow'), 1_500);
      return;
    }
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(page);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test('a page of another site has Chromium do nothing with the certificate, be it in a frame, and reads nothing', async () => {
  const port = await otherSite(attack(`https://localhost:${gate.port}`));
  const shown = await pageOf(home, gate.port, `http://evil.localhost:${port}/`, p12, 8_000);
  const title = /<title>(.*?)<\/title>/.exec(shown)?.[1] ?? '';
  process.stderr.write(`the attacking page: ${title}\n`);
  expect(JSON.parse(title)).toMatchObject({
    cors: 'failed',
    read: 'failed',
    socket: expect.stringMatching(/failed|closed 1008/) as string,
  });

  const refused = (await records()).filter((one) => one['code'] === 'CG_REQUEST_CROSS_SITE');
  const paths = refused.map((one) => String(one['path']));
  // It did come with her certificate, who may do everything: where it came from is why it was refused.
  expect(new Set(refused.map((one) => one['identity']))).toEqual(new Set(['user/alice']));
  expect(paths).toEqual(
    expect.arrayContaining([
      '/api/flow_runs/by-fetch-no-cors',
      '/api/flows/by-form',
      '/api/deployments/by-bare-form',
      '/api/logs/by-beacon',
      '/api/events/in',
      '/api/flow_runs/by-frame',
      '/api/by-image',
      '/api/read-by-fetch',
    ]),
  );
  expect(upstream.heads.map(({ method, url }) => `${method} ${url}`)).toEqual([]);
}, 60_000);

test('a link of another site brings a person to the gate', async () => {
  const port = await otherSite(`<script>location.href = 'https://localhost:${gate.port}/api/hello'</script>`);
  const shown = await pageOf(home, gate.port, `http://evil.localhost:${port}/`, p12);
  expect(shown).toMatch(/x-certgate-identity[^a-z]+user\/alice/);
}, 60_000);

test('the same person is let in by her own address line', async () => {
  const before = upstream.heads.length;
  const shown = await pageOf(home, gate.port, `https://localhost:${gate.port}/api/hello`, p12);
  expect(shown).toMatch(/x-certgate-identity[^a-z]+user\/alice/);
  expect(upstream.heads.length).toBeGreaterThan(before);
}, 60_000);
