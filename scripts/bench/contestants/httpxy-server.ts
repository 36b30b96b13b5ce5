// httpxy behind the shared front, by its README: one proxy, one target, an agent that keeps connections alive (its own
// default does so too, with fewer of them).

import { createProxyServer } from 'httpxy';
import { serveFront, upstreamAgent } from './node-front.ts';

serveFront((target) => {
  const proxy = createProxyServer({ target, agent: upstreamAgent() });
  return {
    web(request, response) {
      proxy.web(request, response).catch((error: unknown) => {
        if (response.headersSent) response.destroy();
        else response.writeHead(502).end(String(error));
      });
    },
    upgrade(request, socket, head) {
      proxy.ws(request, socket, { target }, head).catch(() => socket.destroy());
    },
  };
});
