import { platform, userInfo } from 'node:os';
import { expect, test } from 'vitest';
import { loginIdentity } from '../../src/cli/login-place.ts';

test.skipIf(platform() === 'darwin').each([
  ['no HOME', {}],
  ['an empty HOME', { HOME: '' }],
  ['a relative HOME', { HOME: 'here' }],
])('a login is kept in the home of the user where there is %s, never below the working directory', (_what, env) => {
  expect(loginIdentity(env)).toBe(`${userInfo().homedir}/.local/state/certgate/identity`);
});

test.skipIf(platform() === 'darwin')('a login is kept where the environment says, by an absolute path', () => {
  expect(loginIdentity({ HOME: '/home/alice' })).toBe('/home/alice/.local/state/certgate/identity');
  expect(loginIdentity({ HOME: '/home/alice', XDG_STATE_HOME: '/var/alice' })).toBe('/var/alice/certgate/identity');
  expect(loginIdentity({ HOME: '/home/alice', XDG_STATE_HOME: 'state' })).toBe(
    '/home/alice/.local/state/certgate/identity',
  );
});
