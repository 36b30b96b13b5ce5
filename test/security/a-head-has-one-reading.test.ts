// A request head that two parsers could read in two ways is refused, and nothing behind it on that connection is read:
// line ends, folded lines, control characters, versions, forms of the target, Host, Connection, Upgrade, Expect (RFC 9112
// §2, §3, §5; RFC 9110 §5.5, §7.2, §7.6.1, §7.8, §10.1.1).

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openScene, post, type Scene, statusesOf } from './attack.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(async () => await scene.close());

const line = (text: string): string => `${text}\r\nHost: gate.test\r\n\r\n`;

describe('line ends', () => {
  test.each<[string, string]>([
    ['LF everywhere', 'GET /api/x HTTP/1.1\nHost: gate.test\n\n'],
    ['LF behind the request line', 'GET /api/x HTTP/1.1\nHost: gate.test\r\n\r\n'],
    ['LF behind a header line', 'GET /api/x HTTP/1.1\r\nHost: gate.test\nX-A: b\r\n\r\n'],
    ['LF as the empty line', 'GET /api/x HTTP/1.1\r\nHost: gate.test\r\n\n'],
    ['LF LF within the head', 'GET /api/x HTTP/1.1\r\nHost: gate.test\r\nX-A:\n\nGET /api/y HTTP/1.1\r\n\r\n'],
    ['CR within the request line', 'GET /api/x\rHTTP/1.1\r\nHost: gate.test\r\n\r\n'],
    ['LF within the request line', 'GET /api/x\nHTTP/1.1\r\nHost: gate.test\r\n\r\n'],
    ['CR within a header line', post('X-A: b\rX-B: c\r\n')],
    [
      'CR and another byte for the empty line',
      'GET /api/x HTTP/1.1\r\nHost: a\r\n\rZGET /api/evil: HTTP/1.1\r\nHost: a\r\n\r\n',
    ],
    ['CR CR LF', post('X-A: b\r\r\n')],
    ['LF CR', post('X-A: b\n\rX-B: c\r\n')],
    ['CR before the empty line', 'GET /api/x HTTP/1.1\r\nHost: gate.test\r\r\n\r\n'],
    ['an empty line in front', `\r\n${line('GET /api/x HTTP/1.1')}`],
    ['LF in front', `\n${line('GET /api/x HTTP/1.1')}`],
    ['CR in front', `\r${line('GET /api/x HTTP/1.1')}`],
  ])('%s', async (_what, text) => await scene.refused(text));

  test('CR alone ends nothing: the head is still to come, and upstream hears nothing', async () => {
    const client = await scene.gate.connect();
    client.send('GET /api/x HTTP/1.1\rHost: gate.test\r\r');
    client.socket.end();
    expect((await client.ended()).text).toBe('');
    expect(scene.upstream.take()).toEqual([]);
  });
});

describe('header lines', () => {
  test.each<[string, string]>([
    ['folded (obs-fold)', 'X-A: b\r\n c\r\n'],
    ['folded with a tab', 'X-A: b\r\n\tc\r\n'],
    ['folded before the value', 'X-A:\r\n b\r\n'],
    ['folded to nothing', 'X-A: b\r\n \r\n'],
    ['with a NUL in the value', 'X-A: b\0c\r\n'],
    ['with a NUL at the end', 'X-A: b\0\r\n'],
    ['with a NUL in the name', 'X\0A: b\r\n'],
    ['with a blank before the colon', 'X-A : b\r\n'],
    ['with a tab before the colon', 'X-A\t: b\r\n'],
    ['with a blank in the name', 'X A: b\r\n'],
    ['without a colon', 'X-A b\r\n'],
    ['without a name', ': b\r\n'],
    ['of a colon alone', ':\r\n'],
    ['with a name above ASCII', 'X-\xe9: b\r\n'],
    ['with NEL behind the name', 'X-A\x85: b\r\n'],
    ['with every delimiter in the name', '"(),/;<=>?@[\\]{}: b\r\n'],
    ['with an escape character', 'X-A: \x1b[2J\r\n'],
    ['with DEL', 'X-A: \x7f\r\n'],
    ['of which the first begins with a tab', '\tX-A: b\r\n'],
  ])('%s', async (_what, lines) => await scene.refused(post(lines)));

  test('101 of them', async () => await scene.refused(post('X-A: b\r\n'.repeat(100)), 431));
  test('32 KiB of them', async () => await scene.refused(post(`X-A: ${'b'.repeat(32_768)}\r\n`), 431));
  test('a name of 32 KiB', async () => await scene.refused(post(`${'x'.repeat(32_768)}: b\r\n`), 431));
  test('32 KiB without an end', async () => await scene.refused('G'.repeat(32_768), 431));

  test('100 of them, and a name of 20,000 characters, are read and passed on', async () => {
    await scene.passes(post('X-A: b\r\n'.repeat(99)), '/api/flows/filter');
    const [first] = await scene.passes(post(`${'x'.repeat(20_000)}: b\r\n`), '/api/flows/filter');
    expect(first?.head).toContain(`\r\n${'x'.repeat(20_000)}: b\r\n`);
  });

  test('obs-text arrives byte for byte', async () => {
    const value = Array.from({ length: 128 }, (_, i) => String.fromCharCode(128 + i)).join('');
    const [first] = await scene.passes(post(`X-A: ${value}\r\n`), '/api/flows/filter');
    expect(first?.head).toContain(`\r\nx-a: ${value}\r\n`);
  });

  test('in ten thousand TLS records of one byte each are one head', async () => {
    const client = await scene.gate.connect();
    client.socket.setNoDelay(true);
    for (const byte of post(`X-A: ${'b'.repeat(10_000)}\r\n`)) client.send(byte);
    await client.until('/api/flows/filter');
    expect(scene.upstream.take().map((one) => one.target)).toEqual(['/api/flows/filter']);
    client.socket.destroy();
  });
});

describe('request lines', () => {
  test.each<[number, string]>([
    [505, 'GET /api/x HTTP/1.0'],
    [505, 'GET /api/x HTTP/2.0'],
    [505, 'GET /api/x HTTP/0.9'],
    [505, 'GET /api/x HTTP/1.2'],
    [400, 'GET /api/x HTTP/2'],
    [400, 'GET /api/x HTTP/1.10'],
    [400, 'GET /api/x HTTP/01.1'],
    [400, 'GET /api/x HTTP/1.1.1'],
    [400, 'GET /api/x HTTP/4294967297.1'],
    [400, 'GET /api/x HTTP/\r\r1.1'],
    [400, 'GET /api/x http/1.1'],
    [400, 'GET /api/x ICE/1.0'],
    [400, 'GET /api/x'],
    [400, 'GET /api/x HTTP/1.1 HTTP/1.1'],
    [400, 'GET /api/x HTTP/1.1 '],
    [400, ' GET /api/x HTTP/1.1'],
    [400, 'GET  /api/x HTTP/1.1'],
    [400, 'GET\t/api/x HTTP/1.1'],
    [400, 'GET\x0b/api/x\x0bHTTP/1.1'],
    [400, 'GET http://gate.test/api/x HTTP/1.1'],
    [400, 'GET https://gate.test/api/x HTTP/1.1'],
    [400, 'GET http://other.test/api/x HTTP/1.1'],
    [400, 'GET HTTP://other.test HTTP/1.1'],
    [400, 'GET gate.test:443 HTTP/1.1'],
    [501, 'CONNECT gate.test:443 HTTP/1.1'],
    [501, 'CONNECT /api/x HTTP/1.1'],
    [400, 'OPTIONS * HTTP/1.1'],
    [400, 'GET * HTTP/1.1'],
    [501, 'TRACE /api/x HTTP/1.1'],
    [501, 'QUERY /api/x HTTP/1.1'],
    [400, 'get /api/x HTTP/1.1'],
    [400, 'G=":<>(e),[T];?" /api/x HTTP/1.1'],
    [400, '\0 / HTTP/1.1'],
    [400, 'GET api/x HTTP/1.1'],
    [400, 'GET ! HTTP/1.1'],
    [400, 'GET /api/x#y HTTP/1.1'],
    [400, 'GET /api/\xe9 HTTP/1.1'],
    [400, 'GET /api/x\0y HTTP/1.1'],
  ])('%i to %j', async (status, text) => await scene.refused(line(text), status));

  // Read, but not plain: policy refuses these, and the request behind them is the next request.
  test.each([
    '//other.test/api/x',
    '/api/\\x',
    '/api//x',
    '/api/./x',
    '/api/../x',
    '/api/%2e%2e/x',
    '/api%2fx',
    '/api%5cx',
    '/api/x%00',
    '/api/x%0d%0aX-A:%20b',
    '/api/x%c0%af',
    '/api/x%252e',
    '/api/x%',
  ])('400 to the target %j, in whose place upstream hears nothing', async (target) => {
    const client = await scene.gate.connect();
    client.send(line(`GET ${target} HTTP/1.1`) + line('GET /api/next HTTP/1.1'));
    const answers = await client.until('/api/next');
    expect({ target, statuses: statusesOf(answers) }).toEqual({ target, statuses: [400, 200] });
    expect(scene.upstream.take().map((one) => one.target)).toEqual(['/api/next']);
    client.socket.destroy();
  });

  test('of HTTP/0.9, with nothing behind it, upstream hears nothing', async () => {
    scene.upstream.take();
    const client = await scene.gate.connect();
    client.send('GET /api/x\r\n');
    client.socket.end();
    expect((await client.ended()).text).toBe('');
    expect(scene.upstream.take()).toEqual([]);
  });

  test('the preface of HTTP/2', async () =>
    await scene.refused('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 505));
});

describe('Host', () => {
  test.each([
    ...[
      '',
      'a b',
      'a,b',
      'a/b',
      '/',
      'a?b',
      'a#b',
      'a\\b',
      'http://a',
      'a:',
      'a:port',
      'a:99999',
      'a:65536',
      'a:0x50',
      'a:+80',
      'a:1:2',
      ':80',
    ],
    ...[
      'user@a',
      'user:password@a',
      '@a',
      '[::1',
      '::1',
      '[::1]x',
      '[::1%25eth0]',
      '[fe80::1%eth0]',
      '[v1.x]',
      'a%00',
      'gate%2etest',
      'a\x80',
      '*',
    ],
  ])('%j', async (host) => await scene.refused(`GET /api/x HTTP/1.1\r\nHost: ${host}\r\n\r\n`));

  test.each([
    'Host: a\r\nHost: b\r\n',
    'Host: a\r\nHost: a\r\n',
    'Host: a\r\nhost: b\r\n',
    'Host : a\r\n',
    ' Host: a\r\nHost: b\r\n',
    'Host: a\r\n Host: b\r\n',
    'X-A: b\r\n',
    'Host: a\r\nHost:\r\n',
  ])('lines %j', async (lines) => await scene.refused(`GET /api/x HTTP/1.1\r\n${lines}\r\n`));

  test.each(['gate.test', 'gate.test.', 'GATE.test:443', 'a_b', '127.0.0.1:65535', '[::1]', '[fe80::1]:8443'])(
    '%j is passed on as it came, once',
    async (host) => {
      const [first] = await scene.passes(`GET /api/x HTTP/1.1\r\nHost: ${host}\r\n\r\n`, '/api/x');
      expect(first?.head.split('\r\n').filter((one) => /^host:/i.test(one))).toEqual([`host: ${host}`]);
    },
  );

  test('in an underscore or another header changes nothing', async () => {
    const [first] = await scene.passes(
      post('X-Host: evil\r\nX_Forwarded_Host: evil\r\nForwarded: host=evil\r\n'),
      '/api/flows/filter',
    );
    expect(first?.head).not.toMatch(/^(?:forwarded|x_forwarded_host)/im);
    expect(first?.head).toContain('x-forwarded-host: gate.test');
  });
});

describe('Connection', () => {
  test.each([
    ...['close, host', 'Host', 'content-length', 'Transfer-Encoding', 'transfer_encoding', 'Authorization', 'cookie'],
    ...[
      'Expect',
      'Origin',
      'Content-Type',
      'Content-Encoding',
      'Sec-WebSocket-Key',
      'close;q=1',
      'a b',
      '"close"',
      'close\xa0',
    ],
  ])('%j', async (value) => await scene.refused(post(`Connection: ${value}\r\n`)));

  test('never takes away what the gate itself says', async () => {
    const own = ['X-Certgate-Identity', 'X-Forwarded-For', 'X-Forwarded-Client-Cert', 'Client-Cert', 'X-Request-Id'];
    const [first] = await scene.passes(post(`Connection: ${own.join(', ')}\r\n`), '/api/flows/filter');
    for (const name of own) expect(first?.head.toLowerCase()).toContain(`\r\n${name.toLowerCase()}: `);
    expect(first?.head).toContain('x-certgate-identity: worker/etl-1');
  });

  test('takes away what it names, and itself', async () => {
    const [first] = await scene.passes(
      post('Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n'),
      '/api/flows/filter',
    );
    expect(first?.head).not.toMatch(/^(?:connection|x-hop|keep-alive|te):/im);
  });
});

describe('Upgrade and Expect', () => {
  test.each([
    'x 100-continue',
    'y 100-continue',
    '100-continue, x',
    '100-continue;a',
    '',
    '200-ok',
    '100-continue\x0b',
  ])(
    'an expectation of %j',
    async (value) =>
      await scene.refused(
        post(`Expect: ${value}\r\nContent-Length: 5\r\n`, 'hello'),
        value.includes('\x0b') ? 400 : 417,
      ),
  );
  test('two expectations', async () => {
    await scene.refused(post('Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n', 'hello'), 417);
  });
  test.each(['\r\n 100-continue', '\n100-continue'])('a folded expectation of %j', async (value) => {
    await scene.refused(post(`Expect:${value}\r\nContent-Length: 5\r\n`, 'hello'));
  });
  test.each(['h2c', 'H2C', 'websocket, h2c', 'TLS/1.0', 'http/1.1', 'websocket/13'])(
    'an upgrade to %j is no upgrade: the request goes on without, and what follows is the next request',
    async (protocol) => {
      const lines = `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`;
      const heard = await scene.passes(post(lines) + post(''), '/api/flows/filter', '/api/flows/filter');
      for (const one of heard) expect(one.head).not.toMatch(/^(?:connection|upgrade|http2-settings):/im);
    },
  );
  test('an upgrade that Connection does not name is none either', async () => {
    const [first] = await scene.passes(post('Upgrade: websocket\r\n'), '/api/flows/filter');
    expect(first?.head).not.toMatch(/^upgrade:/im);
  });
  test('two upgrades', async () => {
    await scene.refused(post('Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n'));
  });
});
