// A person logs in at a real OpenID provider, in a real browser or with a device code, and then Prefect's commands and its page
// work without another word, as far as the role of a group goes that the provider says.
import { readdirSync, statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test, vi } from 'vitest';
import { post } from './harness/api.ts';
import { browserWith, noChromium } from './harness/chromium.ts';
import { eventually } from './harness/eventually.ts';
import { certgateCommand, type House, type Serving } from './harness/house.ts';
import { idTokenFor, type OidcProvider, startOidc } from './harness/oidc.ts';
import { clientEnvironment, prefectPrograms } from './harness/prefect.ts';
import { cleanEnvironment, finish, type Running, start } from './harness/processes.ts';
import { folder, house, sharedPrefect } from './harness/scenario.ts';

const POLICY = `bindings:
  - {role: Viewer, group: people}
  - {role: Developer, group: deployers}
`;
const POOL = { name: 'of-who-logs-in', type: 'process', description: 'a pool for who logs in' };
const LACKS = 'it lacks write_work_pools';

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
  const policy = join(home.dir, 'policy.yaml');
  await writeFile(policy, POLICY);
  idp = await startOidc(await folder());
  gate = await home.serve({ upstream: sharedPrefect(), env: entry(idp, true), flags: ['--policy', policy] });
  await post(sharedPrefect(), '/work_pools/', POOL);
  gateUrl = `https://127.0.0.1:${gate.port}`;
}, 300_000);

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
/** The login that waits is ended by `name` at the provider. */
async function end(login: Running, name: string): Promise<number | null> {
  const { sentTo } = await idp.visit(await urlOf(login), name);
  await fetch(sentTo ?? '');
  return (await login.exited).code;
}

test('in the browser: the certificate arrives, Prefect’s page shows what is there and says what it may not do, and nothing is left after logout', async (context) => {
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
  expect(JSON.parse(login.stdout())).toMatchObject({
    ...{ identity: 'user/alice', groups: ['data/alice', 'people'], gate: gateUrl, path: alice.identity },
  });
  expect(statSync(join(alice.identity, 'tls.key')).mode & 0o777).toBe(0o600);
  expect(statSync(join(alice.identity, '..')).mode & 0o777).toBe(0o700);

  await writeFile(join(alice.dir, 'password'), 'a word');
  const exported = await alice.run('export', alice.identity, '--out', 'alice.p12', '--password-file', 'password');
  expect(exported.code, exported.stderr).toBe(0);
  const origin = `https://localhost:${gate.port}`;
  const own = await browserWith({
    trusted: [join(home.dir, 'certs/root.crt')],
    pkcs12: { file: join(alice.dir, 'alice.p12'), password: 'a word' },
    origin,
  });
  // The page of a pool, which Prefect's API alone has a description of; then its switch, which pauses the pool.
  const page = await own.lead(`${origin}/work-pools/work-pool/${POOL.name}`);
  const shows = (text: string): string => `document.body.innerText.includes('${text}') || undefined`;
  await page.value(shows(POOL.description));
  await page.value(
    `document.querySelector('[role=switch]') ? (document.querySelector('[role=switch]').click(), 1) : undefined`,
  );
  await page.value(shows(`certgate: user/alice (Viewer) may not do update_work_pool: ${LACKS}`));
  const answered = { read_work_pool: 200, update_work_pool: 403 };
  for (const [wanted, code] of Object.entries(answered)) {
    await gate.logged(
      (one) => one['identity'] === 'user/alice' && one['operation'] === wanted && one['status'] === code,
    );
  }

  const { stdout } = await home.certgate(['list', 'user/alice', '--json', '--config', home.config]);
  expect(JSON.parse(stdout)).toMatchObject({ certificates: [{ groups: ['data/alice', 'people'], renewable: false }] });
  const out = await alice.run('logout');
  expect(out.stderr).toContain(`removed ${alice.identity}`);
  expect(readdirSync(join(alice.identity, '..'))).toEqual(['login.json']);
}, 300_000);

test('Prefect’s commands do what the role of a group allows and say what it lacks; another group is another role at the next login', async () => {
  const frank = await person();
  const prefect = join(await prefectPrograms(), 'prefect');
  const env = clientEnvironment(null, join(frank.dir, 'prefect'), { ...frank.env, COLUMNS: '400' });
  const create = (name: string): string[] => ['work-pool', 'create', name, '--type', 'process'];
  const running = async (...args: string[]) => {
    const command = ['run', '--', prefect, ...args];
    const ran = await finish(...certgateCommand(command), { env, cwd: frank.dir, boundMs: 120_000 });
    return { code: ran.code, said: (ran.stdout + ran.stderr).replaceAll(/\s+/g, ' ') };
  };
  const login = frank.start('login', gateUrl, ...pin());
  expect(await end(login, 'frank'), login.stderr()).toBe(0);
  const [listed, refused] = await Promise.all([running('work-pool', 'ls'), running(...create('by-frank'))]);
  expect(listed).toEqual({ code: 0, said: expect.stringContaining(POOL.name) as string });
  expect(refused).toEqual({
    code: 1,
    said: expect.stringContaining(`certgate: user/frank (Viewer) may not do create_work_pool: ${LACKS}`) as string,
  });

  // The sidecar stays, over the next login and the one after.
  const sidecar = frank.start('connect', '--listen', '127.0.0.1:0');
  const line = await sidecar.line((text) => text.includes('"listening"'));
  const { address: url } = JSON.parse(line) as { address: string };
  const makingNothing = async (): Promise<number> => {
    const headers = { 'content-type': 'application/json' };
    return (await fetch(`${url}/api/work_pools/`, { method: 'POST', headers, body: '{}' })).status;
  };
  await idp.setGroups('frank', ['people', 'deployers']);
  expect(await makingNothing()).toBe(403);
  const again = frank.start('login');
  expect(await end(again, 'frank'), again.stderr()).toBe(0);
  expect(again.stderr()).toContain('\ngroups: deployers, people\n');
  await eventually('the sidecar has the new role', async () => ((await makingNothing()) === 422 ? true : undefined));
  const made = await finish(prefect, create('by-frank'), {
    env: { ...env, PREFECT_API_URL: `${url}/api` },
    boundMs: 120_000,
  });
  expect(made, made.stderr).toMatchObject({ code: 0 });

  await idp.setGroups('frank', ['people']);
  const less = frank.start('login');
  expect(await end(less, 'frank'), less.stderr()).toBe(0);
  await eventually('the sidecar has the old role', async () => ((await makingNothing()) === 403 ? true : undefined));
  await idp.setGroups('frank', ['deployers']);
  expect(await end(frank.start('login'), 'frank')).toBe(3);
  await gate.logged(({ reason }) => String(reason).includes('groups'));
}, 300_000);

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
  expect(mallory.stderr()).toContain(`error: logged in at ${idp.issuer}, but ${gateUrl} gave no certificate`);
});

test('what is wrong is said with what to do', async () => {
  const one = await person();
  const none = await one.run('login');
  expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('certgate login https://gate.example:8443')]);
  const blind = await one.run('login', gateUrl);
  expect([blind.code, blind.stderr]).toEqual([2, expect.stringContaining('--fingerprint HEX')]);
  const plain = await house();
  const other = await plain.serve({ upstream: sharedPrefect() });
  const noCodes = await house();
  const browsersOnly = await noCodes.serve({ upstream: sharedPrefect(), env: entry(idp, false) });
  const where = [`https://127.0.0.1:${browsersOnly.port}`, '--ca', join(noCodes.dir, 'certs/ca.crt')];
  const coded = await one.run('login', ...where, '--device');
  expect([coded.code, coded.stderr]).toEqual([3, expect.stringContaining('its gate takes no device codes [CG_LOGIN]')]);
  const nowhere = await one.run('login', `https://127.0.0.1:${other.port}`, '--ca', join(plain.dir, 'certs/ca.crt'));
  expect([nowhere.code, nowhere.stderr]).toEqual([
    3,
    expect.stringContaining('this gate names no provider to log in at (403'),
  ]);
  const gone = await one.run('logout');
  expect([gone.code, gone.stderr]).toEqual([0, expect.stringContaining('nobody is logged in')]);
});
