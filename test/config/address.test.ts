import { isIP, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  isAddress,
  isDnsName,
  isLoopback,
  parseHostPort,
  parseNetwork,
  parseOrigin,
  parseSocketPath,
  parseSystemdName,
} from '../../src/config/address.ts';

describe('addresses', () => {
  test('name a host and a port, with brackets around IPv6', () => {
    expect(parseHostPort('0.0.0.0:8443')).toEqual({ host: '0.0.0.0', port: 8443 });
    expect(parseHostPort('[::1]:0')).toEqual({ host: '::1', port: 0 });
    expect(parseHostPort('gate.example:443')).toEqual({ host: 'gate.example', port: 443 });
  });

  test.each([
    '',
    ':8443',
    '8443',
    'gate',
    'gate:',
    '::1:8443',
    '[::1]',
    '[gate]:1',
    '1.2.3:4',
    'a b:1',
    'gate:65536',
    'u@h:1',
  ])('are refused when they do not: %j', (text) => expect(parseHostPort(text)).toBeNull());

  test('of an upstream or a gate are an origin and nothing more', () => {
    expect(parseOrigin('http://127.0.0.1:4200', 'http')).toEqual({ host: '127.0.0.1', port: 4200 });
    expect(parseOrigin('https://gate.example', 'https')).toEqual({ host: 'gate.example', port: 443 });
    expect(parseOrigin('https://gate.example/', 'https')).toEqual({ host: 'gate.example', port: 443 });
    expect(parseOrigin('https://[2001:db8::1]:8443', 'https')).toEqual({ host: '2001:db8::1', port: 8443 });
    expect(parseOrigin('https://[2001:db8::1]', 'https')).toEqual({ host: '2001:db8::1', port: 443 });
  });

  test.each([
    'http://h',
    'https://h/api',
    'https://u:p@h',
    'https://h?x',
    'https://h#x',
    'https://h:0',
    'https://',
    'h:1',
  ])('of a gate are refused when they say more, or less: %j', (text) => expect(parseOrigin(text, 'https')).toBeNull());

  test.each([...['http://pi.2:4200', 'http://0x7f.1:4200', 'http://a.0x1', 'http://0x7f000001:1', 'http://a.08']])(
    'of an upstream are refused where a URL means another host by it, or none: %j',
    (text) => {
      expect(URL.parse(text)?.hostname).not.toBe(text.replace(/^http:\/\/|:\d+$/g, ''));
      expect(parseOrigin(text, 'http')).toBeNull();
    },
  );

  test('of a unix socket fit into what the system allows', () => {
    expect(parseSocketPath('unix:/run/p.sock')).toBe('/run/p.sock');
    expect(parseSocketPath('unix:')).toBeNull();
    expect(parseSocketPath('/run/p.sock')).toBeNull();
    expect(parseSocketPath(`unix:/${'x'.repeat(107)}`)).toBeNull();
  });

  test('know an IP address from everything else', () => {
    for (const address of ['1.2.3.4', '::1', '2001:db8::7', '::ffff:192.0.2.1']) {
      expect(isAddress(address), address).toBe(true);
    }
    for (const text of ['', 'gate', 'gate.example', '1.2.3', '1.2.3.4.5', '[::1]', '1::2::3', 'a b', 'dead.beef']) {
      expect(isAddress(text), text).toBe(false);
    }
  });

  test('are IPv6 addresses where Node takes them for that, and no others', () => {
    const pieces = [':', '::', '0', '1', 'ffff', 'F', '01', '12345', '.', '1.2.3.4', '::ffff:', 'g', '%1', '\0', ' '];
    const text = fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((some) => some.join(''));
    fc.assert(
      fc.property(text, (address) => {
        expect(isAddress(address)).toBe(!isDnsName(address) && isIP(address) !== 0);
        expect(parseHostPort(`[${address}]:1`) !== null).toBe(isIPv6(address) && !address.includes('%'));
      }),
      { numRuns: 5_000, examples: [['::1'], ['fe80::1%1'], ['::1\0'], ['1:2:3:4:5:6:7:8'], ['1:2:3:4:5:6:7:']] },
    );
  });

  test('know a DNS name from everything else', () => {
    for (const name of ['gate', 'gate.example', 'a-b.c1', '_srv.example', 'prefect_server', '0x.a', '1a']) {
      expect(isDnsName(name), name).toBe(true);
    }
    for (const name of ['', '1.2.3.4', '1.2.3', '::1', '*.x', 'a..b', 'a.', '-a', 'a-', 'ä.example', 'a b', '4711']) {
      expect(isDnsName(name), name).toBe(false);
    }
  });

  test('know the name of a socket that systemd passes', () => {
    expect(parseSystemdName('systemd:gate')).toBe('gate');
    expect(parseSystemdName('systemd:certgate.socket')).toBe('certgate.socket');
    for (const text of ['systemd', 'systemd:', 'systemd:a:b', 'systemd:a b', 'systemd:ä', ' systemd:a', 'Systemd:a']) {
      expect(parseSystemdName(text), text).toBeNull();
    }
    expect(parseSystemdName(`systemd:${'a'.repeat(256)}`)).toBeNull();
  });

  test('know what is on this machine alone', () => {
    for (const host of ['localhost', '127.0.0.1', '127.9.9.9', '::1']) expect(isLoopback(host), host).toBe(true);
    for (const host of ['0.0.0.0', '::', '128.0.0.1', '127.0.0.1.example', '127.1', '::ffff:127.0.0.1', '']) {
      expect(isLoopback(host), host).toBe(false);
    }
  });

  test('know a network from everything else', () => {
    for (const network of [
      '192.0.2.7',
      '10.0.0.0/8',
      '0.0.0.0/0',
      '192.0.2.7/32',
      '::1',
      '2001:db8::/32',
      '::/0',
      '::1/128',
    ]) {
      expect(parseNetwork(network), network).not.toBeNull();
    }
    expect(parseNetwork('10.0.0.0/8')).toEqual({ address: '10.0.0.0', bits: 8, family: 'ipv4' });
    expect(parseNetwork('192.0.2.7')).toEqual({ address: '192.0.2.7', bits: 32, family: 'ipv4' });
    expect(parseNetwork('2001:db8::')).toEqual({ address: '2001:db8::', bits: 128, family: 'ipv6' });
    for (const text of [
      '',
      '/8',
      '10.0.0.0/',
      '10.0.0.0/33',
      '10.0.0.0/-1',
      '10.0.0.0/255.0.0.0',
      '10.0.0/8',
      '::1/129',
    ]) {
      expect(parseNetwork(text), text).toBeNull();
    }
    for (const text of [
      'gate.example',
      'gate/8',
      'fe80::1%eth0',
      '[::1]',
      '10.0.0.0/8/8',
      ' 10.0.0.0/8',
      '010.0.0.1',
    ]) {
      expect(parseNetwork(text), text).toBeNull();
    }
  });
});
