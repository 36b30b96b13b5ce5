import { expect, test } from 'vitest';
import { whenAvailable } from './harness/api.ts';
import { within } from './harness/eventually.ts';
import { house, sharedPrefect } from './harness/scenario.ts';
import { type Answer, ask, openTcp } from './harness/wire.ts';

/** Connection management is each hop's own, and every answer has its own time. */
const PER_ANSWER = new Set(['date', 'connection', 'keep-alive', 'x-request-id']);

test('GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS get the same answers with and without the gate: 200, 201, 204, 304, 307, 404, 405, 422', async () => {
  const home = await house();
  const [gate, identity] = await Promise.all([home.serve({ upstream: sharedPrefect() }), home.issue('user/alice')]);
  const sidecar = await home.connect(gate, identity);
  const [direct, through] = [Number(new URL(sharedPrefect()).port), sidecar.port];

  const statuses = new Map<string, number>();
  const send = async (
    port: number,
    name: string,
    method: string,
    target: string,
    body?: unknown,
    lines: string[] = [],
  ): Promise<Answer> => {
    const text = body === undefined ? '' : JSON.stringify(body).replaceAll('NAME', name);
    const framing =
      body === undefined ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(text)}`];
    // The Host is the same in both, so that links in the answers are too.
    const head = [
      `${method} ${target.replaceAll('NAME', name)} HTTP/1.1`,
      'Host: localhost',
      ...lines,
      ...framing,
      '',
      '',
    ];
    const way = port === direct ? 'directly' : 'through the gate';
    return await whenAvailable(
      async () => {
        // One that waited while the other way met a collision would be ended by Prefect, after five seconds.
        const wire = await openTcp(port);
        try {
          return await within(`${method} ${target} ${way}`, ask(wire, head.join('\r\n') + text, method), 30_000);
        } finally {
          wire.socket.destroy();
        }
      },
      (answer) => ({ status: answer.status, maintenance: 'prefect-maintenance' in answer.headers }),
    );
  };
  /** Sends one request both ways, under names that only differ in a letter, and compares everything but ids and times. */
  const same = async (
    label: string,
    method: string,
    target: string,
    body?: unknown,
    ...lines: string[]
  ): Promise<[Answer, Answer]> => {
    const [a, b] = [
      await send(direct, 'a', method, target, body, lines),
      await send(through, 'b', method, target, body, lines),
    ];
    const plain = (answer: Answer, name: string) => ({
      status: answer.status,
      headers: Object.entries(answer.headers)
        .filter(([header]) => !PER_ANSWER.has(header))
        .map(([header, value]) => `${header}: ${value}`)
        .toSorted(),
      body: answer.body
        .toString('utf8')
        .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'UUID')
        .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
        .replaceAll(`method-${name}`, 'method-NAME'),
    });
    expect(plain(b, 'b'), label).toEqual(plain(a, 'a'));
    statuses.set(label, a.status);
    return [a, b];
  };
  const idOf = (answer: Answer): string => (JSON.parse(answer.body.toString()) as { id: string }).id;
  /** The same for requests about an object that each way has made for itself. */
  const sameOf = async (
    label: string,
    made: readonly [Answer, Answer],
    method: string,
    path: string,
    body?: unknown,
  ): Promise<void> => {
    const answers = [
      await send(direct, 'a', method, path + idOf(made[0]), body),
      await send(through, 'b', method, path + idOf(made[1]), body),
    ] as const;
    expect([answers[1].status, answers[1].body.length], label).toEqual([answers[0].status, answers[0].body.length]);
    statuses.set(label, answers[0].status);
  };

  await same('GET', 'GET', '/api/health');
  await same('GET with a query', 'GET', '/api/collections/views/no-such-view?a=%2F&b=%C3%A9');
  await same('HEAD of a file', 'HEAD', '/index.html');
  const made = await same('POST', 'POST', '/api/variables/', { name: 'method-NAME', value: 'é' });
  await sameOf('PATCH', made, 'PATCH', '/api/variables/', { value: 2 });
  await sameOf('GET of it', made, 'GET', '/api/variables/');
  await sameOf('DELETE', made, 'DELETE', '/api/variables/');
  await sameOf('DELETE again', made, 'DELETE', '/api/variables/');
  const search = { name: 'method-NAME', filters: [] };
  await same('PUT', 'PUT', '/api/saved_searches/', search);
  await same(
    'OPTIONS',
    'OPTIONS',
    '/api/flows/',
    undefined,
    'Origin: http://localhost',
    'Access-Control-Request-Method: POST',
  );
  await same('a method not allowed', 'DELETE', '/api/health');
  await same('not found', 'GET', '/api/no/such/route');
  await same('unprocessable', 'POST', '/api/variables/', { value: 'nameless' });
  await same('redirected', 'POST', '/api/variables', { name: 'method-NAME' });
  await same('a POST without a body', 'POST', '/api/block_types/install_system_block_types');
  const file = await send(direct, 'a', 'GET', '/index.html');
  await same('not modified', 'GET', '/index.html', undefined, `If-None-Match: ${file.headers['etag'] ?? ''}`);

  expect(Object.fromEntries(statuses)).toMatchObject({
    GET: 200,
    'HEAD of a file': 200,
    POST: 201,
    PATCH: 204,
    'GET of it': 200,
    DELETE: 204,
    'DELETE again': 404,
    PUT: 201,
    OPTIONS: 200,
    'a method not allowed': 405,
    'not found': 404,
    unprocessable: 422,
    redirected: 307,
    'not modified': 304,
  });
  // A method that no operation of Prefect has goes no further than the sidecar.
  expect((await send(through, 'b', 'PROPFIND', '/api/health')).status).toBe(501);
});
