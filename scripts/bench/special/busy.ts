// Connections that are in use while they are cut: requests in flight, WebSockets with frames on their way, and answers of a
// MiB that come all the time, all with one certificate. A process of its own; says of each when it read the last octets of
// data and when it ended. It reads while it can: what the kernel had already for it counts as read when it is.
// usage: only by busy-connections.ts:  node busy.ts PORT CHAIN KEY BUNDLE REQUESTS TUNNELS STREAMS

import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { type Asking, askOverOneConnection } from '../load-connection.ts';
import { echoOverOneTunnel } from '../load-websocket.ts';
import { answers, requestBytes, type WorkName, works } from '../works.ts';

export interface BusyCounts {
  readonly requests: number;
  readonly tunnels: number;
  readonly streams: number;
}

/** ns of the machine's monotonic clock, in decimal. */
export interface BusyEnd {
  readonly lastOctet: string;
  readonly end: string;
}

export type BusyMessage = { readonly busy: number } | { readonly gone: readonly BusyEnd[] };

const [port = '', chain = '', key = '', bundle = '', requests = '', tunnels = '', streams = ''] = process.argv.slice(2);
const counts: readonly (readonly [WorkName, number])[] = [
  ['small', Number(requests)],
  ['websocket', Number(tunnels)],
  ['answer-1m', Number(streams)],
];
const all = counts.reduce((sum, [, count]) => sum + count, 0);
const secureContext = createSecureContext({
  cert: readFileSync(chain),
  key: readFileSync(key),
  ca: readFileSync(bundle),
  minVersion: 'TLSv1.3',
});
const gone: BusyEnd[] = [];
let answered = 0;

function begin(work: (typeof works)[number]): void {
  let hasAnswered = false;
  let hasGone = false;
  let lastOctet = 0n;
  const asking: Asking = {
    port: Number(port),
    secureContext,
    verifies: true,
    first: 0,
    asks: work.requests.map((request) => {
      return { ...request, bytes: requestBytes(request), answerLength: answers.get(request.target)?.length ?? 0 };
    }),
    onRead() {
      lastOctet = process.hrtime.bigint();
    },
    onAnswer() {
      if (hasAnswered) return;
      hasAnswered = true;
      if (++answered === all) process.send?.({ busy: all } satisfies BusyMessage);
    },
    onFailure() {
      if (hasGone) return;
      hasGone = true;
      gone.push({ lastOctet: lastOctet.toString(), end: process.hrtime.bigint().toString() });
      if (gone.length === all) process.send?.({ gone } satisfies BusyMessage);
    },
  };
  if (work.over === 'websocket') echoOverOneTunnel(asking, 1);
  else askOverOneConnection(asking);
}

for (const [name, count] of counts) {
  const work = works.find((one) => one.name === name);
  if (work === undefined) throw new Error(`no such work: ${name}`);
  for (let i = 0; i < count; i++) begin(work);
}
process.on('disconnect', () => process.exit(0));
