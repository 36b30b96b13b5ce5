// What a person sees whose login has ended, whichever command would use it.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { createAuthority } from '../../src/authority/create.ts';
import { issueToDirectory } from '../../src/authority/issue-to-directory.ts';
import { loadAuthority } from '../../src/authority/load.ts';
import { forgetLogin } from '../../src/cli/login-place.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { openShell, type Shell } from './golden.ts';

const HOUR = 3_600_000;
const ENDED = 'error: the login at https://gate.example:8443 expired at 20';
let shell: Shell;
let identity: string;

beforeAll(async () => {
  shell = openShell();
  const place = join(shell.dir, '.local/state/certgate');
  mkdirSync(place, { recursive: true, mode: 0o700 });
  identity = join(place, 'identity');
  const [certsDir, stateDir, trustDomain, actor] = [
    join(shell.dir, 'certs'),
    join(shell.dir, 'state'),
    'test.internal',
    'test',
  ];
  const clock = () => Date.now() - 9 * HOUR;
  const { store: file } = await createAuthority({ certsDir, stateDir, trustDomain, actor, clock });
  const store = openSqliteStore(file);
  const authority = await loadAuthority({ certsDir, store, trustDomain, clock });
  await issueToDirectory(authority, {
    identity: 'user/alice',
    profile: 'client',
    ttlMs: 8 * HOUR,
    actor,
    out: identity,
  });
  await store.close();
  const gate = { gate: 'https://gate.example:8443', serverName: null, pin: { fingerprint: 'ab'.repeat(32) } };
  writeFileSync(join(place, 'login.json'), JSON.stringify(gate));
});

test.each(['certgate run -- echo never', 'certgate connect'])(
  '%s says that it has ended, and how to log in again',
  (line) => {
    const { status, stdout, stderr } = shell.run(line);
    expect([status, stdout]).toEqual([3, '']);
    expect(stderr).toContain(ENDED);
    expect(stderr).toContain('[CG_LOGIN_ENDED]\nhint: log in again: `certgate login`\n');
  },
);

test('certgate export of it says so too, and not to issue anything', () => {
  const { status, stderr } = shell.run(`certgate export ${identity} --password-env HOME`);
  expect(status).not.toBe(0);
  expect(stderr).toContain('the certificate expired at');
  expect(stderr).toContain('hint: log in again: `certgate login`');
});

test('what names another identity is not about the login', () => {
  const { stderr } = shell.run('certgate run --identity ./worker --gate https://gate.example:8443 -- true');
  expect(stderr).toContain('[CG_CREDENTIALS]');
});

test('after a logout nobody is logged in, and that is said', () => {
  rmSync(identity, { recursive: true });
  expect(shell.run('certgate run -- true')).toMatchObject({
    status: 3,
    stderr:
      'error: nobody is logged in at https://gate.example:8443 here [CG_LOGIN_ENDED]\nhint: log in again: `certgate login`\n',
  });
});

test('a logout takes what killed logins have left with it, and --forget nothing that is not of a login', () => {
  const home = mkdtempSync(join(tmpdir(), 'certgate-login-'));
  const place = join(home, 'certgate');
  const env = { XDG_STATE_HOME: home };
  mkdirSync(join(place, 'identity'), { recursive: true });
  mkdirSync(join(place, '.identity.issuing-1-0123abcd'));
  for (const name of ['.identity.enrolling-identity-token-0123abcd', 'login.json', 'certgate.db']) {
    writeFileSync(join(place, name), '');
  }
  forgetLogin(env, false);
  expect(readdirSync(place).toSorted()).toEqual(['certgate.db', 'login.json']);
  forgetLogin(env, true);
  expect(readdirSync(place)).toEqual(['certgate.db']);
  rmSync(join(place, 'certgate.db'));
  forgetLogin(env, true);
  expect(readdirSync(home)).toEqual([]);
  forgetLogin(env, true);
});
