// A person logs in at a real OpenID provider, in a real browser or with a device code, and then Prefect's commands and its page
// work without another word.
import { readdirSync, statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test, vi } from 'vitest';
import { browserWith, noChromium } from './harness/chromium.ts';
import { certgateCommand, type House, type Serving } from './harness/house.ts';
import { idTokenFor, type OidcProvider, startOidc } from './harness/oidc.ts';
import { cleanEnvironment, finish, type Running, start } from './harness/processes.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';

let home: House;
let gate: Serving;
let idp: OidcProvider;
let gateUrl: string;

const entry = (provider: OidcProvider, device: boolean): NodeJS.ProcessEnv => ({
  CERTGATE_ENROLL_ISSUERS: JSON.stringify([
    {
      ...{ name: 'people', issuer: provider.issuer, audience: provider.clientId, caFile: provider.caFile },
      login: { clientId: provider.clientId, scopes: ['openid', 'profile'], device },
      rules: [
        {
          match: { email: '([a-z]+)@example[.]com', groups: 'people' },
          as: 'user/$1',
          groupsFrom: 'groups',
        },
      ],
    },
  ]),
});

beforeAll(async () => {
  home = await house();
  idp = await startOidc(await folder());
  gate = await home.serve({ upstream: sharedPrefect(), env: entry(idp, true) });
  gateUrl = `https://127.0.0.1:${gate.port}`;
}, 120_000);

interface Person {
  readonly env: NodeJS.ProcessEnv;
  readonly dir: string;
  readonly identity: string;
  start(...args: string[]): Running;
  run(...args: string[]): ReturnType<typeof finish>;
}

async function person(): Promise<Person> {
  const dir = await folder();
  const noted = join(dir, 'browser');
  await writeFile(noted, '#!/bin/sh\nprintf %s "$1" > "$HOME/opened.part" && mv "$HOME/opened.part" "$HOME/opened"\n', {
    mode: 0o700,
  });
  const env = cleanEnvironment({
    ...{ HOME: dir, XDG_STATE_HOME: '', BROWSER: noted, NODE_EXTRA_CA_CERTS: idp.caFile, NODE_NO_WARNINGS: '1' },
  });
  return {
    ...{ env, dir, identity: join(dir, '.local/state/certgate/identity') },
    start: (...args) => start(...certgateCommand(args), { env, cwd: dir }),
    run: (...args) => finish(...certgateCommand(args), { env, cwd: dir }),
  };
}
const pin = (): readonly string[] => ['--ca', join(home.dir, 'certs/ca.crt')];
const urlOf = (running: Running): Promise<string> => running.line((line) => line.startsWith('https://'));
const ASK = `const a = await fetch(process.env.PREFECT_API_URL + '/health'); console.log(a.status);`;

test('in the browser: the certificate arrives, Prefect answers, its page loads, and nothing is left after logout', async (context) => {
  if (noChromium !== null) {
    process.stderr.write(`skipped: ${context.task.name}: ${noChromium}\n`);
    context.skip(noChromium);
  }
  const alice = await person();
  const login = alice.start('login', gateUrl, ...pin(), '--json');
  const browser = await browserWith({ trusted: [idp.caFile], pkcs12: null, origin: gateUrl });
  await urlOf(login);
  await vi.waitFor(() => statSync(join(alice.dir, 'opened')), { timeout: 60_000 });
  const tab = await browser.lead(await readFile(join(alice.dir, 'opened'), 'utf8'));
  const submit = `document.querySelector('[type=submit]').click(), 'sent'`;
  const fill = (name: string, text: string): string => `document.querySelector('[name=${name}]').value = '${text}'`;
  const logIn = `${fill('login', 'alice')}, ${fill('password', 'x')}, ${submit}`;
  await tab.value(`document.querySelector('[name=password]') ? (${logIn}) : undefined`);
  await tab.value(`document.querySelector('[name=prompt][value=consent]') ? (${submit}) : undefined`);
  await tab.value(`document.body && document.body.innerText.includes('You are logged in') ? true : undefined`);
  expect((await login.exited).code, login.stderr()).toBe(0);
  expect(JSON.parse(login.stdout())).toMatchObject({ identity: 'user/alice', gate: gateUrl, path: alice.identity });
  expect(statSync(join(alice.identity, 'tls.key')).mode & 0o777).toBe(0o600);
  expect(statSync(join(alice.identity, '..')).mode & 0o777).toBe(0o700);

  const ran = await alice.run('run', '--', process.execPath, '--input-type=module', '-e', ASK);
  expect([ran.stdout, ran.code], ran.stderr).toEqual(['200\n', 0]);

  await writeFile(join(alice.dir, 'password'), 'a word');
  const exported = await alice.run('export', alice.identity, '--out', 'alice.p12', '--password-file', 'password');
  expect(exported.code, exported.stderr).toBe(0);
  const origin = `https://localhost:${gate.port}`;
  const own = await browserWith({
    trusted: [join(home.dir, 'certs/root.crt')],
    pkcs12: { file: join(alice.dir, 'alice.p12'), password: 'a word' },
    origin,
  });
  const page = await own.dump(`${origin}/dashboard`, 20_000);
  expect(page).toContain('<title>Prefect Server</title>');
  expect(page).not.toContain('certgate: a client certificate is required');

  const { stdout } = await home.certgate(['list', 'user/alice', '--json', '--config', home.config]);
  expect(JSON.parse(stdout)).toMatchObject({ certificates: [{ groups: ['data/alice', 'people'], renewable: false }] });
  const out = await alice.run('logout');
  expect(out.stderr).toContain(`removed ${alice.identity}`);
  expect(readdirSync(join(alice.identity, '..'))).toEqual(['login.json']);
});

test('without a browser on the machine, and again the next morning without a flag', async () => {
  const bob = await person();
  for (const args of [[gateUrl, ...pin()], []]) {
    const login = bob.start('login', ...args);
    const { sentTo } = await idp.visit(await urlOf(login), 'bob');
    expect(sentTo?.hostname).toBe('127.0.0.1');
    const shown = await fetch(sentTo ?? '');
    expect(await shown.text()).toContain('You are logged in');
    expect((await login.exited).code, login.stderr()).toBe(0);
    expect(login.stderr()).toContain('enrolled as user/bob');
  }
  const { stdout } = await home.certgate(['list', 'user/bob', '--json', '--config', home.config]);
  const { certificates } = JSON.parse(stdout) as { certificates: { notBefore: string; notAfter: string }[] };
  expect(certificates).toHaveLength(2);
  // Eight hours, and the minute that each certificate is backdated.
  for (const { notBefore, notAfter } of certificates) {
    expect(Math.round((Date.parse(notAfter) - Date.parse(notBefore)) / 60_000)).toBe(8 * 60 + 1);
  }
});

test('with a code that is typed in on another machine', async () => {
  const carol = await person();
  const login = carol.start('login', gateUrl, ...pin(), '--device');
  const line = await login.line((text) => text.startsWith('on any machine, open '));
  const { page } = await idp.visit(line.slice('on any machine, open '.length), 'carol');
  expect(page).toContain('Sign-in Success');
  expect((await login.exited).code, login.stderr()).toBe(0);
  expect(login.stderr()).toContain('enrolled as user/carol');
});

test('a page that sends the browser to the waiting login, with a code of somebody else’s, ends nothing', async () => {
  const dave = await person();
  const login = dave.start('login', gateUrl, ...pin());
  const url = new URL(await urlOf(login));
  const redirect = url.searchParams.get('redirect_uri') ?? '';
  for (const query of ['?code=evil', '?code=evil&state=guess', '?error=access_denied', '']) {
    const shown = await fetch(`${redirect}${query}`);
    expect([query, shown.status, await shown.text()]).toEqual([query, 400, expect.stringContaining('not the login')]);
  }
  const { sentTo } = await idp.visit(url.href, 'dave');
  await fetch(sentTo ?? '');
  expect((await login.exited).code, login.stderr()).toBe(0);
});

test('an ID token that was made for another key is refused by the gate, and one of a stranger to the rules is', async () => {
  const thief = await person();
  const args = (variable: string) => [
    'enroll',
    '--identity-token-from',
    variable,
    '--gate',
    gateUrl,
    ...pin(),
    '--out',
    'x',
  ];
  const stolen = await finish(...certgateCommand(args('env:T')), {
    env: { ...thief.env, T: await idTokenFor(idp, 'erin', 'a nonce of somebody') },
    cwd: thief.dir,
  });
  expect(stolen.code).toBe(3);
  await gate.logged(({ reason }) => String(reason).includes('made for another key'));
  const mallory = thief.start('login', gateUrl, ...pin());
  const { sentTo } = await idp.visit(await urlOf(mallory), 'M-1');
  await fetch(sentTo ?? '');
  expect((await mallory.exited).code).toBe(3);
  expect(mallory.stderr()).toContain('CG_ENROLL_REFUSED');
});

test('what is wrong is said with what to do', async () => {
  const one = await person();
  const none = await one.run('login');
  expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('certgate login https://gate.example:8443')]);
  const blind = await one.run('login', gateUrl);
  expect([blind.code, blind.stderr]).toEqual([2, expect.stringContaining('--fingerprint HEX')]);
  const plain = await house();
  const other = await plain.serve({ upstream: sharedPrefect() });
  const nowhere = await one.run('login', `https://127.0.0.1:${other.port}`, '--ca', join(plain.dir, 'certs/ca.crt'));
  expect([nowhere.code, nowhere.stderr]).toEqual([3, expect.stringContaining('CG_LOGIN')]);
  const gone = await one.run('logout');
  expect([gone.code, gone.stderr]).toEqual([0, expect.stringContaining('nobody is logged in')]);
});
