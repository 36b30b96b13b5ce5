// Connections that work while they are cut: requests in flight and WebSockets with frames on their way, all of one
// identity. A process of its own; says when each of them ended.
// usage: only as a child of revoke.ts:  node busy.ts PORT CHAIN KEY BUNDLE REQUESTS TUNNELS

import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { type Asking, askOverOneConnection } from '../load-connection.ts';
import { echoOverOneTunnel } from '../load-websocket.ts';
import { answers, requestBytes, works } from '../works.ts';

export type BusyMessage = { readonly busy: number } | { readonly gone: readonly string[] };

const [port = '', chain = '', key = '', bundle = '', requests = '', tunnels = ''] = process.argv.slice(2);
const counts = { kept: Number(requests), websocket: Number(tunnels), new: 0 };
const all = counts.kept + counts.websocket;
const secureContext = createSecureContext({
  cert: readFileSync(chain),
  key: readFileSync(key),
  ca: readFileSync(bundle),
  minVersion: 'TLSv1.3',
});
const gone: string[] = [];
let answered = 0;

function begin(work: (typeof works)[number]): void {
  let hasAnswered = false;
  let hasGone = false;
  const asking: Asking = {
    port: Number(port),
    secureContext,
    verifies: true,
    first: 0,
    asks: work.requests.map((request) => {
      return { ...request, bytes: requestBytes(request), answerLength: answers.get(request.target)?.length ?? 0 };
    }),
    onAnswer() {
      if (hasAnswered) return;
      hasAnswered = true;
      if (++answered === all) process.send?.({ busy: all } satisfies BusyMessage);
    },
    onFailure() {
      if (hasGone) return;
      hasGone = true;
      gone.push(process.hrtime.bigint().toString());
      if (gone.length === all) process.send?.({ gone } satisfies BusyMessage);
    },
  };
  if (work.over === 'websocket') echoOverOneTunnel(asking, 1);
  else askOverOneConnection(asking);
}

for (const name of ['small', 'websocket'] as const) {
  const work = works.find((one) => one.name === name);
  if (work === undefined) throw new Error(`no such work: ${name}`);
  for (let count = 0; count < counts[work.over]; count++) begin(work);
}
process.on('disconnect', () => process.exit(0));
