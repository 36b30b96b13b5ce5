// What Host, Connection, Upgrade and Expect mean in a request, and which of their values are refused (RFC 9110 §7.2,
// §7.6.1, §7.8, §10.1.1).

import { describe, expect, test } from 'vitest';
import { accepted, outcomeOf, readRequest, requestWith } from './read.ts';

function refused(text: string, status = 400): void {
  expect({ text, outcome: outcomeOf(readRequest(text)) }).toEqual({ text, outcome: status });
}

describe('the Host is refused', () => {
  const hosts = (lines: string): string => `GET / HTTP/1.1\r\n${lines}\r\n`;

  test('when it is missing', () => refused(hosts('X-One: a\r\n')));
  test('when there are two', () => refused(hosts('Host: a\r\nHost: b\r\n')));
  test('when there are two that agree', () => refused(hosts('Host: a\r\nHOST: a\r\n')));
  test.each([
    '',
    'a b',
    'a, b',
    'a/b',
    'a?b',
    'a#b',
    'user@a',
    'a:',
    'a:port',
    'a:123456',
    'a:65536',
    'a:99999',
    'gate%2etest',
    '[fe80::1%25eth0]',
    'a:1:2',
    '[::1',
    '::1',
    '[::1]x',
    '[g::1]',
    'a\\b',
    'a"b',
    'a<b',
    'a\xe9',
    'http://a',
  ])('when it is %j', (host) => refused(hosts(`Host: ${host}\r\n`)));
});

describe('Connection', () => {
  test.each([
    'close, host',
    'Host',
    'Content-Length',
    'close, content-length',
    'Transfer-Encoding',
    'transfer_encoding',
    'content_length',
    'Expect',
    'Authorization',
    'Cookie',
    'Origin',
    'Content-Type',
    'Content-Encoding',
    'Sec-WebSocket-Key',
    'Sec-WebSocket-Version',
    'Sec-WebSocket-Extensions',
    'Upgrade, Sec-WebSocket-Protocol',
  ])('may not name %s, which frames, routes or authorises', (value) =>
    refused(requestWith(`Connection: ${value}\r\n`)),
  );

  test('may not name such a header in a second line either', () => {
    refused(requestWith('Connection: close\r\nConnection: host\r\n'));
  });

  test.each(['a b', 'a;b', '"close"', 'close/1', 'clo\xe9'])('must be a list of tokens, not %j', (value) => {
    refused(requestWith(`Connection: ${value}\r\n`));
  });

  // Known fault, reported: String.trim() takes NBSP for a blank. Once it is mended this line fails: make it a plain test.
  test('members are told apart by commas and blanks of ASCII alone (RFC 9110 §5.6.1, §5.6.3)', () => {
    refused(requestWith('Connection: close\xa0\r\n'));
  });

  test.each([
    ['close', true],
    ['Close', true],
    ['keep-alive', false],
    ['Keep-Alive', false],
    ['keep-alive, close', true],
    [' , close ,', true],
  ])('%j says whether the client will close', (value, close) => {
    expect(accepted(requestWith(`Connection: ${value}\r\n`)).close).toBe(close);
  });

  test('names the headers that are of this hop alone', () => {
    const head = accepted(requestWith('Connection: close, X-Hop\r\nConnection: TE, keep-alive\r\nX-Hop: 1\r\n'));
    expect(head.connectionNames).toEqual(['x-hop', 'te']);
    expect(accepted(requestWith('Connection: , close,\r\n')).connectionNames).toBe(null);
    expect(head.close).toBe(true);
  });
});

describe('Upgrade and Expect', () => {
  test('an upgrade counts only when Connection names it', () => {
    expect(accepted(requestWith('Connection: Upgrade\r\nUpgrade: WebSocket\r\n', 'GET')).upgrade).toBe('websocket');
    expect(accepted(requestWith('Upgrade: websocket\r\n', 'GET')).upgrade).toBe(null);
    expect(accepted(requestWith('Connection: upgrade\r\n', 'GET')).upgrade).toBe(null);
  });

  test('h2c is seen as what it is, never as a WebSocket', () => {
    const lines = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n';
    expect(accepted(requestWith(lines, 'GET')).upgrade).toBe('h2c');
    expect(accepted(requestWith(lines.replace('h2c', 'websocket, h2c'), 'GET')).upgrade).toBe('websocket, h2c');
  });

  test('two Upgrade headers are refused', () => {
    refused(requestWith('Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n', 'GET'));
  });

  test('two expectations are refused with 417', () => {
    refused(requestWith('Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n'), 417);
  });

  test('100-continue is the one expectation; any other is refused with 417', () => {
    expect(accepted(requestWith('Expect: 100-Continue\r\nContent-Length: 1\r\n')).expectsContinue).toBe(true);
    for (const value of ['', '200-ok', '100-continue, x', '100-continue;q=1', 'x'])
      refused(requestWith(`Expect: ${value}\r\n`), 417);
  });
});
