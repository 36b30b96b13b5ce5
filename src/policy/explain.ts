// What a policy says about one request of one identity, and why; also the policy's own tests, which are such questions
// with the answer that is wanted. The same functions decide here and at the gate: an explanation can't differ from it.

import { findOperation, type Operation, WEBSOCKET } from './operation.ts';
import { canonicalPath } from './paths.ts';
import type { Permission } from './permissions.ts';
import { type Attributes, type Grants, NO_ATTRIBUTES, type Origin, type Policy, type Ruling } from './policy.ts';
import { API_ROUTES } from './routes.ts';
import { scopeWords } from './scope.ts';
import { type Bounds, boundsOf } from './scope-request.ts';
import { secretsQuestion } from './secrets.ts';

export interface Explanation {
  readonly identity: string;
  readonly permit: boolean;
  /** Null when the route table does not know it. */
  readonly operation: Operation | null;
  readonly ruling: Ruling;
  /** Roles of the identity, and where they are bound. */
  readonly roles: Grants['roles'];
  /** Each permission that is needed; `given` and `taken` say by which role. */
  readonly needs: ReadonlyArray<{
    readonly permission: Permission;
    readonly given: Origin | null;
    readonly taken: Origin | null;
  }>;
  /** How far it may: null for everywhere, or where a scope is no matter. */
  readonly scope: { readonly words: string; readonly bounds: Exclude<Bounds, { kind: 'open' }> } | null;
  /** What the gate would do about secrets: nothing, refuse, or take the question out. */
  readonly secrets: 'none' | 'refuse' | 'hide';
}

/** Explains `method target` of `identity`; null when the gate would refuse the target whoever asks (paths.ts). */
export function explain(
  policy: Policy,
  identity: string,
  method: string,
  target: string,
  attributes: Attributes = NO_ATTRIBUTES,
): Explanation | null {
  const path = canonicalPath(target);
  if (!path.ok) return null;
  const operation = findOperation(methodOf(method), path.path);
  const asked = secretsQuestion(operation, path.target)?.asks === true;
  return explainOperation(policy, identity, operation, asked, path.target, attributes);
}

/** The same for an operation that is known already; `asked` when the request asks for the secrets of blocks. */
export function explainOperation(
  policy: Policy,
  identity: string,
  operation: Operation | null,
  asked = false,
  target = '',
  attributes: Attributes = NO_ATTRIBUTES,
): Explanation {
  const grants = policy.grants(identity, attributes);
  const secrets = asked && !grants.has('see_secret_blocks') ? policy.secrets : 'none';
  const needs = [...(operation?.needs ?? []), ...(asked ? (['see_secret_blocks'] as const) : [])].map((permission) => ({
    permission,
    given: grants.allowed.get(permission) ?? null,
    taken: grants.denied.get(permission) ?? null,
  }));
  const ruling = grants.rule(operation);
  const { roles } = grants;
  const scope = scopeOf(ruling, operation, target);
  const permit = ruling.permit && secrets !== 'refuse' && scope?.bounds.kind !== 'refuse';
  return { identity, permit, operation, ruling, roles, needs, scope, secrets };
}

function scopeOf(ruling: Ruling, operation: Operation | null, target: string): Explanation['scope'] {
  if (!ruling.permit || ruling.scope === null) return null;
  const bounds = boundsOf(operation, target, ruling.scope);
  return bounds.kind === 'open' ? null : { words: scopeWords(ruling.scope), bounds };
}

/** A question with the answer that the policy's author wants. */
export interface PolicyTest {
  readonly place: string;
  readonly identity: string;
  /** Of its certificate. */
  readonly attributes?: Attributes;
  /** `METHOD PATH`, or the name of an operation. */
  readonly request: string;
  readonly expect: 'allow' | 'deny';
}

export interface TestOutcome {
  readonly test: PolicyTest;
  readonly passed: boolean;
}

/** Runs them all, whatever `mode` the policy is in. */
export function runTests(policy: Policy, tests: readonly PolicyTest[]): readonly TestOutcome[] {
  return tests.map((test) => {
    const want = test.expect === 'allow';
    const answers = answersTo(policy, test);
    return { test, passed: answers.length > 0 && answers.every((permit) => permit === want) };
  });
}

function answersTo(policy: Policy, { identity, request, attributes = NO_ATTRIBUTES }: PolicyTest): readonly boolean[] {
  const parts = requestParts(request);
  if (parts !== null) {
    const said = explain(policy, identity, parts.method, parts.target, attributes);
    // What the gate refuses whoever asks.
    return [said?.permit ?? false];
  }
  return operationsNamed(request).map(
    (operation) => explainOperation(policy, identity, operation, false, '', attributes).permit,
  );
}

/** `POST /api/flows/` in two; null when it is not that. `WEBSOCKET` stands for the opening of one. */
export function requestParts(text: string): { readonly method: string; readonly target: string } | null {
  const [, method, target] = /^([A-Z]+) +(\/\S*)$/.exec(text) ?? [];
  return method === undefined || target === undefined ? null : { method, target };
}

/** The operations with one of Prefect's names: one, or for six names two. */
export function operationsNamed(name: string): readonly Operation[] {
  return API_ROUTES.filter((route) => route[3] === name).flatMap(([method, route]) => {
    const path = `/api${route.replaceAll(/\{\w+:uuid\}/g, SOME_ID).replaceAll(/\{\w+\}/g, 'x')}`;
    return findOperation(method === 'WS' ? WEBSOCKET : method, path) ?? [];
  });
}

/** Prefect's names of all operations. */
export function operationNames(): readonly string[] {
  return [...new Set(API_ROUTES.map((route) => route[3]))];
}

const SOME_ID = '00000000-0000-4000-8000-000000000000';

function methodOf(method: string): string {
  return method === 'WEBSOCKET' || method === 'WS' ? WEBSOCKET : method;
}
