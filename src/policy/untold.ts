// What events tell that a client may not see by other ways. Prefect's events of what was made, changed and deleted hold the
// thing itself: a variable's value, an artifact's data, a pool's job template before and after (prefect/server/events/schemas/
// lifecycle.py, 3.8). So who lacks the permission for a kind is told no such events: the gate adds them to what the filter
// excludes, by which they are also in no count and found by no search for words, and sends none on. What happened to runs is
// told to whoever has see_events. Pure; a filter that can't be read is refused.

import { memberTexts } from './json-members.ts';
import type { Operation } from './operation.ts';
import type { Permission } from './permissions.ts';
import { type Grants, reachesToo } from './policy.ts';
import type { Scope } from './scope.ts';
import { onlyInQuery } from './scope-request.ts';
import { isRecord, parseStrictJson } from './strict-json.ts';

/** What events hold: the permission for it, how their names begin, and whether who has it anywhere has it everywhere (scope-rules.ts). */
const HOLD: ReadonlyArray<readonly [Permission, readonly string[], 'open'?]> = [
  ['see_variables', ['prefect.variable.'], 'open'],
  ['see_artifacts', ['prefect.artifact-collection.']],
  ['see_blocks', ['prefect.block-document.', 'prefect.block-type.'], 'open'],
  ['see_deployments', ['prefect.deployment.updated']],
  ['see_work_pools', ['prefect.work-pool.updated']],
  ['see_work_queues', ['prefect.work-queue.updated']],
  ['see_concurrency_limits', ['prefect.concurrency-limit.'], 'open'],
  ['see_automations', ['prefect.automation.created', 'prefect.automation.updated', 'prefect.automation.deleted']],
];
/** Made once: a ruling is kept by the list itself. */
const NEEDS = new Map(HOLD.map(([permission]) => [permission, { needs: [permission] }]));
const FILTERS = new Set(['read_events', 'count_account_events']);
const PAGE = 'read_account_events_page';
const LISTENS = 'stream_workspace_events_out';

/** What is not told, and for want of what. */
export interface Untold {
  readonly permissions: readonly Permission[];
  /** How the names of such events begin. */
  readonly prefixes: readonly string[];
}

/** What `operation`, permitted within `scope` (null: everywhere), may not tell of events to who has `grants`; null for nothing. */
export function untold(operation: Operation | null, grants: Grants, scope: Scope | null): Untold | null {
  if (operation === null || !(FILTERS.has(operation.name) || operation.name === PAGE || operation.name === LISTENS))
    return null;
  const lacks = HOLD.filter(([permission, , open]) => {
    const needs = NEEDS.get(permission);
    return open === 'open' ? !grants.has(permission) : needs === undefined || !reachesToo(grants, needs, scope);
  });
  if (lacks.length === 0) return null;
  return { permissions: lacks.map(([permission]) => permission), prefixes: lacks.flatMap(([, prefixes]) => prefixes) };
}

/** Whether `operation` has a filter of events in its body. */
export function filtersEvents(operation: Operation | null): boolean {
  return operation !== null && FILTERS.has(operation.name);
}

/** `body`, a text of JSON or what stands in one, with a filter that excludes `prefixes`; what ends "the body …" where it can't be. */
export function filterWithout(body: unknown, prefixes: readonly string[]): object | string {
  const read = typeof body === 'string' ? parseStrictJson(body === '' ? 'null' : body) : null;
  if (read?.ok === false) return read.problem;
  const whole: unknown = (read === null ? body : read.value) ?? {};
  const filter = isRecord(whole) ? (whole['filter'] ?? {}) : null;
  const event = isRecord(filter) ? (filter['event'] ?? {}) : null;
  const excluded: unknown = isRecord(event) ? (event['exclude_prefix'] ?? []) : null;
  if (!isRecord(whole) || !isRecord(filter) || !isRecord(event) || !Array.isArray(excluded))
    return 'has a filter of events that is none';
  const said: readonly unknown[] = excluded;
  const exclude_prefix = [...new Set([...said, ...prefixes])];
  return { ...whole, filter: { ...filter, event: { ...event, exclude_prefix } } };
}

/**
 * Whether `target` asks for more of what a filter found that does not exclude all of `prefixes`. Its token, which anyone can
 * write, is base64 of base64 of JSON, each to be in its one spelling.
 */
export function pagesBeyond(operation: Operation | null, target: string, prefixes: readonly string[]): boolean {
  if (operation?.name !== PAGE) return false;
  const inner = decoded((onlyInQuery(target, 'page-token') ?? '').replaceAll(/%3d/gi, '='));
  const text = inner === null ? null : decoded(inner);
  const read = text === null ? null : parseStrictJson(text);
  const filter = read?.ok === true && isRecord(read.value) ? read.value['filter'] : null;
  const event = isRecord(filter) ? filter['event'] : null;
  const excluded = isRecord(event) ? event['exclude_prefix'] : null;
  return !(Array.isArray(excluded) && prefixes.every((one) => excluded.includes(one)));
}

function decoded(text: string): string | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text && bytes.every((one) => one < 0x80) ? bytes.toString('latin1') : null;
}

/** Whether `text`, a message in the JSON of Prefect, which escapes no letters, tells an event of these; what can't be read may. */
export function tells(text: string, prefixes: readonly string[]): boolean {
  // Most are of others, and need not be read.
  if (!prefixes.some((one) => text.includes(`"${one}`))) return false;
  const name = nameOfEvent(text);
  return typeof name !== 'string' || prefixes.some((one) => name.startsWith(one));
}

/** Only that is read of it: what else it says is its sender's, and may be a megabyte. */
function nameOfEvent(text: string): unknown {
  try {
    const event = memberTexts(memberTexts(text, EVENT)?.get('event') ?? 'null', EVENT);
    return JSON.parse(event?.get('event') ?? 'null') as unknown;
  } catch {
    return null;
  }
}

const EVENT = new Set(['event']);
