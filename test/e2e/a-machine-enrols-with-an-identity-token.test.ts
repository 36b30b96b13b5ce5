// With no secret copied: a machine shows what its platform says of it, over a connection to a gate that it has verified. Its
// issuer is a real OpenID provider in a process of its own.
import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { sign } from './harness/certificates.ts';
import { certgateCommand, type House, makeHouse, type Serving } from './harness/house.ts';
import { idTokenFor, type OidcProvider, startOidc } from './harness/oidc.ts';
import { freePort } from './harness/ports.ts';
import { cleanEnvironment, finish } from './harness/processes.ts';
import { atEnd, echo, folder, house } from './harness/scenario.ts';

let home: House;
let gate: Serving;
let idp: OidcProvider;
let upstream: string;
let gateUrl: string;

beforeAll(async () => {
  home = await house();
  idp = await startOidc(await folder());
  upstream = (await echo()).url;
  const rule = { match: { sub: '([a-z0-9-]+)', email: '.*@example[.]com' }, as: 'worker/$1', ttl: '1h' };
  const rules = [{ ...rule, groupsFrom: 'groups', groupsMatch: 'data/.*' }];
  gate = await home.serve({ upstream, flags: ['--workers', '2'], env: takes(idp, rules) });
  gateUrl = `https://127.0.0.1:${gate.port}`;
}, 60_000);

/** What makes a gate take the tokens of `provider`. */
const takes = (provider: OidcProvider, rules: readonly object[]): NodeJS.ProcessEnv => {
  const { issuer, caFile } = provider;
  return { CERTGATE_ENROLL_ISSUERS: JSON.stringify([{ name: 'idp', issuer, audience: 'certgate', caFile, rules }]) };
};
const ASK = `const a = await fetch(process.env.PREFECT_API_URL + '/hello');
  console.log(JSON.stringify({ status: a.status, token: process.env.MY_TOKEN ?? null,
    identity: (await a.json()).headers.find(([name]) => name === 'x-certgate-identity')[1] }));`;
const ask = ['--', process.execPath, '--input-type=module', '-e', ASK];
const certgate = (cwd: string, args: readonly string[], extra: NodeJS.ProcessEnv = {}) =>
  finish(...certgateCommand(args), { env: cleanEnvironment(extra), cwd });
const caFile = (): string => join(home.dir, 'certs/ca.crt');
const fingerprint = (): string => new X509Certificate(readFileSync(join(home.dir, 'certs/root.crt'))).fingerprint256;

test('a machine runs its command behind a certificate that its token got it: by file, by variable, by pinned CA', async () => {
  const machine = await folder();
  const known: readonly (readonly string[])[] = [
    ['--ca', caFile()],
    ['--fingerprint', fingerprint()],
  ];
  for (const [i, pin] of known.entries()) {
    const [file, variable] = [`file-${i}`, `env-${i}`];
    await writeFile(join(machine, 'token'), `${await idTokenFor(idp, file)}\n`, { mode: 0o600 });
    const byFile = ['run', '--gate', gateUrl, ...pin, '--identity-token-file', 'token', '--identity', file, ...ask];
    const ran = await certgate(machine, byFile);
    expect(ran.code, ran.stderr).toBe(0);
    expect(JSON.parse(ran.stdout)).toMatchObject({ status: 200, identity: `worker/${file}` });
    const from = ['--identity-token-from', 'env:MY_TOKEN', '--identity', variable];
    const other = await certgate(machine, ['run', '--gate', gateUrl, ...pin, ...from, ...ask], {
      MY_TOKEN: await idTokenFor(idp, variable),
    });
    expect(other.code, other.stderr).toBe(0);
    expect(JSON.parse(other.stdout)).toMatchObject({ status: 200, identity: `worker/${variable}`, token: null });
    expect(readdirSync(join(machine, file)).toSorted()).toEqual(
      expect.arrayContaining(['ca.crt', 'tls.crt', 'tls.key']),
    );
    expect(statSync(join(machine, file, 'tls.key')).mode & 0o777).toBe(0o600);
  }
  expect(readdirSync(machine).filter((name) => name.startsWith('.'))).toEqual([]);
  const audit = await home.certgate(['audit', '--identity', 'worker/file-0', '--json', '--config', home.config]);
  expect(audit.stdout).toContain(idp.issuer);
  const { stdout } = await home.certgate(['list', 'worker/file-0', '--json', '--config', home.config]);
  expect(JSON.parse(stdout)).toMatchObject({ certificates: [{ groups: ['data/file-0'] }] });
  // Eight tokens, two workers: the issuer was asked for its keys once.
  expect(idp.asked().filter((line) => line === 'GET /jwks')).toHaveLength(1);
});

test('a job of GitHub Actions asks for its token, for this gate, and is enrolled', async () => {
  const machine = await folder();
  const port = await freePort();
  const asked: string[] = [];
  const token = await idTokenFor(idp, 'job');
  const [cert, key] = ['oidc.crt', 'oidc.key'].map((name) => readFileSync(idp.caFile.replace('oidc.crt', name)));
  const actions = createServer({ cert: cert ?? '', key: key ?? '' }, (request, answer) => {
    asked.push(`${request.url} ${request.headers.authorization}`);
    answer.end(JSON.stringify({ count: 1, value: token }));
  });
  await new Promise<void>((listening) => actions.listen(port, '127.0.0.1', listening));
  atEnd(async () => actions.close());
  const env = {
    NODE_EXTRA_CA_CERTS: idp.caFile,
    ACTIONS_ID_TOKEN_REQUEST_URL: `https://127.0.0.1:${port}/token?api-version=2.0`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'of-the-job',
  };
  const args = ['enroll', '--identity-token-from', 'github', '--gate', gateUrl, '--ca', caFile(), '--out', 'job'];
  const ran = await certgate(machine, args, env);
  expect(ran.code, ran.stderr).toBe(0);
  expect(ran.stderr).toContain('enrolled as worker/job');
  expect(asked).toEqual([`/token?api-version=2.0&audience=${encodeURIComponent(gateUrl)} Bearer of-the-job`]);
  const without = await certgate(machine, [...args, '--force'], { NODE_EXTRA_CA_CERTS: idp.caFile });
  expect([without.code, without.stderr]).toEqual([2, expect.stringContaining('id-token: write')]);
});

test('a sidecar whose certificate has ended enrols again by the token that is in its file by then', async () => {
  const machine = await folder();
  const [dir, token] = [join(machine, 'id'), join(machine, 'token')];
  // Long enough to start, and short: the longer it is refused, the longer it waits between its tries.
  const ends = Math.floor(Date.now() / 1000) * 1000 + 10_000;
  const leaf = { identity: 'worker/sleeper', notBefore: ends - 300_000, notAfter: ends, recorded: true };
  const { cert, key, ca } = await sign(home, leaf);
  await mkdir(dir);
  await writeFile(join(dir, 'tls.key'), key, { mode: 0o600 });
  await writeFile(join(dir, 'tls.crt'), cert);
  await writeFile(join(dir, 'ca.crt'), ca);
  await writeFile(token, 'not yet');
  // Nothing renews it: its serial number is locked.
  const serial = new X509Certificate(cert).serialNumber.toLowerCase();
  await home.certgate(['lock', 'serial', serial, '--reason', 'a test', '--config', home.config]);
  const flags = ['--identity-token-file', token, '--fingerprint', fingerprint()];
  const sidecar = await home.connect(gate, dir, flags);
  await sidecar.logged(({ msg, reason }) => msg === 'not enrolled again, trying again' && /JWT/.test(String(reason)));
  await writeFile(token, await idTokenFor(idp, 'sleeper'));
  await sidecar.logged(({ msg }) => msg === 'the certificate had ended: enrolled again');
  const answer = await fetch(`${sidecar.url}/api/hello`);
  expect(await answer.text()).toContain('worker/sleeper');
}, 180_000);

test('a token that was used is refused to another machine, and nothing is left there', async () => {
  const [machine, thief] = [await folder(), await folder()];
  const token = await idTokenFor(idp, 'robbed');
  const args = ['enroll', '--identity-token-from', 'env:T', '--gate', gateUrl, '--ca', caFile()];
  expect((await certgate(machine, args, { T: token })).code).toBe(0);
  const second = await certgate(thief, args, { T: token });
  expect([second.code, second.stderr]).toEqual([3, expect.stringContaining('CG_ENROLL_REFUSED')]);
  expect(second.stderr).not.toContain('another key');
  expect(readdirSync(thief)).toEqual([]);
  await gate.logged(({ msg, reason }) => msg === 'enrolment refused' && String(reason).includes('another key'));
});

test('a token is shown to nobody but a gate of the CA that was named', async () => {
  const machine = await folder();
  const impostor = await (await makeHouse(join(await folder(), 'other'))).serve({ upstream });
  const to = ['enroll', '--identity-token-from', 'env:T', '--gate', `https://127.0.0.1:${impostor.port}`];
  for (const pin of [
    ['--ca', caFile()],
    ['--fingerprint', fingerprint()],
  ]) {
    const ran = await certgate(machine, [...to, ...pin], { T: await idTokenFor(idp, 'lured') });
    expect([ran.code, ran.stderr]).toEqual([3, expect.stringContaining('CG_ENROLL_PIN')]);
  }
  const blind = await certgate(machine, to, { T: 'a.b.c' });
  expect([blind.code, blind.stderr]).toEqual([2, expect.stringContaining('--fingerprint HEX')]);
  expect(impostor.log().some(({ msg }) => msg.startsWith('enrol'))).toBe(false);
  // An issuer in between makes no gate of anybody.
  await writeFile(join(machine, 'issuer.crt'), readFileSync(join(home.dir, 'certs/issuer.crt')));
  const between = await certgate(
    machine,
    ['enroll', '--identity-token-from', 'env:T', '--gate', gateUrl, '--ca', 'issuer.crt'],
    {
      T: 'a.b.c',
    },
  );
  expect([between.code, between.stderr]).toEqual([2, expect.stringContaining('CG_ENROLL_CA')]);
});

test.each([
  ['an empty file', '', 'it is empty'],
  ['something else', 'abc', 'that is not a JWT'],
  ['a token of the CA', 'cgt1_abc', 'use --token-file'],
  ['a long file', 'a'.repeat(20_000), 'too long'],
])('%s in place of a token is told of, and not sent', async (_what, text, words) => {
  const machine = await folder();
  await writeFile(join(machine, 'token'), text);
  const args = ['enroll', '--identity-token-file', 'token', '--gate', gateUrl, '--ca', caFile()];
  const ran = await certgate(machine, args);
  expect([ran.code, ran.stderr]).toEqual([2, expect.stringContaining(words)]);
});

test('a gate whose issuer is down takes tokens by the keys that it has, and one that never had them puts off', async () => {
  const own = await startOidc(await folder());
  const other = await house();
  const env = takes(own, [{ match: { sub: '(.*)' }, as: 'worker/$1' }]);
  const [token, late] = [await idTokenFor(own, 'one'), await idTokenFor(own, 'two')];
  const first = await other.serve({ upstream, env });
  await first.logged(({ msg }) => msg === 'keys of an issuer read');
  await own.running.stop();
  const machine = await folder();
  const args = (port: number, out: string) => [
    ...['enroll', '--identity-token-from', 'env:T', '--gate', `https://127.0.0.1:${port}`, '--out', out],
    ...['--ca', join(other.dir, 'certs/ca.crt'), '--wait', '0s'],
  ];
  expect((await certgate(machine, args(first.port, 'one'), { T: token })).code).toBe(0);
  await first.stop();
  const second = await other.serve({ upstream, env });
  const ran = await certgate(machine, args(second.port, 'two'), { T: late });
  expect([ran.code, ran.stderr]).toEqual([7, expect.stringContaining('try again')]);
  expect(second.log()).toContainEqual(expect.objectContaining({ msg: 'keys of an issuer not read', issuer: 'idp' }));
});
