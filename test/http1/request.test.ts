// Which request heads are accepted and which refused (RFC 9112 §2-§7, RFC 9110 §5). Each line of the table of request
// smuggling is a test: what two parsers could read in two ways never gets past the gate.

import { describe, expect, test } from 'vitest';
import { CHUNKED } from '../../src/http1/syntax.ts';
import { accepted, outcomeOf, readRequest, requestWith } from './read.ts';

function refused(text: string, status = 400): void {
  expect({ text, outcome: outcomeOf(readRequest(text)) }).toEqual({ text, outcome: status });
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

describe('a well-formed request', () => {
  test('is read with method, target, host and headers as sent, names in lower case', () => {
    const text = 'GET /api/flows/?limit=5&a="b" HTTP/1.1\r\nHost: gate.test:8443\r\nX-One:  a b\t \r\nX-Empty:\r\n\r\n';
    expect(accepted(text)).toEqual({
      ok: true,
      line: 'GET /api/flows/?limit=5&a="b" HTTP/1.1',
      method: 'GET',
      target: '/api/flows/?limit=5&a="b"',
      host: 'gate.test:8443',
      names: ['host', 'x-one', 'x-empty'],
      values: ['gate.test:8443', 'a b', ''],
      bodyLength: 0,
      close: false,
      upgrade: null,
      expectsContinue: false,
      connectionNames: null,
      size: text.length,
    });
  });

  test('keeps repeated headers and bytes above 127 exactly', () => {
    const head = accepted(requestWith('Accept: a\r\nAccept: b\r\nX-Name: \xc3\xa9\xff\x80\r\n', 'GET'));
    expect(head.names).toEqual(['host', 'accept', 'accept', 'x-name']);
    expect(head.values.slice(1)).toEqual(['a', 'b', '\xc3\xa9\xff\x80']);
  });

  test('ends where its empty line ends, so that a pipelined request starts right behind its body', () => {
    const first = requestWith('Content-Length: 3\r\n');
    expect(accepted(`${first}abcGET /api/next HTTP/1.1\r\nHost: a\r\n\r\n`).size).toBe(first.length);
  });

  test.each(METHODS)('of method %s has the body that its Content-Length says (CL.0, 0.CL)', (method) => {
    expect(accepted(requestWith('Content-Length: 12\r\n', method)).bodyLength).toBe(12);
    expect(accepted(requestWith('Content-Length: 0\r\n', method)).bodyLength).toBe(0);
    expect(accepted(requestWith('Transfer-Encoding: chunked\r\n', method)).bodyLength).toBe(CHUNKED);
    expect(accepted(requestWith('', method)).bodyLength).toBe(0);
  });

  test('may name any length up to 2^53-1', () => {
    expect(accepted(requestWith('Content-Length: 9007199254740991\r\n')).bodyLength).toBe(Number.MAX_SAFE_INTEGER);
  });

  test.each(['gate', 'gate.test', 'gate.test:1', '127.0.0.1:8443', '[::1]', '[::1]:8443'])(
    'may have the Host %s',
    (host) => {
      expect(accepted(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).host).toBe(host);
    },
  );
});

describe('a request line is refused', () => {
  const line = (text: string): string => `${text}\r\nHost: gate.test\r\n\r\n`;

  test.each(['HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.2', 'HTTP/3.0'])('with 505 for %s', (version) => {
    refused(line(`GET / ${version}`), 505);
  });

  test.each([
    ['of HTTP/0.9, without a version', 'GET /'],
    ['with a version in lower case', 'GET / http/1.1'],
    ['with another version spelling', 'GET / HTTP/1.10'],
    ['with a version sign', 'GET / HTTP/+1.1'],
    ['with words behind the version', 'GET / HTTP/1.1 x'],
    ['with a blank behind the version', 'GET / HTTP/1.1 '],
    ['with two blanks before the target', 'GET  / HTTP/1.1'],
    ['with two blanks before the version', 'GET /  HTTP/1.1'],
    ['with tabs for blanks', 'GET\t/\tHTTP/1.1'],
    ['with a blank before the method', ' GET / HTTP/1.1'],
    ['without a target', 'GET HTTP/1.1'],
    ['that is one word', 'GET'],
    ['that is empty, as before RFC 9112 §2.2', '\r\nGET / HTTP/1.1'],
    ['with a method in lower case', 'get / HTTP/1.1'],
    ['with a method in mixed case', 'Get / HTTP/1.1'],
    ['with a method of odd characters', 'G{T / HTTP/1.1'],
    ['with a method that is a header', 'GET:x / HTTP/1.1'],
    ['with a method that is too long', `${'A'.repeat(33)} / HTTP/1.1`],
    ['in absolute form', 'GET http://other.test/api HTTP/1.1'],
    ['in absolute form with capitals', 'GET HTTPS://other.test/api HTTP/1.1'],
    ['in authority form', 'GET other.test:443 HTTP/1.1'],
    ['in asterisk form', 'OPTIONS * HTTP/1.1'],
    ['with a relative target', 'GET api HTTP/1.1'],
    ['with a fragment', 'GET /api#x HTTP/1.1'],
    ['with a tab in the target', 'GET /a\tb HTTP/1.1'],
    ['with a NUL in the target', 'GET /a\0b HTTP/1.1'],
    ['with DEL in the target', 'GET /a\x7fb HTTP/1.1'],
    ['with bytes above 127 in the target', 'GET /\xc3\xa9 HTTP/1.1'],
    ['with a bare CR in the target', 'GET /a\rb HTTP/1.1'],
  ])('%s', (_what, text) => refused(line(text)));

  test.each(['CONNECT gate.test:443', 'CONNECT /', 'TRACE /'])('with 501 for %s', (text) => {
    refused(line(`${text} HTTP/1.1`), 501);
  });

  test('with 505 for the preface of HTTP/2', () => refused('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505));
  test('that ends with a bare line feed', () => refused('GET / HTTP/1.1\nHost: gate.test\r\n\r\n'));
  test('that ends with a bare carriage return', () => refused('GET / HTTP/1.1\rHost: gate.test\r\n\r\n'));
});

describe('two readings of where a body ends are refused', () => {
  test.each([
    ['CL.TE', 'Content-Length: 6\r\nTransfer-Encoding: chunked\r\n'],
    ['TE.CL', 'Transfer-Encoding: chunked\r\nContent-Length: 4\r\n'],
    ['TE with a length of 0', 'Content-Length: 0\r\nTransfer-Encoding: chunked\r\n'],
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n'],
    ['two lengths that agree', 'Content-Length: 5\r\nContent-Length: 5\r\n'],
    ['two lengths of 0', 'Content-Length: 0\r\nContent-Length: 0\r\n'],
    ['two lengths in one line', 'Content-Length: 5, 6\r\n'],
    ['two equal lengths in one line', 'Content-Length: 5, 5\r\n'],
    ['two lengths in different case', 'Content-Length: 5\r\ncontent-length: 0\r\n'],
    ['two transfer codings', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'],
    ['two transfer codings, one unknown', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n'],
    ['two transfer codings, the other order', 'Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n'],
    ['underscore for hyphen in the length', 'Content_Length: 5\r\n'],
    ['underscore for hyphen in the coding', 'Transfer_Encoding: chunked\r\n'],
    ['underscore beside the real length', 'Content-Length: 5\r\nContent_Length: 6\r\n'],
    ['underscore beside the real coding', 'Content-Length: 5\r\nTRANSFER_ENCODING: chunked\r\n'],
  ])('%s', (_what, lines) => refused(requestWith(lines)));

  test.each([
    '-1',
    '+5',
    '-0',
    '0x5',
    '0X10',
    '5.0',
    '5e1',
    '05',
    '00',
    '5 5',
    '5,',
    ',5',
    '"5"',
    "'5'",
    '5;',
    '',
    '٥',
    '5\x00',
    '1_0',
    '5\xa0',
    '\xb2',
    'five',
    '9007199254740992',
    '9999999999999999',
    '18446744073709551615',
    '18446744073709551621',
    '4294967296000000000',
    '1'.repeat(400),
  ])('a length of %j', (length) => refused(requestWith(`Content-Length: ${length}\r\n`)));

  test.each([
    'Chunked',
    'CHUNKED',
    'chunked, chunked',
    'chunked,',
    ',chunked',
    'gzip, chunked',
    'chunked, identity',
    'identity',
    'identity, chunked',
    'gzip',
    'xchunked',
    'chunkedx',
    'x chunked',
    '"chunked"',
    "'chunked'",
    'chunked;q=1',
    'chunked; x',
    'chunk',
    '',
    'cow',
    'chunked\x0b',
    '\x0bchunked',
    '\x0cchunked',
    'chunked\xa0',
    '\xa0chunked',
    'chunked\x00',
    'chunKed',
    'chunked\r\n ',
    '\r\n chunked',
    'chunked\n',
    'chunked\r',
  ])('a transfer coding of %j (TE.TE)', (coding) => refused(requestWith(`Transfer-Encoding: ${coding}\r\n`)));

  test.each([
    'Transfer-Encoding : chunked',
    'Transfer-Encoding\t: chunked',
    ' Transfer-Encoding: chunked',
    '\tTransfer-Encoding: chunked',
    'Transfer-Encoding\x00: chunked',
    'Transfer-Encoding\x0b: chunked',
    'Transfer-Encoding\xa0: chunked',
    '\x00Transfer-Encoding: chunked',
    'Transfer Encoding: chunked',
    'Transfer-Encoding chunked',
    'X: y\rTransfer-Encoding: chunked',
    'X: y\nTransfer-Encoding: chunked',
    'X: y\r\r\nTransfer-Encoding: chunked',
    'X: y\n\rTransfer-Encoding: chunked',
    'X: y\r\n Transfer-Encoding: chunked',
    'Content-Length : 5',
    'Content-Length\x00: 5',
    'Content-Length\x0b: 5',
    'Content Length: 5',
    ' Content-Length: 5',
    'X: y\nContent-Length: 5',
    '\xefContent-Length: 5',
    '(Content-Length): 5',
    'Content-Length,: 5',
  ])('a header line %j', (line) => refused(requestWith(`${line}\r\n`)));
});

describe('header lines are refused', () => {
  test.each([
    ['that are folded', 'X-One: a\r\n b\r\n'],
    ['that are folded with a tab', 'X-One: a\r\n\tb\r\n'],
    ['that are folded before the first', ' X-One: a\r\n'],
    ['that have no colon', 'X-One\r\n'],
    ['that have no name', ': a\r\n'],
    ['that have a blank before the colon', 'X-One : a\r\n'],
    ['that have a NUL in the value', 'X-One: a\0b\r\n'],
    ['that have a NUL in the name', 'X\0One: a\r\n'],
    ['that have a bare CR in the value', 'X-One: a\rb\r\n'],
    ['that have a bare LF in the value', 'X-One: a\nb\r\n'],
    ['that end in CR CR LF', 'X-One: a\r\r\n'],
    ['that end in LF', 'X-One: a\n'],
    ['that have an escape character', 'X-One: \x1b[2J\r\n'],
    ['that have DEL', 'X-One: \x7f\r\n'],
    ['whose name is not ASCII', 'X-\xe9: a\r\n'],
    ['whose name has a slash', 'X/One: a\r\n'],
  ])('%s', (_what, lines) => refused(requestWith(lines)));

  test('after a blank line of a single LF, where a lenient parser would end the head', () => {
    refused('GET / HTTP/1.1\r\nHost: gate.test\r\n\nGET /x HTTP/1.1\r\n\r\n');
    refused('GET / HTTP/1.1\r\nHost: gate.test\n\nGET /x HTTP/1.1\r\n\r\n');
  });

  test('when a bare CR stands right before the empty line', () => {
    refused('GET / HTTP/1.1\r\nHost: gate.test\r\r\n\r\n');
  });

  test.each(Array.from({ length: 0x20 }, (_, code) => code).filter((code) => ![0x09, 0x0a, 0x0d].includes(code)))(
    'with the control character %i anywhere',
    (code) => {
      const character = String.fromCharCode(code);
      refused(requestWith(`X-One: a${character}b\r\n`));
      refused(requestWith(`X${character}One: a\r\n`));
      refused(requestWith(`${character}X-One: a\r\n`));
    },
  );
});
