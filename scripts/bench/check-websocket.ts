// Whether a contestant's tunnel is right: the upgrade reaches the upstream with the identity, its answer comes back, and
// frames of several lengths and masks return as the upstream echoed them.

import { randomBytes } from 'node:crypto';
import type { Certificates } from './certificates.ts';
import type { Contestant } from './contestants/contestant.ts';
import { exchange, forgedLines, hasIdentity } from './exchange.ts';
import { acceptOf, frameOf, readFrame, UPGRADE_KEY, upgradeLines } from './frames.ts';
import { ECHO_QUERY, type EchoedRequest, framePayload, requestBytes, TUNNEL_TARGET } from './works.ts';

const payloads = [Buffer.from('ping'), framePayload, Buffer.from('x'.repeat(40_000))];

/** The payloads of `count` frames after the head of an upgrade, or null while some are missing. */
function readTunnel(bytes: Buffer, count: number): Buffer[] | null {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = bytes.toString('latin1', 0, end + 2);
  if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(`an upgrade was answered with ${JSON.stringify(head)}`);
  if (!head.toLowerCase().includes(`\r\nsec-websocket-accept: ${acceptOf(UPGRADE_KEY).toLowerCase()}\r\n`))
    throw new Error(`an upgrade was answered without the right Sec-WebSocket-Accept: ${JSON.stringify(head)}`);
  const frames: Buffer[] = [];
  for (let at = end + 4; frames.length < count; ) {
    const frame = readFrame(bytes, at);
    if (frame === null) return null;
    if (frame.masked) throw new Error('a masked frame came from the upstream');
    frames.push(frame.payload());
    at += frame.length;
  }
  return frames;
}

/** @throws with what was wrong */
export async function checkTunnel(contestant: Contestant, port: number, certificates: Certificates): Promise<void> {
  const target = `${TUNNEL_TARGET}${ECHO_QUERY}`;
  const lines = [...upgradeLines, ...forgedLines(contestant)];
  // The frames follow at once: what comes behind the upgrade must wait for its answer, not be lost.
  const sent = payloads.map((payload) => frameOf(payload, randomBytes(4)));
  const request = Buffer.concat([requestBytes({ method: 'GET', target, body: null }, lines), ...sent]);
  const frames = await exchange(port, certificates, request, (bytes) => readTunnel(bytes, payloads.length + 1));
  const seen = JSON.parse(frames[0]?.toString() ?? '') as EchoedRequest;
  if (seen.target !== target) throw new Error(`the upstream got the upgrade of ${seen.target}, not of ${target}`);
  hasIdentity(contestant, seen);
  for (const [place, payload] of payloads.entries()) {
    const echoed = frames[place + 1];
    if (echoed?.equals(payload) !== true)
      throw new Error(`a frame of ${payload.length} bytes came back as ${echoed?.length}`);
  }
}
