// The route table against what a Prefect says of itself in its openapi.json: which operations it has that the table does not
// know (they are refused to all but an Owner), and which the table has that it lacks. WebSockets are in no openapi.json.

import { API_EXTRA_ROUTES, API_ROUTES } from './routes.ts';

export interface RouteDifference {
  /** How many operations it describes. */
  readonly described: number;
  /** `METHOD /path` below the API's base, in the order of the description. */
  readonly added: readonly string[];
  readonly gone: readonly string[];
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'head', 'options', 'trace'];

/** Compares a parsed openapi.json; null when it is none. */
export function compareRoutes(openapi: unknown): RouteDifference | null {
  const paths = typeof openapi === 'object' && openapi !== null && 'paths' in openapi ? openapi.paths : null;
  if (typeof paths !== 'object' || paths === null || Array.isArray(paths)) return null;
  const described = Object.entries(paths).flatMap(([path, item]: [string, unknown]) => {
    const members = typeof item === 'object' && item !== null ? Object.keys(item) : [];
    return members.filter((one) => METHODS.includes(one)).map((method) => `${method.toUpperCase()} ${plain(path)}`);
  });
  const known = new Set(
    [...API_ROUTES, ...API_EXTRA_ROUTES].flatMap(([method, path]) =>
      method === 'WS' ? [] : [`${method} ${plain(path)}`],
    ),
  );
  const has = new Set(described);
  const table = API_ROUTES.flatMap(([method, path]) => (method === 'WS' ? [] : [`${method} ${plain(path)}`]));
  return {
    described: described.length,
    added: described.filter((one) => !known.has(one)),
    gone: table.filter((one) => !has.has(one)),
  };
}

/** Without the base path, which a server at its root describes too, and without the converters. */
function plain(path: string): string {
  return path.replace(/^\/api(?=\/)/, '').replaceAll(/:\w+\}/g, '}');
}
