// Published holes of other proxies, servers and parsers, each as the gate meets it. Where the advisory's bytes have two
// readings they are refused; where they have one, that one reaches upstream.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openScene, post, type Scene, SMUGGLED } from './attack.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(async () => await scene.close());

const chunked = (wire: string): string => post('Transfer-Encoding: chunked\r\n', wire);
const hidden = `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`;

describe('refused', () => {
  test.each<[advisory: string, text: string, status?: number]>([
    [
      'CVE-2019-15605 (Node): a transfer coding that is nearly chunked',
      post('Transfer-Encoding: chunked\x0b\r\nContent-Length: 5\r\n', 'hello'),
    ],
    [
      'CVE-2019-16785 (Waitress): LF ends a line',
      'GET /api/x HTTP/1.1\r\nHost: a\r\nX-A: b\nContent-Length: 5\r\n\r\n',
    ],
    [
      'CVE-2019-16786 (Waitress): several transfer codings in one line',
      post('Transfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n', 'hello'),
    ],
    [
      'CVE-2019-16789 (Waitress): a vertical tab before chunked',
      post('Transfer-Encoding: \x0bchunked\r\nContent-Length: 5\r\n', 'hello'),
    ],
    [
      'CVE-2020-7694 (uvicorn): control characters for the log in a path',
      'GET /api/%1b%5b2J HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    ],
    [
      'CVE-2020-7695 (uvicorn): CRLF in a path splits an answer',
      'GET /api/foo%0d%0ax: HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    ],
    [
      'CVE-2020-8287 (Node): two Transfer-Encodings',
      post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked-false\r\n', '0\r\n\r\n'),
    ],
    ['CVE-2021-22959 (llhttp): a blank before the colon', post('Content-Length : 5\r\n', 'hello')],
    ['CVE-2021-22960 (llhttp): a chunk extension', chunked(`2 \n;a\r\n02\r\n${hidden}`)],
    [
      'CVE-2022-24761 (Waitress): numbers as Python reads them, in a length',
      post('Content-Length: +1_0\r\n', '0123456789'),
    ],
    [
      'CVE-2022-24790 (Puma): a length and a coding',
      post('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
    ],
    ['CVE-2022-24801 (Twisted): a signed length', post('Content-Length: +5\r\n', 'hello')],
    ['CVE-2022-24801 (Twisted): 0x in a chunk size', chunked('0x5\r\nhello\r\n0\r\n\r\n')],
    [
      'CVE-2022-32213 (llhttp): a coding of which chunked is a part',
      post('Transfer-Encoding: chunkedchunked\r\n', '0\r\n\r\n'),
    ],
    ['CVE-2022-32214 (llhttp): line ends other than CRLF', 'GET /api/x HTTP/1.1\r\nHost: a\r\nX-A:\n\nb\r\n\r\n'],
    [
      'CVE-2022-32215 (llhttp): a coding in several lines',
      post('Transfer-Encoding: chunked\r\n , identity\r\n', '0\r\n\r\n'),
    ],
    [
      'CVE-2022-35256 (llhttp): a header line without its CRLF',
      post('X-A: b\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
    ],
    [
      'CVE-2023-25690 (Apache): CRLF in a path becomes a request',
      'GET /api/x%20HTTP/1.1%0d%0aHost:a%0d%0a%0d%0aGET%20/y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    ],
    [
      'CVE-2023-30589 (llhttp): CR alone ends a line',
      post('X-A: \rxTransfer-Encoding: chunked\r\n', '1\r\nA\r\n0\r\n\r\n'),
    ],
    ['CVE-2023-40175 (Puma): a last chunk that any two bytes end', chunked('0\r\nX:POST / HTTP/1.1\r\n\r\n')],
    ['CVE-2023-40225 (HAProxy): an empty length', post('Content-Length:\r\n')],
    [
      'CVE-2023-40225 (HAProxy): an empty length before another',
      post('Content-Length:\r\nContent-Length: 5\r\n', 'hello'),
    ],
    ['CVE-2023-47627 (aiohttp): a chunk size with an underscore', chunked(`0_2e\r\n\r\n${SMUGGLED}`)],
    ['CVE-2023-47627 (aiohttp): NUL in a value', post('X-A: v\0\ralue\r\n')],
    [
      'CVE-2024-1135 (Gunicorn): a coding that is not known',
      post('Transfer-Encoding: blegh\r\nContent-Length: 5\r\n', 'hello'),
    ],
    [
      'CVE-2024-6827 (Gunicorn): a coding in another case',
      post('Transfer-Encoding: cHuNkEd\r\nContent-Length: 5\r\n', 'hello'),
    ],
    ['CVE-2024-22019 (Node): a chunk extension without end', chunked(`5;${'a'.repeat(100_000)}`)],
    [
      'CVE-2024-27982 (Node): a blank before Content-Length',
      'GET /api/x HTTP/1.1\r\n Content-Length: 5\r\nHost: a\r\n\r\nhello',
    ],
    ['CVE-2025-22871 (Go): LF ends a chunk size', chunked('5\nhello\r\n0\r\n\r\n')],
    [
      'CVE-2025-23167 (llhttp): CR and any byte end the head',
      'GET /api/x HTTP/1.1\r\nHost: a\r\n\rXGET /api/evil: HTTP/1.1\r\nHost: a\r\n\r\n',
    ],
    [
      'CVE-2025-32094 (Akamai): an expectation in a folded line, of OPTIONS',
      `OPTIONS /api/x HTTP/1.1\r\nHost: a\r\nExpect:\r\n 100-continue\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n`,
    ],
    ['CVE-2025-43859 (h11): a chunk that any two bytes end', chunked(`5\r\nhelloXX2\r\n45\r\n0\r\n\r\n${hidden}`)],
    ['CVE-2025-55315 (Kestrel): LF in a chunk extension', chunked(`2;\n\r\nxx\r\n0\r\n\r\n${SMUGGLED}`)],
    ['CVE-2025-58056 (Netty): LF ends a chunk extension', chunked(`2;a\nxx\r\n45\r\n0\r\n\r\n${SMUGGLED}`)],
    [
      'GHSA-ggv3-7p47-pfv8 (httpxy): Connection takes the coding away',
      `DELETE /api/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: Transfer-Encoding, upgrade\r\n\r\n${hidden}`,
    ],
    ['0.CL by an obfuscated expectation (2025)', post('Expect: y 100-continue\r\nContent-Length: 5\r\n', 'hello'), 417],
  ])('%s', async (_advisory, text, status = 400) => await scene.refused(text, status));
});

describe('passed on as the one request that it is', () => {
  test('CVE-2021-40346 (HAProxy): a header name so long that its length overflows', async () => {
    const name = `Content-Length0${'a'.repeat(255)}`;
    const heard = await scene.passes(
      `POST /api/first HTTP/1.1\r\nHost: a\r\n${name}:\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
      '/api/first',
    );
    expect(heard[0]?.body).toBe(SMUGGLED);
    expect(heard[0]?.head).toContain(`\r\n${name.toLowerCase()}: \r\n`);
  });

  test.each(['DELETE', 'OPTIONS'])(
    'CVE-2026-29057 (http-proxy, Next.js): %s in chunks keeps its chunks, and gets no length of 0',
    async (method) => {
      const text = `${method} /api/first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive, upgrade\r\n\r\n`;
      const [first] = await scene.passes(text + hidden, '/api/first');
      expect(first?.head).not.toMatch(/^content-length:/im);
      expect(first?.body).toBe(hidden);
    },
  );
});
