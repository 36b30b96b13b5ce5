import { readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { platform, userInfo } from 'node:os';
import { dirname } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  forgetLogin,
  loginIdentity,
  type RememberedGate,
  rememberedGate,
  rememberGate,
} from '../../src/cli/login-place.ts';
import { newFolder } from '../store/fixture.ts';

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

test('the gate of the last login is remembered until another is, whole, and nothing is left of an attempt', async () => {
  const env = { HOME: newFolder() };
  const first: RememberedGate = { gate: 'https://a.example', serverName: null, pin: { fingerprint: 'ab'.repeat(32) } };
  const second: RememberedGate = { ...first, gate: 'https://b.example' };
  await rememberGate(env, first);
  const folder = dirname(loginIdentity(env));
  const handle = await open(folder);
  await handle.close();
  const full = vi
    .spyOn(Object.getPrototypeOf(handle) as typeof handle, 'sync')
    .mockRejectedValue(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'fsync' }));
  onTestFinished(() => full.mockRestore());
  await expect(rememberGate(env, second)).rejects.toMatchObject({ code: 'ENOSPC' });
  expect([rememberedGate(env), readdirSync(folder)]).toEqual([first, ['login.json']]);
  full.mockRestore();
  await rememberGate(env, second);
  expect([rememberedGate(env), readdirSync(folder)]).toEqual([second, ['login.json']]);
  forgetLogin(env, true);
  expect(rememberedGate(env)).toBeNull();
});
