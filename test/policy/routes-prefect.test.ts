// The route table and findOperation against the router of the Prefect that is installed, asked without running a
// handler: same operations, same names, same parameters, and for any path the same choice.

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findOperation, WEBSOCKET } from '../../src/policy/operation.ts';
import { API_ROUTES } from '../../src/policy/routes.ts';
import { compareRoutes } from '../../src/policy/sync.ts';
import { type PythonScript, prefectPython, startScript } from './prefect-python.ts';

const missing = 'missing' in prefectPython ? prefectPython.missing : null;
if (missing !== null) process.stderr.write(`skipped: the route table against Prefect: ${missing}\n`);

type Row = readonly [method: string, path: string, name: string];

interface Installed {
  readonly prefect: string;
  readonly operations: readonly Row[];
  readonly openapi: readonly (readonly [method: string, path: string])[];
}

interface Choice {
  readonly status: number;
  readonly name?: string;
  readonly route?: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly location?: string;
}

const ID = '0F3C1F1E7A544C9B9A3F2D2B1C0D9E8F';
const TIMEOUT = 300_000;

/** `{id:uuid}` stays; `{name:str}` is what `{name}` means. */
const plainTemplate = (path: string): string => path.replaceAll(':str}', '}');

/** A path that the template matches, its parameters taken from `values` in turn. */
function sample(route: string, values: readonly string[]): string {
  let next = 0;
  return route.replace(/\{\w+(:uuid)?\}/g, (_, uuid) =>
    uuid === undefined ? (values[next++ % values.length] ?? '') : ID,
  );
}

describe.skipIf(missing !== null)('the installed Prefect', () => {
  let script: PythonScript;
  let installed: Installed;

  beforeAll(async () => {
    script = startScript('path' in prefectPython ? prefectPython.path : '', 'router.py');
    installed = (await script.ask()) as Installed;
  }, TIMEOUT);

  afterAll(() => script?.stop());

  async function prefectChoice(method: string, path: string): Promise<Choice> {
    const websocket = method === WEBSOCKET;
    return (await script.ask({ method: websocket ? 'GET' : method, path, websocket })) as Choice;
  }

  /** Asks both and compares what they would run. */
  async function agree(method: string, path: string): Promise<void> {
    const theirs = await prefectChoice(method, path);
    const ours = findOperation(method, path);
    const said = `${method} ${path}: Prefect ${JSON.stringify(theirs)}, certgate ${JSON.stringify(ours)}`;
    if (theirs.status === 200 && theirs.name === 'static') {
      // Prefect hands every method to its static files, which answer 405 to all but GET and HEAD.
      const name = theirs.route === '/api/static' ? 'static' : 'ui_static';
      expect(ours?.name ?? null, said).toBe(method === 'GET' ? name : null);
    } else if (theirs.status === 200) {
      expect({ name: ours?.name, params: ours?.params }, said).toEqual({ name: theirs.name, params: theirs.params });
      expect(ours?.route, said).toBe(plainTemplate(theirs.route ?? ''));
    } else if (theirs.status === 307) {
      const led = new URL(theirs.location ?? '').pathname;
      expect(ours, said).toEqual(findOperation(method, decodeURIComponent(led)));
    } else {
      expect([404, 405], said).toContain(theirs.status);
      expect(ours, said).toBeNull();
    }
  }

  test('has exactly the operations of the table, with their names and parameters', () => {
    const theirs = installed.operations
      .map(([method, path, name]) => `${method} ${plainTemplate(path)} ${name}`)
      .filter((operation) => operation !== 'GET /metrics metrics');
    expect(theirs.toSorted()).toEqual(
      API_ROUTES.map(([method, path, , name]) => `${method} ${path} ${name}`).toSorted(),
    );
  });

  test('describes in its openapi.json the HTTP operations of the table and no other', () => {
    const table = API_ROUTES.filter(([method]) => method !== 'WS').map(
      ([method, path]) => `${method} ${path.replaceAll(':uuid}', '}')}`,
    );
    const theirs = installed.openapi.map(([method, path]) => `${method} ${path}`);
    expect(theirs.filter((operation) => operation !== 'GET /metrics').toSorted()).toEqual(table.toSorted());
  });

  test('has, by `certgate policy sync`, nothing that the table does not know, and lacks nothing of it', () => {
    const paths: Record<string, Record<string, object>> = {};
    for (const [method, path] of installed.openapi) {
      paths[`/api${path}`] = { ...paths[`/api${path}`], [method.toLowerCase()]: {} };
    }
    expect(compareRoutes({ paths })).toEqual({ described: installed.openapi.length, added: [], gone: [] });
    delete paths['/api/flows/count'];
    paths['/api/dreams/'] = { post: {} };
    expect(compareRoutes({ paths })).toMatchObject({ added: ['POST /dreams/'], gone: ['POST /flows/count'] });
    expect(compareRoutes({ openapi: '3.1.0' })).toBeNull();
  });

  test(
    'chooses the same handler for a sample path of each operation, and for that path by each other method',
    async () => {
      // Methods share a path, and a path without parameters is the same with any of them.
      const paths = new Set(
        API_ROUTES.flatMap(([, route]) =>
          [['x'], ['a b', 'ü;%?#'], ['filter', 'latest'], ['name', 'count', ID]].map(
            (values) => `/api${sample(route, values)}`,
          ),
        ),
      );
      for (const path of paths) {
        for (const method of ['GET', 'POST', 'PATCH', 'PUT', 'DELETE', WEBSOCKET]) await agree(method, path);
      }
    },
    TIMEOUT,
  );

  test(
    'chooses the same for each path with its trailing slash added or taken away',
    async () => {
      for (const [method, route] of API_ROUTES) {
        const path = `/api${sample(route, ['x', 'y'])}`;
        await agree(method === 'WS' ? WEBSOCKET : method, path.endsWith('/') ? path.slice(0, -1) : `${path}/`);
      }
    },
    TIMEOUT,
  );

  test(
    'chooses the same around the API: the interface, its settings, documentation and static files',
    async () => {
      for (const path of [
        '/',
        '/ui-settings',
        '/docs',
        '/redoc',
        '/openapi.json',
        '/docs/oauth2-redirect',
        '/v2/',
        '/x/y',
      ]) {
        await agree('GET', path);
        await agree('POST', path === '/' ? path : `/api${path}`);
        await agree('GET', `/api${path}`);
      }
      for (const path of [
        '/api',
        '/apis',
        '/api/static/a',
        '/api/static/a/b.js',
        '/api/metrics',
        '/API/flows/',
        '/docs/',
      ]) {
        await agree('GET', path);
      }
    },
    TIMEOUT,
  );

  test(
    'chooses the same for any path put together from pieces of the table',
    async () => {
      const pieces = [
        ...new Set(API_ROUTES.flatMap(([, path]) => path.split('/').map((piece) => piece.replace(/^\{.*/, ID)))),
      ];
      const path = fc
        .tuple(
          fc.constantFrom(...pieces),
          fc.array(fc.constantFrom(...pieces, 'x', '0', 'ü', ';', '%'), { maxLength: 5 }),
        )
        .map(([first, rest]) => `/api/${[first, ...rest].join('/')}`)
        .filter((text) => !text.includes('//'));
      const method = fc.constantFrom('GET', 'POST', 'PATCH', 'DELETE', WEBSOCKET);
      await fc.assert(fc.asyncProperty(method, path, agree), { numRuns: 1500 });
    },
    TIMEOUT,
  );
});
