import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readProxyHeader } from '../../src/inbound/proxy-protocol.ts';
import { binary, binaryFrom, SIGNATURE } from './proxy-header.ts';

const header = (text: string | Buffer) => readProxyHeader(Buffer.isBuffer(text) ? text : Buffer.from(text, 'latin1'));
const V6 = Buffer.from('20010db8000000000000000000000007'.padEnd(72, '0'), 'hex');
/** 192.0.2.7 as a balancer names it that listens for IPv4 and IPv6 at once. */
const MAPPED = Buffer.from('00000000000000000000ffffc0000207'.padEnd(72, '0'), 'hex');

describe('a PROXY protocol header', () => {
  it.each([
    ['PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\n', '192.0.2.7'],
    ['PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n', '255.255.255.255'],
    ['PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n', '2001:db8::7'],
    [`PROXY TCP6 ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`, `${'ffff:'.repeat(7)}ffff`],
    ['PROXY TCP6 2001:0DB8:0:0::7 2001:db8::1 56324 443\r\n', '2001:db8::7'],
    ['PROXY TCP6 0:0:0:0:0:FFFF:C000:207 ::ffff:203.0.113.1 56324 443\r\n', '::ffff:192.0.2.7'],
    ['PROXY UNKNOWN\r\n', null],
    [`PROXY UNKNOWN ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`, null],
    [binaryFrom('192.0.2.7'), '192.0.2.7'],
    [binaryFrom('192.0.2.7', Buffer.from([0x04, 0x00, 0x02, 0x00, 0x00])), '192.0.2.7'],
    [binary(0x21, 0x21, V6), '2001:db8::7'],
    [binary(0x21, 0x21, MAPPED), '::ffff:192.0.2.7'],
    [binary(0x21, 0x00, Buffer.alloc(0)), null],
    [binary(0x21, 0x31, Buffer.alloc(216)), null],
    [binary(0x20, 0x00, Buffer.alloc(0)), null],
    [binary(0x20, 0x11, Buffer.from('what a balancer says of itself')), null],
    [binaryFrom('192.0.2.7', Buffer.alloc(4_084)), '192.0.2.7'],
  ])('%# names the client, whatever follows and however it comes', (written, source) => {
    const bytes = Buffer.isBuffer(written) ? written : Buffer.from(written, 'latin1');
    const whole = { kind: 'header', length: bytes.length, source };
    expect(header(bytes)).toEqual(whole);
    expect(header(Buffer.concat([bytes, Buffer.from('\x16\x03\x01\r\nPROXY ')]))).toEqual(whole);
    for (let length = 0; length < bytes.length; length++) {
      expect(header(bytes.subarray(0, length))).toEqual({ kind: 'more' });
    }
  });

  it.each([
    '\x16\x03\x01\x02\x00\x01',
    'GET / HTTP/1.1\r\n',
    'PROXY\r\n',
    'PROXY \r\n',
    'proxy TCP4 192.0.2.7 203.0.113.1 56324 443\r\n',
    'PROXY  TCP4 192.0.2.7 203.0.113.1 56324 443\r\n',
    'PROXY TCP4 192.0.2.7 203.0.113.1 56324 443 \r\n',
    'PROXY TCP4 192.0.2.7 203.0.113.1 56324\r\n',
    'PROXY TCP4 192.0.2.7 203.0.113.1 56324 443 80\r\n',
    'PROXY TCP4 192.0.2.7  56324 443\r\n',
    'PROXY TCP4 192.0.2.7 203.0.113.1 56324 65536\r\n',
    'PROXY TCP4 192.0.2.7 203.0.113.1 -1 443\r\n',
    'PROXY TCP4 192.0.2.7 203.0.113.1 056324 443\r\n',
    'PROXY TCP4 192.0.2.07 203.0.113.1 56324 443\r\n',
    'PROXY TCP4 192.0.2.256 203.0.113.1 56324 443\r\n',
    'PROXY TCP4 2001:db8::7 2001:db8::1 56324 443\r\n',
    'PROXY TCP4 192.0.2.7\n203.0.113.1 56324 443\r\n',
    'PROXY TCP4 192.0.2.7\0 203.0.113.1 56324 443\r\n',
    'PROXY TCP6 192.0.2.7 203.0.113.1 56324 443\r\n',
    'PROXY TCP6 fe80::1%eth0 2001:db8::1 56324 443\r\n',
    'PROXY TCP6 2001:db8:::7 2001:db8::1 56324 443\r\n',
    'PROXY UDP4 192.0.2.7 203.0.113.1 56324 443\r\n',
    `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`,
    `PROXY TCP4 ${' '.repeat(97)}`,
    binary(0x11, 0x11, Buffer.alloc(12)),
    binary(0x31, 0x11, Buffer.alloc(12)),
    binary(0x22, 0x11, Buffer.alloc(12)),
    binary(0x21, 0x12, Buffer.alloc(12)),
    binary(0x21, 0x22, Buffer.alloc(36)),
    binary(0x21, 0x10, Buffer.alloc(12)),
    binary(0x21, 0x41, Buffer.alloc(36)),
    binary(0x21, 0x11, Buffer.alloc(11)),
    binary(0x21, 0x21, Buffer.alloc(35)),
    binary(0x21, 0x11, Buffer.alloc(0), 4_097),
    Buffer.concat([SIGNATURE.subarray(0, 11), Buffer.from([0x0b])]),
  ])('%# is refused where it is none by the specification', (written) => {
    expect(header(written)).toMatchObject({
      kind: 'bad',
      problem: expect.stringMatching(/^(?:begins|has) /) as string,
    });
  });

  it('is never read past its end, and never changes by what follows', () => {
    const beginnings = [
      Buffer.from('PROXY TCP4 192.0.2.7 '),
      SIGNATURE,
      binaryFrom('192.0.2.7'),
      Buffer.from('PROXY '),
    ];
    fc.assert(
      fc.property(fc.constantFrom(...beginnings), fc.uint8Array({ maxLength: 200 }), (beginning, rest) => {
        const bytes = Buffer.concat([beginning, rest]);
        const read = header(bytes);
        if (read.kind !== 'header') return;
        expect(read.length).toBeLessThanOrEqual(bytes.length);
        expect(header(bytes.subarray(0, read.length))).toEqual(read);
        expect(header(bytes.subarray(0, read.length - 1))).toEqual({ kind: 'more' });
      }),
    );
  });
});
