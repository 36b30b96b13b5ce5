// One tunnel of the load generator: mutual TLS, the upgrade, then masked 1 KiB frames of which a fixed number is always on
// its way. Every byte that comes back is compared with the echo expected; anything else is a failure, never skipped.

import { acceptOf, frameOf, LOAD_MASK, UPGRADE_KEY, upgradeLines } from './frames.ts';
import { type Asking, openConnection } from './load-connection.ts';
import { framePayload, requestBytes } from './works.ts';

const echo = frameOf(framePayload);
const sent = frameOf(framePayload, LOAD_MASK);
const accept = `\r\nsec-websocket-accept: ${acceptOf(UPGRADE_KEY)}\r\n`.toLowerCase();

/** Keeps `inFlight` frames on their way over one tunnel. `onAnswer` is called per frame that came back. */
export function echoOverOneTunnel(asking: Asking, inFlight: number): () => void {
  const batches = Array.from({ length: inFlight + 1 }, (_, count) => Buffer.concat(Array(count).fill(sent)));
  let ended = false;
  let open = false;
  let held = Buffer.alloc(0);
  let at = 0; // bytes of the current echo that have come
  // When the oldest frames on their way were sent: the latency of a frame is that of its batch.
  const sentAt: number[] = [];
  const send = (count: number): void => {
    const now = performance.now();
    for (let i = 0; i < count; i++) sentAt.push(now);
    socket.write(batches[count] ?? sent);
  };
  const readHead = (bytes: Buffer): Buffer | null => {
    held = Buffer.concat([held, bytes]);
    const end = held.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const head = held.toString('latin1', 0, end + 4);
    if (head.startsWith('HTTP/1.1 101 ') && head.toLowerCase().includes(accept)) {
      open = true;
      return held.subarray(end + 4);
    }
    asking.onFailure(`answered the upgrade with ${JSON.stringify(head.slice(0, 200))}`);
    return null;
  };
  const readFrames = (bytes: Buffer): void => {
    let whole = 0;
    for (let from = 0; from < bytes.length; ) {
      const part = Math.min(echo.length - at, bytes.length - from);
      if (bytes.compare(echo, at, at + part, from, from + part) !== 0) {
        asking.onFailure('sent back a frame that is not the echo');
        return;
      }
      from += part;
      at += part;
      if (at < echo.length) break;
      at = 0;
      whole++;
      asking.onAnswer((performance.now() - (sentAt.shift() ?? Number.NaN)) * 1000);
    }
    if (whole > 0 && !ended) send(whole);
  };
  const [request] = asking.asks;
  const socket = openConnection(
    asking,
    () => request !== undefined && socket.write(requestBytes(request, upgradeLines)),
    (bytes) => {
      if (open) {
        readFrames(bytes);
        return;
      }
      const rest = readHead(bytes);
      if (rest === null) return;
      send(inFlight);
      readFrames(rest);
    },
  );
  socket.on('close', () => {
    if (!ended) asking.onFailure('closed a tunnel');
  });
  return () => {
    ended = true;
    socket.destroy();
  };
}
