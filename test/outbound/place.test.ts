import { expect, test } from 'vitest';
import { urlOf } from '../../src/outbound/place.ts';

const bound = (address: string) => ({ address, port: 4210, family: address.includes(':') ? 'IPv6' : 'IPv4' });
const passed = { fd: 3, name: 'systemd:gate', loopbackOnly: true };

test('a sidecar is found where it was told to listen, or where what was passed to it is bound', () => {
  expect(urlOf({ host: 'localhost', port: 0 }, bound('127.0.0.1'))).toBe('http://localhost:4210');
  expect(urlOf({ host: '::1', port: 0 }, bound('::1'))).toBe('http://[::1]:4210');
  expect(urlOf({ path: '/run/sidecar' }, null)).toBe('unix:/run/sidecar');
  expect(urlOf(passed, bound('127.0.0.2'))).toBe('http://127.0.0.2:4210');
  expect(urlOf(passed, bound('::1'))).toBe('http://[::1]:4210');
  expect(urlOf(passed, null)).toBe('systemd:gate');
});

test('what was passed to a sidecar and is not on loopback is not served on, unless it is called safe', () => {
  for (const address of ['0.0.0.0', '::', '192.0.2.7', '::ffff:127.0.0.1', '2001:db8::1']) {
    expect(() => urlOf(passed, bound(address)), address).toThrow(`:4210 (systemd:gate) is not a loopback address`);
    expect(urlOf({ ...passed, loopbackOnly: false }, bound(address))).toMatch(/^http:.*:4210$/);
  }
});
