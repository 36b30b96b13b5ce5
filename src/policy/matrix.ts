// The route table and the built-in roles against each other: every operation with what it needs and who may do it. Made by
// the same decision as the gate's, for the docs and for a table in the tests that a person has looked at row by row.

import { findOperation, WEBSOCKET } from './operation.ts';
import { BUILT_IN_ROLES, type BuiltInRole, type Permission } from './permissions.ts';
import { compilePolicy } from './policy.ts';
import { API_EXTRA_ROUTES, API_ROUTES, ROOT_ROUTES, type Route } from './routes.ts';
import { ruleWords } from './scope-words.ts';

export interface MatrixRow {
  /** `WS` for a WebSocket. */
  readonly method: string;
  /** With the base path /api, without the converters. */
  readonly path: string;
  readonly name: string;
  /** Empty for what everyone with a role may do. */
  readonly needs: readonly Permission[];
  readonly may: readonly BuiltInRole[];
  /** What keeps it within a scope: `open`, `refused`, or what is looked at. */
  readonly scope: string;
}

const ROLES = Object.keys(BUILT_IN_ROLES) as readonly BuiltInRole[];

/** Every operation, in the order of the table; then what is around the API. */
export function roleMatrix(): readonly MatrixRow[] {
  const policy = compilePolicy({
    mode: 'enforce',
    secrets: 'refuse',
    roles: [],
    bindings: ROLES.map((role) => ({
      place: '',
      roles: [{ text: role, place: '' }],
      identities: [`user/${role.toLowerCase()}`],
      matches: null,
    })),
  });
  const rows = (prefix: string, routes: readonly Route[]): MatrixRow[] =>
    routes.map(([method, route, , name]) => {
      const path = prefix + route;
      const some = path.replaceAll(/\{\w+:uuid\}/g, ID).replaceAll(/\{\w+\}/g, 'x');
      const operation = findOperation(method === 'WS' ? WEBSOCKET : method, some);
      if (operation?.name !== name) throw new TypeError(`${method} ${path} is not found by its own path`);
      const may = ROLES.filter((role) => policy.grants(`user/${role.toLowerCase()}`).rule(operation).permit);
      return {
        method,
        path: path.replaceAll(':uuid}', '}'),
        name,
        needs: operation.needs,
        may,
        scope: ruleWords(operation),
      };
    });
  return [...rows('/api', API_ROUTES), ...rows('/api', API_EXTRA_ROUTES), ...rows('', ROOT_ROUTES)];
}

const ID = '00000000-0000-4000-8000-000000000000';
