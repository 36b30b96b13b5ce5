// Which bodies can be read before they are sent on, and what becomes of one that may ask for secrets.

import { describe, expect, test } from 'vitest';
import { bodyProblem, decideBody, mostOf, textOfBody } from '../../src/inbound/block-secrets.ts';
import { findOperation } from '../../src/policy/operation.ts';
import { headOf } from './heads.ts';

const POST = 'POST /api/block_documents/filter HTTP/1.1';
const problem = (lines: readonly string[], most?: number) => bodyProblem(headOf(lines, POST), most);
const LENGTH = 'Content-Length: 2';

describe('a body can be read', () => {
  test.each([
    ['that is said to be JSON', [LENGTH, 'Content-Type: application/json']],
    ['in UTF-8', [LENGTH, 'Content-Type: application/json; charset=utf-8']],
    ['in UTF-8, in quotes and capitals', [LENGTH, 'Content-Type: Application/JSON ;\tCharset="UTF-8"']],
    ['that does not say what it is', [LENGTH]],
    ['that is encoded as what it is', [LENGTH, 'Content-Encoding: identity']],
    ['of no length', []],
  ])('%s', (_what, lines) => expect(problem(lines)).toBeNull());

  test('of a mebibyte, and not an octet more; of logs as many as Prefect’s client sends at once', () => {
    const status = (length: number, most?: number) => problem([`Content-Length: ${length}`], most)?.status;
    expect([status(1_048_576), status(1_048_577)]).toEqual([undefined, 413]);
    const logs = mostOf(findOperation('POST', '/api/logs/'));
    expect([logs, status(6_291_456, logs), status(6_291_457, logs)]).toEqual([6_291_456, undefined, 413]);
    for (const operation of [null, findOperation('POST', '/api/logs/filter')])
      expect(mostOf(operation)).toBe(1_048_576);
  });
});

test.each([
  [411, 'in chunks, whose length nobody knows', ['Transfer-Encoding: chunked']],
  [415, 'that is compressed', [LENGTH, 'Content-Encoding: gzip']],
  [415, 'that is compressed behind what is not', [LENGTH, 'Content-Encoding: identity', 'Content-Encoding: br']],
  [415, 'that is a form', [LENGTH, 'Content-Type: application/x-www-form-urlencoded']],
  [415, 'in another character set', [LENGTH, 'Content-Type: application/json; charset=utf-16']],
  [415, 'that is nearly JSON', [LENGTH, 'Content-Type: application/json-patch+json']],
  [415, 'that is JSON with more to it', [LENGTH, 'Content-Type: application/json; charset=utf-8; a=b']],
  [415, 'that is JSON and text', [LENGTH, 'Content-Type: application/json', 'Content-Type: text/plain']],
  [415, 'that is text and JSON', [LENGTH, 'Content-Type: text/plain', 'Content-Type: application/json']],
  [415, 'of nothing', [LENGTH, 'Content-Type:']],
  [417, 'that waits to be asked for', [LENGTH, 'Expect: 100-continue']],
])('%i for one %s', (status, _what, lines) => expect(problem(lines)?.status).toBe(status));

describe('a whole body', () => {
  const decided = (text: string | Buffer) => {
    const said = decideBody(Buffer.from(text));
    return said.kind === 'send' ? said.body.toString() : `${said.status}: ${said.detail}`;
  };

  test('goes on byte for byte, but for a question for secrets, which is answered by no', () => {
    const plain = Buffer.from('{ "limit": 5 }');
    const said = decideBody(plain);
    expect(said.kind === 'send' && said.body).toBe(plain);
    expect(decided('{"a":"ä","include_secrets": true}')).toBe('{"a":"ä","include_secrets":false}');
    expect(decided('{"include_secrets":false }')).toBe('{"include_secrets":false }');
  });

  test('that has not one reading is refused', () => {
    expect(decided('{"a":1,"a":2}')).toBe('400: the body has a name twice');
    expect(decided('{')).toBe('400: the body is not JSON');
    expect(decided(Buffer.from([0x22, 0xff, 0x22]))).toBe('400: the body is not UTF-8');
    // Python's json takes no byte order mark.
    expect(decided('\ufeff{}')).toBe('400: the body is not JSON');
    expect(textOfBody(Buffer.from([0xed, 0xa0, 0x80]))).toBeNull();
  });
});
