// Upgrades (RFC 9110 §7.8, RFC 6455): a tunnel after 101 and never before; an upstream that is away closes with 1012.

import { describe, expect, it } from 'vitest';
import { ACCEPTED, ok, proxyBetween, UPGRADE_LINES } from './between.ts';
import { connectRaw } from './plain-proxy.ts';

const between = proxyBetween();

describe('upgrades', () => {
  const UPGRADE = `GET /ws HTTP/1.1\r\n${UPGRADE_LINES}Sec-WebSocket-Protocol: prefect\r\n\r\n`;

  it('tunnels both ways after 101, what was sent ahead included', async () => {
    const client = await connectRaw(between.proxy.port);
    client.send(`${UPGRADE}early`);
    const up = await between.upstream.accept();
    expect(await up.until('\r\n\r\n')).not.toContain('early');
    up.send(`${ACCEPTED}hello`);
    await client.until('hello');
    await up.until('early');
    client.send('more');
    await up.until('more');
    up.socket.end();
    await client.ended();
    client.socket.end();
    await up.ended();
  });

  it('speaks nothing more upstream after a refused upgrade', async () => {
    const { client, up } = await between.ask(`${UPGRADE}GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n`);
    up.send('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n');
    const { text } = await client.ended();
    expect(text).toContain('403');
    expect(up.received()).not.toContain('smuggled');
    expect(between.upstream.accepted).toBe(1);
  });

  it('completes an upgrade while upstream is down and closes it with 1012', async () => {
    between.upstream.close();
    const client = await connectRaw(between.proxy.port);
    client.send(UPGRADE);
    const { text } = await client.ended();
    expect(text).toContain('HTTP/1.1 101 ');
    expect(text).toContain('sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
    expect(text).toContain('sec-websocket-protocol: prefect');
    const frame = Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'latin1');
    expect(frame[0]).toBe(0x88);
    expect(frame.readUInt16BE(2)).toBe(1012);
  });

  it.each([502, 503, 504])('closes an upgrade that upstream answers with %i by 1012 too', async (status) => {
    const { client, up } = await between.ask(UPGRADE);
    up.send(`HTTP/1.1 ${status} Not Now\r\ncontent-length: 0\r\n\r\n`);
    const { text } = await client.ended();
    expect(text).toContain('HTTP/1.1 101 ');
    expect(Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'latin1').readUInt16BE(2)).toBe(1012);
  });

  it('refuses a WebSocket opening that is none', async () => {
    const client = await connectRaw(between.proxy.port);
    client.send(UPGRADE.replace('Version: 13', 'Version: 8'));
    expect((await client.ended()).text).toContain('HTTP/1.1 426 ');
    expect(between.upstream.accepted).toBe(0);
  });

  it('ignores an upgrade to anything else', async () => {
    const client = await connectRaw(between.proxy.port);
    client.send(
      'GET /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n',
    );
    const up = await between.upstream.accept();
    const head = await up.until('\r\n\r\n');
    expect(head.toLowerCase()).not.toMatch(/upgrade|http2/);
    up.send(ok('plain'));
    await client.until('plain');
  });
});
