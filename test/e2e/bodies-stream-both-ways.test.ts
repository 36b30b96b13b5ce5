import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { within } from './harness/eventually.ts';
import { echo, house } from './harness/scenario.ts';
import { openTcp } from './harness/wire.ts';

const HALF = 200_000;
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const chunk = (bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);

test('bodies stream both ways through both sidecars: each half arrives before the next is sent', async () => {
  let arrived: (request: IncomingMessage, response: ServerResponse) => void = () => {};
  const upstream = await echo({
    answer: (request, response) => {
      arrived(request, response);
      return true;
    },
  });
  const home = await house();
  const [gate, identity] = await Promise.all([home.serve({ upstream: upstream.url }), home.issue('worker/etl-1')]);
  const sidecar = await home.connect(gate, identity);
  const halves = [randomBytes(HALF), randomBytes(HALF)] as const;
  const whole = Buffer.concat(halves);

  for (const chunked of [true, false]) {
    const wire = await openTcp(sidecar.port);
    const asSent = (half: Buffer): Buffer => (chunked ? chunk(half) : half);

    // Upwards: the second half is sent only when upstream has read the first.
    const received: Buffer[] = [];
    let wake = (): void => {};
    const read = async (size: number): Promise<void> => {
      while (received.reduce((sum, part) => sum + part.length, 0) < size) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    };
    const up = new Promise<ServerResponse>((resolve) => {
      arrived = (request, response) => {
        request.on('data', (part: Buffer) => {
          received.push(part);
          wake();
        });
        request.once('end', () => resolve(response));
      };
    });
    const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${whole.length}`;
    wire.send(`POST /api/logs/ HTTP/1.1\r\nHost: localhost\r\n${framing}\r\n\r\n`);
    wire.send(asSent(halves[0]));
    await within('upstream has the first half', read(HALF));
    wire.send(asSent(halves[1]));
    if (chunked) wire.send('0\r\n\r\n');
    const response = await within('upstream has the whole body', up);
    expect(sha256(Buffer.concat(received))).toBe(sha256(whole));

    // Downwards: upstream sends the second half only when the client has read the first.
    if (!chunked) response.setHeader('content-length', whole.length);
    response.write(halves[0]);
    await wire.until('the first half of the answer', (bytes) => (bytes.length > HALF ? true : undefined));
    response.end(halves[1]);
    const answer = await wire.answer('POST');
    expect(answer.status).toBe(200);
    expect(answer.headers[chunked ? 'transfer-encoding' : 'content-length']).toBe(
      chunked ? 'chunked' : `${whole.length}`,
    );
    expect(sha256(answer.body)).toBe(sha256(whole));
    wire.socket.destroy();
  }
});
