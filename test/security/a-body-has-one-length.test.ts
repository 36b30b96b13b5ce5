// Two ways to tell where a request's body ends are refused before a byte reaches upstream, in every spelling that the
// published collections of request smuggling know (RFC 9112 §6.1-§6.3, RFC 9110 §8.6). One way is believed.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openScene, post, type Scene, SMUGGLED } from './attack.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(async () => await scene.close());

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

describe('a length and a transfer coding', () => {
  test.each<[string, string]>([
    ['CL.TE', post('Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\nG')],
    [
      'TE.CL',
      post('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', '5c\r\nGPOST /api/x HTTP/1.1\r\n\r\n0\r\n\r\n'),
    ],
    ['CL.0 with a coding', post('Content-Length: 0\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
    ['TE.0', post('Transfer-Encoding: chunked\r\nContent-Length: 0\r\n', '0\r\n\r\n')],
    [
      'a length before the Host',
      `POST / HTTP/1.1\r\nContent-Length: 5\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'a length and a coding that is not known',
      post('Content-Length: 5\r\nTransfer-Encoding: identity\r\n', '0\r\n\r\n'),
    ],
    ['a length and an empty coding', post('Content-Length: 5\r\nTransfer-Encoding:\r\n', '0\r\n\r\n')],
    [
      'a length and a coding with a comma before it',
      post('Transfer-Encoding: ,chunked\r\nContent-Length: 5\r\n', '0\r\n\r\n'),
    ],
    [
      'a coding that Connection takes away',
      post('Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n', '0\r\n\r\n'),
    ],
    [
      'a length that Connection takes away',
      post('Connection: close, content-length\r\nContent-Length: 5\r\n', 'hello'),
    ],
    [
      'a coding that Connection takes away, alone',
      post('Connection: transfer-encoding, upgrade\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
    ],
    [
      'a length in HTTP/1.1 behind one in the query',
      post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n', '0\r\n\r\n'),
    ],
  ])('%s', async (_what, text) => await scene.refused(text));

  test.each(METHODS)('of a %s', async (method) => {
    await scene.refused(
      `${method} /api/flows/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    );
  });
});

describe('a transfer coding in another spelling (TE.TE)', () => {
  const CONTROLS = ['\0', '\x01', '\x08', '\x0b', '\x0c', '\x1f', '\x7f', '\x85', '\xa0', '\xad', '\xff'];
  const lines = [
    ...['Chunked', 'CHUNKED', 'chunKed', 'xchunked', 'chunkedx', 'x chunked', 'chunk', 'chun\x96ked', 'identity'],
    ...['"chunked"', "'chunked'", '`chunked`', 'chunked;', 'chunked;q=1', 'chunked; ext=val', 'chunked,', ',chunked'],
    ...['chunked, chunked', 'chunked, identity', 'identity, chunked', 'gzip, chunked', 'chunked gzip', 'gzip', ''],
    ...['identity, chunked, identity', '=?iso-8859-1?B?Y2h1bmtlZA==?=', '=?UTF-8?B?Y2h1bmtlZA==?=', '%63hunked'],
    ...['\n chunked', '\r\n chunked', '\r\n\tchunked', '\r\n \r\n chunked', '\n\x0bchunked', 'chunked\r', '\rchunked'],
    ...CONTROLS.flatMap((c) => [`${c}chunked`, `chunked${c}`, `chu${c}nked`]),
  ].map((value) => `Transfer-Encoding: ${value}`);
  const names = [
    ...[
      'Transfer-Encoding :',
      'Transfer-Encoding\t:',
      'Transfer-Encoding \t :',
      ' Transfer-Encoding:',
      '\tTransfer-Encoding:',
    ],
    ...['Transfer Encoding:', 'Transfer_Encoding:', 'TRANSFER_ENCODING:', 'Transfer\\Encoding:'],
    ...[
      'Transfer-Encoding x:',
      'Transfer-\r\nEncoding:',
      'Tra\rnsfer-Encoding:',
      '\rTransfer-Encoding:',
      '"Transfer-Encoding":',
    ],
    ...['Foo: bar\r\n Transfer-Encoding:', 'Foo: bar\r\n\tTransfer-Encoding:', 'Foo: bar\rTransfer-Encoding:'],
    ...[
      'Foo: bar\nTransfer-Encoding:',
      'Foo: bar\r\n\rTransfer-Encoding:',
      'Foo: bar\n\nTransfer-Encoding:',
      ':Transfer-Encoding:',
    ],
    ...[
      'Transf\x82r-Encoding:',
      'Transfer-Encoding\n :',
      'Transfer\xadEncoding:',
      ': x\r\nTransfer-Encoding:',
      '\xefTransfer-Encoding:',
    ],
    ...CONTROLS.flatMap((c) => [`Transfer-Encoding${c}:`, `${c}Transfer-Encoding:`]),
  ].map((name) => `${name} chunked`);
  const doubled = [
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer-encoding: identity',
    'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: cow',
    'Transfer-Encoding:\r\nTransfer-Encoding: chunked',
    'Transfer-Encoding: chunked\r\nTransfer_Encoding: chunked',
  ];
  test.each([...lines, ...names, ...doubled])('%j', async (line) => {
    await scene.refused(post(`${line}\r\n`, '0\r\n\r\n'));
    await scene.refused(post(`Content-Length: 5\r\n${line}\r\n`, '0\r\n\r\n'));
  });

  test.each(['Content-Encoding: chunked', 'X-Transfer-Encoding: chunked', 'Transfer-%45ncoding: chunked'])(
    'but %j frames nothing, neither here nor upstream',
    async (line) => {
      const [first] = await scene.passes(post(`Content-Length: 5\r\n${line}\r\n`, '0\r\n\r\n'), '/api/flows/filter');
      expect(first?.body).toBe('0\r\n\r\n');
    },
  );
});

describe('a length in another spelling', () => {
  const values = [
    ...[
      '+5',
      '-5',
      '-0',
      '05',
      '00',
      '00000000005',
      '0x5',
      '0X5',
      '5.0',
      '5e0',
      '5h',
      '5 ,',
      '5,',
      ',5',
      '5, 5',
      '5,5',
      '5;',
      '"5"',
    ],
    ...[
      '0, 5',
      '0 5',
      '5 0',
      '5\t5',
      '1_0',
      '',
      ' ',
      ',',
      'five',
      '\xb2',
      '5\0',
      '\x0b5',
      '5\x0b',
      '\xa05',
      '5\x85',
      '5\r',
      '٥',
    ],
    ...[
      '9007199254740992',
      '4294967301000000000',
      '18446744073709551621',
      '-18446744073709551611',
      '9'.repeat(309),
      '1'.repeat(5_000),
    ],
  ];
  test.each(values.map((value) => [value.length > 40 ? `${value.slice(0, 20)}…` : value, value]))(
    '%j',
    async (_short, value) => {
      await scene.refused(post(`Content-Length: ${value}\r\n`, 'hello'));
    },
  );

  test.each([
    'Content-Length : 5',
    'Content-Length\t: 5',
    ' Content-Length: 5',
    '\tContent-Length: 5',
    'Content_Length: 5',
    'Content Length: 5',
    'Content-Length 5',
    'Content-Length\0: 5',
    'Content-Length\x85: 5',
    'Content-Length\xa0: 5',
    'Content\\Length: 5',
    'Content-Length,: 5',
    'Foo: bar\nContent-Length: 5',
    'Foo: bar\rContent-Length: 5',
    'Foo: bar\r\n Content-Length: 5',
    'X-Invalid Y: \r\nContent-Length: 5',
    'Content-Length:\r\n 5',
    'Content-Length: 5\r\nContent-Length: 5',
    'Content-Length: 0\r\nContent-Length: 5',
    'Content-Length: 5\r\ncontent-length: 0',
    'Content-Length:\r\nContent-Length: 5',
    'Content-Length: 5\r\nContent_Length: 0',
    'Content-Length: 5\r\nContent-Length : 0',
  ])('%j', async (line) => await scene.refused(post(`${line}\r\n`, 'hello')));
});

describe('one length is believed, whatever the method (CL.0, 0.CL)', () => {
  test.each(METHODS)('%s: a request in the body is the body', async (method) => {
    const text = `${method} /api/first HTTP/1.1\r\nHost: gate.test\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`;
    const [first] = await scene.passes(text, '/api/first');
    expect(first?.body).toBe(SMUGGLED);
  });

  test.each(METHODS)('%s: a request in a chunk is the chunk (http-proxy issues 1720, 1721)', async (method) => {
    const size = SMUGGLED.length.toString(16);
    const text = `${method} /api/first HTTP/1.1\r\nHost: gate.test\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const [first] = await scene.passes(`${text}${size}\r\n${SMUGGLED}\r\n0\r\n\r\n`, '/api/first');
    expect(first?.head.toLowerCase()).toContain('transfer-encoding: chunked');
    expect(first?.head.toLowerCase()).not.toContain('content-length');
    expect(first?.body).toBe(`${size}\r\n${SMUGGLED}\r\n0\r\n\r\n`);
  });

  test.each(METHODS)('%s: no length is no body, and what follows is the next request', async (method) => {
    const head = (target: string): string => `${method} ${target} HTTP/1.1\r\nHost: gate.test\r\n\r\n`;
    await scene.passes(head('/api/first') + head('/api/second'), '/api/first', '/api/second');
  });

  test.each(METHODS)('%s: a length of 0 is no body, and what follows is the next request', async (method) => {
    const head = (target: string): string =>
      `${method} ${target} HTTP/1.1\r\nHost: gate.test\r\nContent-Length: 0\r\n\r\n`;
    await scene.passes(head('/api/first') + head('/api/second'), '/api/first', '/api/second');
  });

  test('paths that servers answer without reading the body (0.CL on Windows: /con, /nul) are no exception', async () => {
    for (const target of ['/con', '/nul', '/api/aux', '/assets', '/', '/static/app.js']) {
      const text = `GET ${target} HTTP/1.1\r\nHost: gate.test\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`;
      const [first] = await scene.passes(text, target);
      expect(first?.body).toBe(SMUGGLED);
    }
  });
});
