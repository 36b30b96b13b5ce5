// Which of Prefect's operations a request is. The route table is compiled once per base path into one map of whole paths
// for routes without parameters and one trie of segments per method for the rest; a look-up walks the path once.
// It answers as Starlette's router would for the decoded path: exact segments before parameters, `{id:uuid}` only for a
// UUID, WebSocket routes apart from HTTP, and a path that differs by its trailing slash (Prefect answers 307) as the
// operation it leads to. What Prefect would not route is null, never a guess.

import { BOUND, type Permission } from './permissions.ts';
import {
  API_EXTRA_ROUTES,
  API_ROUTES,
  type OperationClass,
  ROOT_ROUTES,
  type Route,
  type RouteMethod,
} from './routes.ts';

/**
 * The method to ask for when a request is a WebSocket upgrade. Its parentheses are no token characters (RFC 9110
 * §5.6.2), so no client can send it as a method.
 */
export const WEBSOCKET = '(websocket)';

export interface Operation {
  /** Prefect's handler, e.g. `read_flow`; six names serve two routes, `route` with the method is unique. */
  readonly name: string;
  readonly cls: OperationClass;
  /** The path's template below the base path, e.g. `/flows/{id:uuid}`. */
  readonly route: string;
  /** The permissions it needs, all of them; none for what everyone with a role may do. One array for each set. */
  readonly needs: readonly Permission[];
  /** By the template's names, decoded; a UUID in its canonical lower-case form, as Prefect reads it. */
  readonly params: Readonly<Record<string, string>>;
}

interface Leaf {
  readonly operation: Operation;
  readonly names: readonly string[];
}

interface Node {
  readonly exact: Map<string, Node>;
  uuid: Node | null;
  any: Node | null;
  leaf: Leaf | null;
}

/** One method's routes: whole paths, with the base path, and a trie for those with parameters. */
interface Method {
  readonly whole: Map<string, Operation>;
  readonly trie: Node;
}

interface Table {
  readonly base: string;
  readonly methods: ReadonlyMap<string, Method>;
  /** Slashes in the longest route, without the base path. */
  readonly deepest: number;
}

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze({});
/** By their names joined: what is decided about one operation holds for all that need the same. */
const needsOf = new Map<string, readonly Permission[]>();
const API_STATIC = fixed(['GET', '/static/', 'docs', 'static', BOUND]);
const UI_STATIC = fixed(['GET', '/', 'ui', 'ui_static', BOUND]);
const UUID = /^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$/;

/** Compiled tables by base path; bases come from configuration, never from a peer. */
const tables = new Map<string, Table>();

/**
 * The operation that Prefect's router would run. `method` is the request's, or WEBSOCKET for an upgrade; HEAD is looked up
 * as GET (Prefect answers 405 to most). `path` is canonicalPath's decoded path; `base` is Prefect's
 * PREFECT_SERVER_API_BASE_PATH. Null when Prefect has no such operation, or would answer 404 or 405.
 */
export function findOperation(method: string, path: string, base = '/api'): Operation | null {
  const table = tables.get(base) ?? compile(base);
  const routed = method === 'HEAD' ? 'GET' : method;
  const routes = table.methods.get(routed);
  if (routes === undefined) return null;
  const whole = routes.whole.get(path);
  if (whole !== undefined) return whole;
  const inApi = path.startsWith('/', table.base.length) && path.startsWith(table.base);
  if (!inApi) {
    if (routed !== 'GET') return null;
    const own = path.endsWith('/') ? routes.whole.get(path.slice(0, -1)) : undefined;
    return own ?? (readsElsewhere(table, routes, path) ? null : UI_STATIC);
  }
  const found = walk(routes.trie, path, table.base.length + 1, []);
  if (found !== null) return found;
  if (routed === 'GET' && path.startsWith('/static/', table.base.length)) return API_STATIC;
  return routed === WEBSOCKET ? null : redirected(table, routes, path);
}

/**
 * Whether it may change anything, for the audit record. Classes that only read, and the CSRF token, don't; `poll`,
 * `ws-poll` and `telemetry` do. What is unknown counts as a write unless its method is GET, HEAD or OPTIONS.
 */
export function writes(operation: Operation | null, method: string): boolean {
  if (operation === null) return method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS';
  switch (operation.cls) {
    case 'read':
    case 'admin-read':
    case 'ws-read':
    case 'session':
    case 'probe':
    case 'ui':
    case 'docs':
      return false;
    default:
      return true;
  }
}

/** What the operation is about, for the record: its parameters in order, joined by `/`; null when it has none. */
export function objectOf(operation: Operation): string | null {
  const values = Object.values(operation.params);
  return values.length === 0 ? null : values.join('/');
}

/**
 * Whether it would be one of the API's reads below another base path. A Prefect that has its API there would answer it, and a
 * page of the interface is called nothing like it.
 */
function readsElsewhere(table: Table, routes: Method, path: string): boolean {
  // What has more segments than any route is none, and a client may send thousands.
  let left = table.deepest + 1;
  for (let at = path.lastIndexOf('/'); at !== -1 && left > 0; at = at === 0 ? -1 : path.lastIndexOf('/', at - 1)) {
    left--;
    const below = table.base + path.slice(at);
    const found =
      lookUp(table, routes, below) ?? lookUp(table, routes, below.endsWith('/') ? below.slice(0, -1) : `${below}/`);
    if (found !== null && found.needs.length > 0) return true;
  }
  return false;
}

/** Starlette's redirect_slashes: only when no method at all has the path as it stands. */
function redirected(table: Table, routes: Method, path: string): Operation | null {
  for (const [name, other] of table.methods) {
    if (name !== WEBSOCKET && lookUp(table, other, path) !== null) return null;
  }
  return lookUp(table, routes, path.endsWith('/') ? path.slice(0, -1) : `${path}/`);
}

function lookUp(table: Table, routes: Method, path: string): Operation | null {
  return routes.whole.get(path) ?? walk(routes.trie, path, table.base.length + 1, []);
}

/** Matches path[start…] segment by segment below `node`; `values` holds the parameters so far. */
function walk(node: Node, path: string, start: number, values: string[]): Operation | null {
  if (start > path.length) return node.leaf === null ? null : bound(node.leaf, values);
  const slash = path.indexOf('/', start);
  const end = slash === -1 ? path.length : slash;
  const segment = path.slice(start, end);
  const exact = node.exact.get(segment);
  if (exact !== undefined) {
    const found = walk(exact, path, end + 1, values);
    if (found !== null) return found;
  }
  if (node.uuid !== null && UUID.test(segment)) {
    values.push(canonicalUuid(segment));
    const found = walk(node.uuid, path, end + 1, values);
    if (found !== null) return found;
    values.pop();
  }
  if (node.any !== null && segment !== '') {
    values.push(segment);
    const found = walk(node.any, path, end + 1, values);
    if (found !== null) return found;
    values.pop();
  }
  return null;
}

function bound(leaf: Leaf, values: readonly string[]): Operation {
  const params: Record<string, string> = {};
  for (let i = 0; i < leaf.names.length; i++) params[leaf.names[i] ?? ''] = values[i] ?? '';
  const { name, cls, route, needs } = leaf.operation;
  return { name, cls, route, needs, params };
}

function canonicalUuid(text: string): string {
  const lower = text.toLowerCase();
  if (lower.length === 36) return lower;
  return lower.replaceAll('-', '').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function compile(base: string): Table {
  const prefix = base.replace(/\/+$/, '');
  const methods = new Map<string, Method>();
  // Starlette asks the root's own routes before it asks the mounted API.
  for (const route of ROOT_ROUTES) add(methods, '', route);
  for (const route of [...API_ROUTES, ...API_EXTRA_ROUTES]) add(methods, prefix, route);
  const all = [...ROOT_ROUTES, ...API_ROUTES, ...API_EXTRA_ROUTES];
  const deepest = Math.max(...all.map(([, path]) => path.split('/').length - 1));
  const table = { base: prefix, methods, deepest };
  tables.set(base, table);
  return table;
}

function add(methods: Map<string, Method>, prefix: string, route: Route): void {
  const [method, path] = route;
  const name: RouteMethod | typeof WEBSOCKET = method === 'WS' ? WEBSOCKET : method;
  const routes = methods.get(name) ?? { whole: new Map(), trie: newNode() };
  methods.set(name, routes);
  if (!path.includes('{')) {
    const whole = prefix + path;
    if (!routes.whole.has(whole)) routes.whole.set(whole, fixed(route));
    return;
  }
  const names: string[] = [];
  let node = routes.trie;
  for (const segment of path.slice(1).split('/')) {
    const parameter = /^\{(\w+)(?::(uuid))?\}$/.exec(segment);
    if (parameter === null) node = child(node.exact, segment);
    else {
      names.push(propertyName(parameter[1] ?? ''));
      if (parameter[2] === 'uuid') node = node.uuid ??= newNode();
      else node = node.any ??= newNode();
    }
  }
  node.leaf ??= { operation: fixed(route), names };
}

function child(nodes: Map<string, Node>, segment: string): Node {
  const known = nodes.get(segment) ?? newNode();
  nodes.set(segment, known);
  return known;
}

function newNode(): Node {
  return { exact: new Map(), uuid: null, any: null, leaf: null };
}

/** The same text as V8 keeps property names: a part of a match would be looked up as one anew with each request. */
function propertyName(text: string): string {
  return Object.keys({ [text]: null })[0] ?? text;
}

function fixed(route: Route): Operation {
  const [, path, cls, name, ...needed] = route;
  const key = needed.join(' ');
  const needs = needsOf.get(key) ?? needed.filter((one) => one !== BOUND);
  needsOf.set(key, needs);
  return Object.freeze({ name, cls, route: path, needs, params: NO_PARAMS });
}
