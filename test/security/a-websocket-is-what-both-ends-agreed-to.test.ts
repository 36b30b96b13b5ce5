// A tunnel is opened only between a client that asked for a WebSocket as RFC 6455 §4.1 has it and an upstream whose
// answer proves that it understood (§4.2.2). Nothing after a refused upgrade is ever spoken upstream, because nobody
// would decide about it; and what is in the tunnel is passed on byte for byte.

import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { RawPeer } from '../proxy/plain-proxy.ts';
import { SMUGGLED, statusesOf } from './attack.ts';
import { gateBeforeRawUpstream } from './raw-upstream.ts';

const scene = gateBeforeRawUpstream();
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const LINES = {
  upgrade: 'Upgrade: websocket',
  connection: 'Connection: Upgrade',
  key: `Sec-WebSocket-Key: ${KEY}`,
  version: 'Sec-WebSocket-Version: 13',
};
const opening = (lines: Partial<Record<keyof typeof LINES | 'more' | 'request', string>> = {}): string => {
  const { request = 'GET /api/events/in HTTP/1.1', more = '', ...given } = lines;
  const all = Object.values({ ...LINES, ...given }).filter((line) => line !== '');
  return `${[request, 'Host: gate.test', ...all].join('\r\n')}\r\n${more}\r\n`;
};
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
const ACCEPTED = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n`;

describe('an opening that is none', () => {
  test.each<[string, string]>([
    ['of another method', opening({ request: 'POST /api/events/in HTTP/1.1' })],
    ['with a body by length', opening({ more: 'Content-Length: 5\r\n' })],
    ['with a body in chunks', opening({ more: 'Transfer-Encoding: chunked\r\n' })],
    ['without a key', opening({ key: '' })],
    ['with an empty key', opening({ key: 'Sec-WebSocket-Key:' })],
    ['with a short key', opening({ key: 'Sec-WebSocket-Key: c2hvcnQ=' })],
    ['with a long key', opening({ key: `Sec-WebSocket-Key: ${'A'.repeat(32)}==` })],
    ['with a key that is no base64', opening({ key: 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ-==' })],
    ['with two keys', opening({ more: `${LINES.key}\r\n` })],
    ['with two versions', opening({ more: `${LINES.version}\r\n` })],
    ['with two upgrades', opening({ more: 'Upgrade: h2c\r\n' })],
    ['whose Connection takes the key away', opening({ connection: 'Connection: Upgrade, Sec-WebSocket-Key' })],
  ])('%s is refused with 400, and nothing reaches upstream', async (_what, text) => {
    const client = await scene.gate.connect();
    client.send(text + SMUGGLED);
    const { text: answers } = await client.ended();
    expect(statusesOf(answers)).toEqual([400]);
    expect(scene.upstream.accepted).toBe(0);
  });

  test.each([
    ['without a version', ''],
    ['with another version', 'Sec-WebSocket-Version: 8'],
    ['with a version that upstream would read otherwise', 'Sec-WebSocket-Version: 1337'],
    ['with versions in a list', 'Sec-WebSocket-Version: 13, 8'],
  ])('%s is refused with 426 and the version that is spoken, and nothing reaches upstream', async (_what, version) => {
    const client = await scene.gate.connect();
    client.send(opening({ version }) + SMUGGLED);
    const { text: answers } = await client.ended();
    expect(statusesOf(answers)).toEqual([426]);
    expect(answers).toContain('\r\nsec-websocket-version: 13\r\n');
    expect(answers).toContain('\r\nupgrade: websocket\r\nconnection: upgrade\r\n');
    expect(answers).toContain('\r\nconnection: close\r\n');
    expect(scene.upstream.accepted).toBe(0);
  });

  test('of HTTP/1.0 is refused', async () => {
    const client = await scene.gate.connect();
    client.send(opening({ request: 'GET /api/events/in HTTP/1.0' }) + SMUGGLED);
    expect(statusesOf((await client.ended()).text)).toEqual([505]);
    expect(scene.upstream.accepted).toBe(0);
  });
});

describe('a page of another site', () => {
  test.each([
    'Origin: https://evil.test\r\n',
    'Origin: https://gate.test.evil.test\r\n',
    'Origin: http://gate.test\r\n',
    'Origin: https://gate.test:8443\r\n',
    'Origin: null\r\n',
    'Origin:\r\n',
    'Origin: https://gate.test\r\nOrigin: https://evil.test\r\n',
    'Origin: https://evil.test\r\nOrigin: https://gate.test\r\n',
    'Sec-Fetch-Site: cross-site\r\n',
    'Sec-Fetch-Site: same-site\r\n',
  ])('is refused with 403, and nothing reaches upstream: %j', async (more) => {
    const client = await scene.gate.connect();
    client.send(opening({ more }) + SMUGGLED);
    expect(statusesOf((await client.ended()).text)).toEqual([403]);
    expect(scene.upstream.accepted).toBe(0);
  });

  test.each(['', 'Origin: https://gate.test\r\nSec-Fetch-Site: same-origin\r\n', 'ORIGIN: HTTPS://GATE.TEST\r\n'])(
    'is not who sends %j',
    async (more) => {
      const client = await scene.gate.connect();
      client.send(opening({ more }));
      const up = await scene.upstream.accept();
      await up.until('\r\n\r\n');
      up.send(`${ACCEPTED}\r\n`);
      expect(statusesOf(await client.until('\r\n\r\n'))).toEqual([101]);
    },
  );
});

/** Opens with `more` lines; upstream answers `answer`. */
async function answered(answer: string | Buffer, more = '', ahead = ''): Promise<{ client: RawPeer; up: RawPeer }> {
  const client = await scene.gate.connect();
  client.send(Buffer.from(opening({ more }) + ahead, 'latin1'));
  const up = await scene.upstream.accept();
  await up.until('\r\n\r\n');
  up.send(answer);
  return { client, up };
}

describe('an answer that opens no WebSocket', () => {
  test.each([200, 204, 301, 400, 403, 404, 426, 500])(
    '%i is passed on, the connection ends, and what was sent behind the upgrade is never spoken',
    async (status) => {
      const { client, up } = await answered(`HTTP/1.1 ${status} X\r\ncontent-length: 0\r\n\r\n`, '', SMUGGLED);
      client.send(SMUGGLED);
      const { text } = await client.ended();
      expect(statusesOf(text)).toEqual([status]);
      expect(text).toMatch(/^connection: close\r$/im);
      expect(up.received()).not.toContain('smuggled');
      expect(scene.upstream.accepted).toBe(1);
    },
  );

  const head = (lines: string): string => `HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n`;
  const good = { u: 'Upgrade: websocket\r\n', c: 'Connection: Upgrade\r\n', a: `Sec-WebSocket-Accept: ${ACCEPT}\r\n` };
  test.each<[string, string]>([
    ['without anything', head('')],
    ['without Upgrade', head(good.c + good.a)],
    ['with another Upgrade', head(`Upgrade: h2c\r\n${good.c}${good.a}`)],
    ['with two Upgrades', head(`Upgrade: h2c\r\n${good.u}${good.c}${good.a}`)],
    ['without Connection', head(good.u + good.a)],
    ['with another Connection', head(`${good.u}Connection: keep-alive\r\n${good.a}`)],
    ['without an accept', head(good.u + good.c)],
    ['with an empty accept', head(`${good.u}${good.c}Sec-WebSocket-Accept:\r\n`)],
    ['with the accept of another key', head(`${good.u}${good.c}Sec-WebSocket-Accept: ${'A'.repeat(27)}=\r\n`)],
    ['with the key for an accept', head(`${good.u}${good.c}Sec-WebSocket-Accept: ${KEY}\r\n`)],
    ['with two accepts', head(good.u + good.c + good.a + good.a)],
    ['with a protocol that was not offered', head(`${good.u}${good.c}${good.a}Sec-WebSocket-Protocol: x\r\n`)],
    ['with an extension that was not offered', head(`${good.u}${good.c}${good.a}Sec-WebSocket-Extensions: x\r\n`)],
    ['in HTTP/1.0', head(good.u + good.c + good.a).replace('1.1', '1.0')],
  ])('a 101 %s: the client is told to come again, and its bytes are never spoken upstream', async (_what, answer) => {
    const { client, up } = await answered(answer, '', SMUGGLED);
    client.send(SMUGGLED);
    const { text } = await client.ended();
    expect(statusesOf(text)).toEqual([101]);
    const frame = Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'latin1');
    expect([frame[0], frame.readUInt16BE(2)]).toEqual([0x88, 1012]);
    await up.ended();
    expect(up.received()).not.toContain('smuggled');
  });

  test('a 101 to who asked for no WebSocket is 502', async () => {
    const client = await scene.gate.connect();
    client.send('GET /api/x HTTP/1.1\r\nHost: gate.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
    const up = await scene.upstream.accept();
    await up.until('\r\n\r\n');
    up.send(`${ACCEPTED}\r\nevil`);
    const text = await client.until('"detail"');
    expect(statusesOf(text)).toEqual([502]);
    expect(text).not.toContain('evil');
  });
});

describe('an open WebSocket', () => {
  const OFFER =
    'Sec-WebSocket-Protocol: prefect, other\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n';
  const CHOICE = 'Sec-WebSocket-Protocol: prefect\r\nSec-WebSocket-Extensions: permessage-deflate\r\n';

  test('has the protocol and the extensions that both ends agreed on', async () => {
    const { client, up } = await answered(`${ACCEPTED}${CHOICE}\r\n`, OFFER);
    expect(up.received()).toContain('\r\nsec-websocket-protocol: prefect, other\r\n');
    expect(up.received()).toContain('\r\nsec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n');
    const text = (await client.until('\r\n\r\n')).toLowerCase();
    expect(text).toContain('\r\nsec-websocket-protocol: prefect\r\n');
    expect(text).toContain('\r\nsec-websocket-extensions: permessage-deflate\r\n');
    expect(text).toContain(`\r\nsec-websocket-accept: ${ACCEPT.toLowerCase()}\r\n`);
    expect(text).toContain('\r\nupgrade: websocket\r\nconnection: upgrade\r\n');
  });

  test('says nothing to the client that frames, whatever upstream’s 101 says', async () => {
    const { client } = await answered(`${ACCEPTED}Content-Length: 5\r\nSet-Cookie: a=b\r\n\r\nhello`);
    const text = await client.until('hello');
    expect(text).not.toMatch(/content-length|transfer-encoding/i);
    expect(text).toContain('set-cookie: a=b\r\n');
  });

  test('passes frames of either end untouched, masked or not, and what was sent ahead of the answer', async () => {
    const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const masked = Buffer.concat([Buffer.from([0x82, 0xfe, 1, 0, 1, 2, 3, 4]), every]);
    const plain = Buffer.concat([Buffer.from([0x82, 0x7e, 1, 0]), every]);
    const ping = Buffer.from([0x89, 0x80, 0, 0, 0, 0]);
    const { client, up } = await answered(
      Buffer.concat([Buffer.from(`${ACCEPTED}\r\n`), plain]),
      '',
      ping.toString('latin1'),
    );
    for (const bytes of [masked, plain]) {
      client.send(bytes);
      await up.until((text) => text.endsWith(bytes.toString('latin1')));
      up.send(bytes);
      await client.until((text) => text.endsWith(bytes.toString('latin1')));
    }
    const afterHead = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4);
    expect(afterHead(up.received())).toBe(Buffer.concat([ping, masked, plain]).toString('latin1'));
    expect(afterHead(client.received())).toBe(Buffer.concat([plain, masked, plain]).toString('latin1'));
  });

  test('is never read as HTTP again: a request in it is bytes, and so is an answer', async () => {
    const { client, up } = await answered(`${ACCEPTED}\r\n`, '', SMUGGLED);
    await up.until((text) => text.endsWith(SMUGGLED));
    client.send(SMUGGLED);
    await up.until((text) => text.endsWith(SMUGGLED + SMUGGLED));
    up.send('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    await client.until((text) => text.endsWith('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'));
    expect(scene.upstream.accepted).toBe(1);
  });
});
