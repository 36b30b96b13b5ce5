// http-proxy behind the shared front, by its README: one proxy, one target, an agent that keeps connections alive.

import { ServerResponse } from 'node:http';
import httpProxy from 'http-proxy';
import { serveFront, upstreamAgent } from './node-front.ts';

serveFront((target) => {
  const proxy = httpProxy.createProxyServer({ target, agent: upstreamAgent() });
  proxy.on('error', (error, _request, response) => {
    if (response instanceof ServerResponse && !response.headersSent) response.writeHead(502).end(error.message);
    else response.destroy();
  });
  return {
    web: (request, response) => proxy.web(request, response),
    upgrade: (request, socket, head) => proxy.ws(request, socket, head),
  };
});
