import { describe, expect, test, vi } from 'vitest';
import { findOperation, objectOf, WEBSOCKET, writes } from '../../src/policy/operation.ts';
import { API_ROUTES } from '../../src/policy/routes.ts';

const ID = '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f';

/** `GET read_flow id=…`, or what the look-up gave instead. */
function found(method: string, path: string, base?: string): string | null {
  const operation = findOperation(method, path, base);
  if (operation === null) return null;
  const params = Object.entries(operation.params).map(([name, value]) => ` ${name}=${value}`);
  return `${operation.cls} ${operation.name}${params.join('')}`;
}

/** Of Prefect's two interfaces, as their routers have them; `$` stands for an id. */
const PAGES = [
  ...['/dashboard', '/login', '/runs', '/settings', '/notifications', '/collections', '/flow-runs', '/work-queues'],
  ...['/artifacts', '/artifacts/artifact/$', '/artifacts/key/$name', '/automations', '/automations/automation/$'],
  ...['/automations/automation/$/edit', '/automations/create', '/blocks', '/blocks/block/$', '/blocks/block/$/edit'],
  ...['/blocks/catalog', '/blocks/catalog/$name', '/blocks/catalog/$name/create', '/concurrency-limits'],
  ...[
    '/concurrency-limits/concurrency-limit/$',
    '/concurrency-limit-v2/$',
    '/deployments',
    '/deployments/deployment/$',
  ],
  ...['/deployments/deployment/$/run', '/deployments/deployment/$/edit', '/deployments/deployment/$/duplicate'],
  ...['/events', '/events/event/2026-11-30/$', '/flow-runs/flow-run/$', '/flow-runs/task-run/$', '/runs/flow-run/$'],
  ...['/flows', '/flows/flow/$', '/variables', '/work-pools', '/work-pools/create', '/work-pools/work-pool/$name'],
  ...['/work-pools/work-pool/$name/edit', '/work-pools/work-pool/$name/queue/$name', '/work-queues/work-queue/$'],
  ...['/assets/index-BD_kIOMy.js', '/favicon.ico', '/v2/assets/a.css', '/ui/x.svg'],
];

describe('findOperation', () => {
  test.each([
    ['POST', '/api/flows/', 'write create_flow'],
    ['POST', '/api/flows/filter', 'read read_flows'],
    ['GET', `/api/flows/${ID}`, `read read_flow id=${ID}`],
    ['GET', '/api/flows/name/etl', 'read read_flow_by_name name=etl'],
    ['GET', '/api/flows/name/name', 'read read_flow_by_name name=name'],
    ['GET', '/api/deployments/name/etl/prod', 'read read_deployment_by_name flow_name=etl deployment_name=prod'],
    ['POST', `/api/flow_runs/${ID}/set_state`, `run set_flow_run_state id=${ID}`],
    ['GET', `/api/artifacts/${ID}`, `read read_artifact id=${ID}`],
    ['GET', '/api/artifacts/report/latest', 'read read_latest_artifact key=report'],
    ['GET', `/api/artifacts/${ID}/latest`, `read read_latest_artifact key=${ID}`],
    ['GET', `/api/artifacts/${ID.toUpperCase()}/latest`, `read read_latest_artifact key=${ID.toUpperCase()}`],
    ['POST', '/api/artifacts/latest/filter', 'read read_latest_artifacts'],
    ['GET', '/api/work_pools/etl', 'read read_work_pool name=etl'],
    ['GET', '/api/work_pools/filter', 'read read_work_pool name=filter'],
    ['POST', '/api/work_pools/filter', 'read read_work_pools'],
    ['POST', '/api/work_pools/filter/queues', 'write create_work_queue work_pool_name=filter'],
    ['GET', '/api/work_pools/a/queues/b', 'read read_work_queue work_pool_name=a name=b'],
    ['PATCH', '/api/v2/concurrency_limits/db', 'write update_concurrency_limit_v2 id_or_name=db'],
    ['GET', '/api/variables/name/a/b', null],
    ['GET', '/api/flows/name/', null],
    ['GET', '/api/flows/etl', null],
    ['GET', '/api/nothing', null],
    ['GET', '/api/', null],
    ['DELETE', '/api/flows/', null],
    ['BREW', '/api/flows/', null],
  ])('knows %s %s', (method, path, expected) => {
    expect(found(method, path)).toBe(expected);
  });

  test('takes HEAD for the GET of the same path', () => {
    expect(found('HEAD', `/api/flows/${ID}`)).toBe(`read read_flow id=${ID}`);
  });

  test('takes a path that Prefect answers with a trailing-slash redirect for the operation that it leads to', () => {
    expect(found('POST', '/api/flows')).toBe('write create_flow');
    expect(found('GET', `/api/flows/${ID}/`)).toBe(`read read_flow id=${ID}`);
  });

  test('gives a UUID as Prefect reads it, however it was written', () => {
    for (const spelling of [ID.toUpperCase(), ID.replaceAll('-', ''), `${ID.slice(0, 8)}${ID.slice(9)}`]) {
      expect(found('DELETE', `/api/flows/${spelling}`)).toBe(`delete delete_flow id=${ID}`);
    }
    expect(found('DELETE', `/api/flows/${ID}0`)).toBeNull();
  });

  test('finds WebSocket routes for an upgrade only, and nothing else for an upgrade', () => {
    expect(found(WEBSOCKET, '/api/events/in')).toBe('ws-write stream_events_in');
    expect(found(WEBSOCKET, '/api/work_pools/etl/workers/connect')).toBe(
      'ws-poll worker_channel_connect work_pool_name=etl',
    );
    expect(found('GET', '/api/events/in')).toBeNull();
    expect(found('WS', '/api/events/in')).toBeNull();
    expect(found(WEBSOCKET, '/api/events/in/')).toBeNull();
    expect(found(WEBSOCKET, '/api/work_pools/etl/workers/connect/')).toBeNull();
    expect(found(WEBSOCKET, `/api/flows/${ID}`)).toBeNull();
    expect(found(WEBSOCKET, '/')).toBeNull();
  });

  test('names the interface, the documentation and the files around the API', () => {
    expect(found('GET', '/')).toBe('ui ui_static');
    expect(found('GET', '/v2/runs')).toBe('ui ui_static');
    expect(found('HEAD', '/assets/index.js')).toBe('ui ui_static');
    expect(found('GET', '/ui-settings')).toBe('ui ui_settings');
    expect(found('GET', '/api')).toBe('ui ui_static');
    expect(found('GET', '/apiary/flows/')).toBe('ui ui_static');
    expect(found('GET', '/ui-settings/')).toBe('ui ui_settings');
    expect(found('GET', '/docs')).toBe('docs swagger_ui_html');
    expect(found('GET', '/docsx')).toBe('ui ui_static');
    expect(found('GET', '/openapi.json')).toBe('docs openapi');
    expect(found('GET', '/api/openapi.json')).toBe('docs openapi');
    expect(found('GET', '/api/static/prefect.png')).toBe('docs static');
    expect(found('POST', '/api/static/prefect.png')).toBeNull();
    expect(found('GET', '/api/x/static/prefect.png')).toBeNull();
    expect(found('GET', '/api/metrics')).toBe('admin-read metrics');
    expect(found('POST', '/')).toBeNull();
    expect(found('POST', '/ui-settings')).toBeNull();
  });

  test('looks below another base path when one is configured, with or without its final slash', () => {
    for (const base of ['/team/prefect', '/team/prefect/']) {
      expect(found('POST', '/team/prefect/flows/', base)).toBe('write create_flow');
      expect(found('GET', `/team/prefect/flows/${ID}`, base)).toBe(`read read_flow id=${ID}`);
      expect(found('POST', '/api/flows/', base)).toBeNull();
      expect(found('GET', '/api/flows', base)).toBe('ui ui_static');
    }
    expect(found('GET', `/flows/${ID}`, '/')).toBe(`read read_flow id=${ID}`);
    expect(found('GET', '/anything', '/')).toBeNull();
  });

  test('is unknown where it reads what the API has, below a base path that is not configured: a page it is not', () => {
    for (const base of ['', '/app', '/app/api', '/prefect', '/prefect/api', '/v2', '/a/b/c']) {
      for (const read of API_ROUTES.filter(
        ([method, , , , ...needs]) => method === 'GET' && needs.some((one) => one !== 'bound'),
      )) {
        const path = read[1].replaceAll(/\{\w+:uuid\}/g, ID).replaceAll(/\{\w+\}/g, 'x');
        expect(found('GET', `${base}${path}`), `${base}${path}`).toBeNull();
        expect(found('GET', `${base}${path.endsWith('/') ? path.slice(0, -1) : `${path}/`}`), base).toBeNull();
      }
      expect(found('HEAD', `${base}/block_documents/${ID}`)).toBeNull();
    }
  });

  test('is looked for no further than any route goes, however many segments a path has', () => {
    const deep = (path: string) => `${'/a'.repeat(16_000)}${path}`;
    expect(found('GET', deep(`/flows/${ID}`))).toBeNull();
    expect(found('GET', deep('/flows'))).toBe('ui ui_static');
    const looks = vi.spyOn(Map.prototype, 'get');
    found('GET', deep(''));
    const count = looks.mock.calls.length;
    looks.mockRestore();
    expect(count).toBeLessThan(200);
  });

  test.each(PAGES)('takes a page of the interface for one: %s', (page) => {
    for (const before of ['', '/v2']) {
      const path = `${before}${page.replaceAll('$name', 'a.b').replaceAll('$', ID)}`;
      expect([found('GET', path), found('GET', `${path}/`)], path).toEqual(['ui ui_static', 'ui ui_static']);
    }
  });

  test('is not led astray by names that objects inherit', () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect(found('GET', `/api/${name}`)).toBeNull();
      expect(found(name, '/api/flows/')).toBeNull();
      expect(found('GET', `/api/flows/name/${name}`)).toBe(`read read_flow_by_name name=${name}`);
    }
  });
});

describe('the route table', () => {
  test('has all 192 operations, each found by a path made from its template', () => {
    expect(API_ROUTES).toHaveLength(192);
    for (const [method, route, cls, name] of API_ROUTES) {
      const path = `/api${route.replace(/\{\w+:uuid\}/g, ID).replace(/\{\w+\}/g, 'x')}`;
      expect(findOperation(method === 'WS' ? WEBSOCKET : method, path)).toMatchObject({ name, cls, route });
    }
  });

  test('has no two routes of one method for one path, so that their order says nothing', () => {
    const fits = (a: string, b: string): boolean => {
      if (a === b) return true;
      if (!a.startsWith('{')) return b.startsWith('{') ? fits(b, a) : false;
      if (b.startsWith('{')) return true;
      return a.endsWith(':uuid}') ? /^[0-9a-f-]{32,36}$/i.test(b) : b !== '';
    };
    for (const [i, [method, path]] of API_ROUTES.entries()) {
      for (const [otherMethod, other] of API_ROUTES.slice(i + 1)) {
        const [left, right] = [path.split('/'), other.split('/')];
        const both = left.length === right.length && left.every((segment, at) => fits(segment, right[at] ?? ''));
        expect(method === otherMethod && both, `${method} ${path} and ${other}`).toBe(false);
      }
    }
  });
});

describe('writes', () => {
  test('says no for what only reads, even by POST', () => {
    for (const [method, path] of [
      ['POST', '/api/flows/filter'],
      ['GET', `/api/flows/${ID}`],
      ['GET', '/api/csrf-token'],
      ['GET', '/api/health'],
      ['GET', '/api/admin/settings'],
      ['GET', '/'],
      ['GET', '/docs'],
      [WEBSOCKET, '/api/events/out'],
    ] as const) {
      expect(writes(findOperation(method, path), method), `${method} ${path}`).toBe(false);
    }
  });

  test('says yes for what changes anything, hands out work or reports', () => {
    for (const [method, path] of [
      ['POST', '/api/flows/'],
      ['DELETE', `/api/flows/${ID}`],
      ['POST', `/api/flow_runs/${ID}/set_state`],
      ['POST', '/api/logs/'],
      ['POST', '/api/events'],
      ['POST', '/api/work_pools/etl/get_scheduled_flow_runs'],
      ['PUT', '/api/admin/storage'],
      [WEBSOCKET, '/api/events/in'],
      [WEBSOCKET, '/api/work_pools/etl/workers/connect'],
    ] as const) {
      expect(writes(findOperation(method, path), method), `${method} ${path}`).toBe(true);
    }
  });

  test('takes what is unknown for a write unless the method is safe', () => {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) expect(writes(null, method)).toBe(false);
    for (const method of ['POST', 'BREW', 'get', WEBSOCKET, '']) expect(writes(null, method)).toBe(true);
  });
});

describe('objectOf', () => {
  test('is what the path names, or nothing', () => {
    const objectIn = (method: string, path: string): string | null => {
      const operation = findOperation(method, path);
      return operation === null ? null : objectOf(operation);
    };
    expect(objectIn('GET', `/api/flows/${ID}`)).toBe(ID);
    expect(objectIn('GET', '/api/deployments/name/etl/prod')).toBe('etl/prod');
    expect(objectIn('POST', '/api/flows/')).toBeNull();
  });
});
