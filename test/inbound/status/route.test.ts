import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asHttp11 } from '../../../src/inbound/status/http10.ts';
import { askedFor } from '../../../src/inbound/status/route.ts';

const KEY = '47b36fab43e71cd762a54ef27f94a6d445c06a44';
const NOTHING = { what: 'nothing', status: 404 };

describe('the status listener', () => {
  test.each([
    ['GET', `/crl/${KEY}.crl`, { what: 'crl', keyId: KEY }],
    ['HEAD', `/crl/${KEY}.crl`, { what: 'crl', keyId: KEY }],
    ['GET', '/crl.crl', { what: 'crl', keyId: null }],
    ['GET', `/issuer/${KEY}.crt`, { what: 'issuer', keyId: KEY }],
    ['POST', '/ocsp', { what: 'ocsp', octets: null }],
    ['POST', '/ocsp/', { what: 'ocsp', octets: null }],
    ['GET', '/ocsp/MAA=', { what: 'ocsp', octets: Buffer.from('3000', 'hex') }],
    ['GET', '/ocsp/MAA%3D', { what: 'ocsp', octets: Buffer.from('3000', 'hex') }],
    ['GET', '/ocsp/+/+/', { what: 'ocsp', octets: Buffer.from('fbffbf', 'hex') }],
    ['GET', '/ocsp/%2B%2F%2b%2f', { what: 'ocsp', octets: Buffer.from('fbffbf', 'hex') }],
  ])('has an answer to %s %s', (method, target, asked) => {
    expect(askedFor(method, target)).toEqual(asked);
  });

  test.each([
    '/',
    '/crl',
    '/crl/',
    '/crl/..%2f.crl',
    `/crl/${KEY}.crl?x`,
    `/crl/${KEY}.crl/`,
    `/crl/${KEY.toUpperCase()}.crl`,
    `//crl/${KEY}.crl`,
    `/issuer/${KEY}.crl`,
    '/issuer/../certs/issuer.key',
    '/ocspx',
    '/api/health',
    '/metrics',
  ])('has nothing at %s', (target) => {
    for (const method of ['GET', 'HEAD', 'POST', 'DELETE']) expect(askedFor(method, target)).toEqual(NOTHING);
  });

  test('has no other methods', () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      for (const target of ['/crl.crl', `/crl/${KEY}.crl`, `/issuer/${KEY}.crt`, '/ocsp/MAA=']) {
        expect(askedFor(method, target)).toEqual({ what: 'method', allow: 'GET, HEAD' });
      }
    }
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
      expect(askedFor(method, '/ocsp')).toEqual({ what: 'method', allow: 'POST' });
    }
  });

  test('takes base64 in its one form only', () => {
    const bad = ['M', 'MAA', 'MAB=', 'MAA==', 'MA A=', '%4dAA=', '%', '%zz', 'MAA%253D', '_-_-', '=', 'MAA=/MAA='];
    for (const text of bad) expect(askedFor('GET', `/ocsp/${text}`)).toEqual({ what: 'nothing', status: 400 });
  });

  test('reads back any octets, with or without percent-encoding', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), (octets) => {
        const base64 = Buffer.from(octets).toString('base64');
        const asked = { what: 'ocsp', octets: Buffer.from(octets) };
        expect(askedFor('GET', `/ocsp/${base64}`)).toEqual(asked);
        expect(askedFor('GET', `/ocsp/${encodeURIComponent(base64)}`)).toEqual(asked);
      }),
    );
  });
});

describe('a request in HTTP/1.0', () => {
  const modern = (text: string) => asHttp11(Buffer.from(text, 'latin1'))?.toString('latin1') ?? null;

  test('becomes one in HTTP/1.1, with a Host where it had none', () => {
    expect(modern('GET /a HTTP/1.0\r\n\r\n')).toBe('GET /a HTTP/1.1\r\nhost: none\r\n\r\n');
    expect(modern('GET /a HTTP/1.0\r\nHost: b\r\n\r\nrest')).toBe('GET /a HTTP/1.1\r\nHost: b\r\n\r\nrest');
    expect(modern('POST /a HTTP/1.0\r\nX: host: c\r\nHOST : b\r\n\r\n')).toBe(
      'POST /a HTTP/1.1\r\nX: host: c\r\nHOST : b\r\n\r\n',
    );
  });

  test('is left alone while it is not whole, and so is every other', () => {
    for (const text of [
      '',
      'GET /a HTTP/1.0',
      'GET /a HTTP/1.0\r\n',
      'GET /a HTTP/1.1\r\n\r\n',
      ' \r\n\r\n',
      '\r\n\r\n',
    ]) {
      expect(modern(text)).toBeNull();
    }
    expect(modern('GET /a HTTP/1.1\r\nx: HTTP/1.0\r\n\r\n')).toBeNull();
  });
});
