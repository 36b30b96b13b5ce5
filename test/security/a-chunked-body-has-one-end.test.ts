// A chunked body ends in one place for every reader, or the request ends with 400 and the connection with it (RFC 9112
// §7.1). Chunk extensions and trailers, by which readers were told apart in 2025 ("funky chunks": TERM.EXT, EXT.TERM,
// TERM.SPILL, SPILL.TERM), never pass. Upstream gets at most the part before the fault, and then a broken connection.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openScene, post, type Scene, SMUGGLED, statusesOf } from './attack.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(async () => await scene.close());

const chunked = (wire: string): string => post('Transfer-Encoding: chunked\r\n', wire);
const hidden = `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`;

const FAULTS: ReadonlyArray<[string, string]> = [
  ['a chunk extension', '5;a=b\r\nhello\r\n0\r\n\r\n'],
  ['a chunk extension without a name', '5;\r\nhello\r\n0\r\n\r\n'],
  ['a quoted chunk extension', '5;a="b;c"\r\nhello\r\n0\r\n\r\n'],
  ['a quoted chunk extension that holds a line', '5;a="\r\n"\r\nhello\r\n0\r\n\r\n'],
  ['a chunk extension of 64 KiB', `5;${'a'.repeat(65_536)}\r\nhello\r\n0\r\n\r\n`],
  ['a chunk extension on the last chunk', '5\r\nhello\r\n0;a=b\r\n\r\n'],
  ['a blank before an extension', '5 ;a\r\nhello\r\n0\r\n\r\n'],
  ['CR CR in an extension', '41;a=b\r\rXXXX\r\n0\r\n\r\n'],
  ['CR before an extension', '2\r\r;a\r\n02\r\n41\r\n0\r\n\r\n'],
  ['TERM.EXT: LF in an extension ends the line for one side', `2;\nxx\r\n47\r\n0\r\n\r\n${SMUGGLED}`],
  ['EXT.TERM: LF in an extension ends the line for the other side', `26;\n\r\n${hidden}`],
  ['EXT.TERM with CR', `26;\r\n\n${hidden}`],
  ['TERM.SPILL: LF ends a chunk', `5\r\nhello\n0\r\n\r\n${hidden}`],
  ['SPILL.TERM: two bytes more than the size', `5\r\nhelloXX0\r\n\r\n${hidden}`],
  ['a chunk one byte longer than its size', '5\r\nhelloX\r\n0\r\n\r\n'],
  ['a chunk one byte shorter than its size', '6\r\nhello\r\n0\r\n\r\n'],
  ['a chunk that ends in CR', '5\r\nhello\r0\r\n\r\n'],
  ['a chunk that ends in LF CR', '5\r\nhello\n\r0\r\n\r\n'],
  ['a chunk that ends in CR and another byte', '5\r\nhello\rX0\r\n\r\n'],
  ['a size that ends in LF', '5\nhello\r\n0\r\n\r\n'],
  ['a size that ends in CR', '5\rhello\r\n0\r\n\r\n'],
  ['a size that ends in CR and another byte', '5\r\r;ABCD\r\n34\r\nE\r\n0\r\n\r\n'],
  ['a last chunk that ends in LF', '5\r\nhello\r\n0\n\n'],
  ['a last chunk whose empty line is LF', '5\r\nhello\r\n0\r\n\n'],
  ['a last chunk whose empty line is CR', '5\r\nhello\r\n0\r\n\r'],
  ['a last chunk that ends in any two bytes', '0\r\nX:POST / HTTP/1.1\r\n\r\n'],
  ['a size of more than 64 bits', 'fffffffffffffffff\r\nhello\r\n0\r\n\r\n'],
  ['a size of 64 bits', 'ffffffffffffffff\r\nhello\r\n0\r\n\r\n'],
  ['a size that is 5 modulo 2^64', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
  ['a size that is 5 modulo 2^52', '10000000000005\r\nhello\r\n0\r\n\r\n'],
  ['a size of 20 zeros and 5', '000000000000000000005\r\nhello\r\n0\r\n\r\n'],
  ['a size with 0x', '0x5\r\nhello\r\n0\r\n\r\n'],
  ['a size with 0X and nothing', '0X\r\n\r\n'],
  ['a signed size', '+5\r\nhello\r\n0\r\n\r\n'],
  ['a negative size', '-5\r\nhello\r\n0\r\n\r\n'],
  ['a size of minus nothing', '-0x0\r\n\r\n'],
  ['a size with an underscore', '0_2e\r\n\r\nGET /api/x HTTP/1.1\r\n\r\n0\r\n\r\n'],
  ['a size with a dot', '5.0\r\nhello\r\n0\r\n\r\n'],
  ['a size in words', 'five\r\nhello\r\n0\r\n\r\n'],
  ['a size and words', '1these-bytes\r\nZ\r\n0\r\n\r\n'],
  ['a size with a blank in front', ' 5\r\nhello\r\n0\r\n\r\n'],
  ['a size with a tab behind', '5\t\r\nhello\r\n0\r\n\r\n'],
  ['a size with a NUL', '5\0\r\nhello\r\n0\r\n\r\n'],
  ['a size in digits of another script', '\xb5\r\nhello\r\n0\r\n\r\n'],
  ['no size', '\r\nhello\r\n0\r\n\r\n'],
  ['an empty line between chunks', '5\r\nhello\r\n\r\n0\r\n\r\n'],
  ['a list of sizes', '5,5\r\nhello\r\n0\r\n\r\n'],
  ['a trailer', '5\r\nhello\r\n0\r\nX-Late: 1\r\n\r\n'],
  ['a trailer that frames', '0\r\nContent-Length: 5\r\n\r\n'],
  ['a trailer that names an identity', '0\r\nX-Certgate-Identity: user/root\r\n\r\n'],
  ['a trailer of nothing', '0\r\n:\r\n\r\n'],
  ['a request for a trailer', `0\r\n${SMUGGLED}`],
];

describe('refused, all at once', () => {
  test.each(FAULTS)('%s', async (_what, wire) => await scene.refused(chunked(wire)));
});

describe('refused after a good chunk that has already been passed on: upstream sees a request that never ends', () => {
  test.each(FAULTS)('%s', async (_what, wire) => {
    const client = await scene.gate.connect();
    const before = scene.upstream.everything().length;
    client.send(Buffer.from(chunked('4\r\ngood\r\n'), 'latin1'));
    while (!scene.upstream.everything().slice(before).endsWith('good\r\n')) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    client.send(Buffer.from(wire + SMUGGLED, 'latin1'));
    const { text } = await client.ended();
    expect({ wire, statuses: statusesOf(text) }).toEqual({ wire, statuses: [400] });
    // Nothing that upstream could take for the end of the body, or for another request.
    expect(scene.upstream.take()).toEqual([]);
    expect(scene.upstream.everything().slice(before)).toMatch(/\r\n\r\n4\r\ngood\r\n[^;]*$/);
    expect(scene.upstream.everything().slice(before)).not.toContain('GET /');
  });
});

describe('passed on as they came', () => {
  test.each([
    ['sizes in upper case with zeros in front', '0A\r\n0123456789\r\n000\r\n\r\n'],
    ['the longest size there is, 12 digits', '000000000005\r\nhello\r\n000000000000\r\n\r\n'],
    ['chunks of what looks like chunks', '7\r\n0\r\n\r\nGE\r\n5\r\n\r\n\r\nX\r\n0\r\n\r\n'],
    ['nothing but the last chunk', '0\r\n\r\n'],
  ])('%s', async (_what, wire) => {
    const client = await scene.gate.connect();
    const before = scene.upstream.everything().length;
    client.send(Buffer.from(chunked(wire), 'latin1'));
    await client.until('/api/flows/filter');
    expect(scene.upstream.everything().slice(before).endsWith(`\r\n\r\n${wire}`)).toBe(true);
    client.socket.destroy();
    scene.upstream.take();
  });

  test('though the client writes them byte by byte, and a request behind them is the next one', async () => {
    scene.upstream.take();
    const client = await scene.gate.connect();
    client.socket.setNoDelay(true);
    const wire = 'a\r\n0123456789\r\n00f\r\nGET /api/x HTTP\r\n0\r\n\r\n';
    for (const byte of chunked(wire) + post('')) client.send(Buffer.from(byte, 'latin1'));
    await client.until((text) => statusesOf(text).length === 2);
    const heard = scene.upstream.take();
    expect(heard.map((one) => one.body)).toEqual([wire, '']);
    client.socket.destroy();
  });
});
