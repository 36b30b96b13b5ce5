// The differential test through a whole gate: what a client sends over TLS, in whatever records, arrives upstream as
// bytes that llhttp, httptools, h11 and Go's net/http read as exactly the one request that policy decided on, with the gate's own
// headers behind the client's, and nothing else.

import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readRequestHead } from '../../src/http1/request.ts';
import { isHopByHop } from '../../src/http1/write.ts';
import { isOwnHeader } from '../../src/inbound/request-head.ts';
import { canonicalPath } from '../../src/policy/paths.ts';
import { request } from '../http1/messages.ts';
import { type AllParsers, seenByEach, startAllParsers } from '../http1/parsers/all.ts';
import { cutAt, LIMITS, latin1 } from '../http1/read.ts';
import { linesOf, withoutFraming } from '../http1/request-oracle.ts';
import { openScene, type Scene } from './attack.ts';

let scene: Scene;
let parsers: AllParsers;
beforeAll(async () => {
  scene = await openScene();
  parsers = await startAllParsers();
});
afterAll(async () => {
  await scene.close();
  await parsers.stop();
});

const places = fc.array(fc.nat({ max: 2_000 }), { maxLength: 4 });

test('is one request to every parser, as it was decided on', async () => {
  const property = fc.asyncProperty(request, places, async (message, cuts) => {
    const head = readRequestHead(latin1(message.head), 0, LIMITS);
    if (head?.ok !== true) throw new Error('not accepted');
    const target = canonicalPath(head.target);
    fc.pre(target.ok);
    const client = await scene.gate.connect();
    client.socket.setNoDelay(true);
    for (const piece of cutAt(latin1(message.head + message.body.wire), cuts)) client.send(piece);
    await client.until(/^HTTP\/1\.1 200 /);
    client.socket.destroy();
    const raw = scene.upstream.take().map((one) => one.raw);
    expect(raw).toHaveLength(1);
    const kept = head.names
      .map((name, i) => [name, head.values[i] ?? ''])
      .filter(([name = '']) => !isHopByHop(name) && !isOwnHeader(name) && !head.connectionNames?.includes(name));
    const headers = linesOf(raw[0] ?? '');
    const own = withoutFraming(headers);
    expect(own.slice(0, kept.length)).toEqual(kept);
    for (const [name] of own.slice(kept.length)) {
      expect(name).toMatch(/^(?:x-forwarded-.*|client-cert|x-certgate-identity|x-request-id)$/);
    }
    const expected = {
      method: head.method,
      target: target.ok ? target.target : '',
      headers,
      body: message.body.content,
    };
    for (const [parser, seen] of await seenByEach(parsers.requests, raw.map(latin1))) {
      expect({ parser, ...seen }).toEqual({ parser, requests: [expected], refused: null, rest: null });
    }
  });
  await fc.assert(property, { numRuns: 250 });
});
