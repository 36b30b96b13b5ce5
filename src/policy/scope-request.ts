// A request within a scope: what its operation's rule says of its path and query, and of its body. Pure: it answers which
// objects must be within, and whoever can ask Prefect finds out whether they are.

import type { Operation } from './operation.ts';
import type { Scope } from './scope.ts';
import { type Examined, examineBody } from './scope-body.ts';
import { type Need, resourceRef, uuidOf } from './scope-refs.ts';
import { type Checked, scopeRule } from './scope-rules.ts';
import { parseStrictJson } from './strict-json.ts';

/** What a scope says of an operation at a target, before its body is known. */
export type Bounds =
  /** The scope is no matter. */
  | { readonly kind: 'open' }
  /** Why it goes beyond the scope, to stand after "it …". */
  | { readonly kind: 'refuse'; readonly why: string }
  /** All of `needs` must be within; `readBody` when its body must be examined too. */
  | { readonly kind: 'check'; readonly needs: readonly Need[]; readonly readBody: boolean };

const OPEN: Bounds = { kind: 'open' };
const refuse = (why: string): Bounds => ({ kind: 'refuse', why });

/** What `scope` says of `operation` (null: unknown) at `target`. */
export function boundsOf(operation: Operation | null, target: string, scope: Scope): Bounds {
  const rule = scopeRule(operation);
  if (rule === 'open') return OPEN;
  if (scope.torn) return refuse('has two scopes that cannot be joined');
  if (rule === 'refused' || operation === null) return refuse('cannot be kept within a scope');
  if (rule.hands === true && scope.tag !== null) return refuse('hands out what is in a pool, whatever its tags');
  const needs: Need[] = [];
  const pool = rule.pool === undefined ? undefined : operation.params[rule.pool];
  if (pool !== undefined) {
    const why = poolProblem(operation, pool, scope);
    if (why !== null) return refuse(why);
  } else if (rule.object !== undefined) {
    const need = objectNeed(rule.object, operation);
    if (need === null) return refuse('is about nothing that can be kept within a scope');
    const queue = need.ref.type === 'work_queue';
    if (queue && scope.tag !== null && operation.cls !== 'read') return refuse(UNTAGGED);
    if (!queue || scope.pools !== null) needs.push(need);
  } else if (rule.pool !== undefined) return refuse('is about no pool');
  if (rule.query !== undefined) {
    const [type, name] = rule.query;
    const id = uuidOf(onlyInQuery(target, name));
    if (id === null) return refuse(`does not say once, by ${name}, whose it wants`);
    needs.push({ ref: { type, id }, absent: 'pass' });
  }
  return { kind: 'check', needs, readBody: rule.body !== undefined };
}

/** The same for its body; a problem with the body itself ends the sentence "the body …". */
export function examineText(
  operation: Operation,
  text: string,
  scope: Scope,
): Examined | { readonly kind: 'bad'; readonly problem: string } {
  const rule = scopeRule(operation);
  const body = typeof rule === 'string' ? undefined : rule.body;
  if (body === undefined) return { kind: 'pass', needs: [], body: null };
  const read = parseStrictJson(text);
  if (!read.ok) return { kind: 'bad', problem: read.problem };
  // What says null, or nothing, gets Prefect's defaults: that is everything.
  const value = read.value ?? (body.kind === 'narrow' || body.kind === 'name' ? {} : null);
  return examineBody(body, value, scope, operation.params['id'] ?? null);
}

const UNTAGGED = 'changes a pool, which carries no tag';

function poolProblem(operation: Operation, pool: string, scope: Scope): string | null {
  if (scope.pools?.includes(pool) === false) return 'is about another pool';
  // Within a tag pools are shared by teams, and are read.
  return scope.tag === null || operation.cls === 'read' ? null : UNTAGGED;
}

function objectNeed([type, ...names]: NonNullable<Checked['object']>, operation: Operation): Need | null {
  const values = names.map((name) => operation.params[name]);
  if (!values.every((value) => value !== undefined && value !== '')) return null;
  const id = values.join('/');
  if (type !== 'resource') return { ref: { type, id }, absent: 'pass' };
  const ref = resourceRef(id);
  // Flows are shared: what is a flow's is not one team's.
  if (ref === null || ref === 'wrong' || ref.type === 'flow') return null;
  return { ref, absent: 'refuse' };
}

/** A UUID in the query by `name`, which must stand there once in its plain spelling. */
export function onlyInQuery(target: string, name: string): string | null {
  const mark = target.indexOf('?');
  const pairs = mark === -1 ? [] : target.slice(mark + 1).split('&');
  const [pair, more] = pairs.filter((one) => one.startsWith(`${name}=`));
  if (pair === undefined || more !== undefined) return null;
  // Another spelling of the name would be read too, and the last counts.
  if (pairs.some((one) => one !== pair && one !== '' && /[%+]/.test(one.split('=')[0] ?? ''))) return null;
  return pair.slice(name.length + 1);
}
