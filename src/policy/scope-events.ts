// Events within a scope. An event is a write: Prefect makes task runs of some, from what stands in their payload, and
// automations start by any. So all that an event names must be within, its own resource and those it is related to, and a
// payload may not name another task run than the resource does. A filter of events must name the resources that it wants.

import type { Scope } from './scope.ts';
import { MOST_NEEDS, type Need, type Ref, resourceRef, uuidOf } from './scope-refs.ts';
import { isRecord } from './strict-json.ts';

/** Resources that only the server itself speaks for. */
const SERVERS_OWN = /^prefect\.(?:automation|flow)(?:\.|$)/;

/** What an event needs to be within `scope`; why it can't be, to stand after "it …". */
export function eventNeeds(event: unknown, scope: Scope | null): readonly Need[] | string {
  if (!isRecord(event)) return 'sends what is no event';
  const { event: name, payload, id: eventId } = event;
  const own = resourceId(event['resource']);
  const related = event['related'] ?? [];
  if (own === null || !Array.isArray(related)) return 'sends an event without a resource';
  if (typeof name !== 'string') return 'sends an event without a name';
  if (SERVERS_OWN.test(own)) return 'sends an event in the name of a flow or an automation';
  const refs: Ref[] = [];
  const runs: Ref[] = [];
  for (const one of related) {
    const id = resourceId(one);
    if (id === null) return 'sends an event that is related to what has no id';
    const ref = resourceRef(id);
    if (ref === 'wrong') return 'sends an event that is related to what is no object of Prefect';
    // All runs of a flow are related to it, and flows are shared.
    if (ref !== null && ref.type !== 'flow') refs.push(ref);
    // In no other role Prefect takes it for the run of a task run.
    if (ref?.type === 'flow_run' && isRecord(one) && one['prefect.resource.role'] === 'flow-run') runs.push(ref);
  }
  // Its own, and a state that is made, may come to them.
  if (refs.length > MOST_NEEDS - 2) return `names more than ${MOST_NEEDS} objects`;
  const needs: Need[] = refs.map((ref) => ({ ref, absent: absentIsNew(ref, runs) }));
  const ref = resourceRef(own);
  if (ref === 'wrong') return 'sends an event about what is no object of Prefect';
  if (ref === null) return name.startsWith('prefect.task-run') ? NOT_ITS_OWN : needs;
  needs.push({ ref, absent: absentIsNew(ref, runs) });
  if (!payloadFits(payload, ref, eventId)) return NOT_ITS_OWN;
  const state = ref.type === 'task_run' && isRecord(payload) ? (payload['validated_state'] ?? null) : null;
  if (state === null) return needs;
  // The event's id is that of the state which Prefect makes, and of one that is there already it makes nothing.
  const made = uuidOf(eventId);
  if (made === null) return 'sends an event of a task run without an id';
  const lost = runs.length === 0 && scope !== null ? aloneProblem(payload, scope) : null;
  if (lost !== null) return lost;
  return [...needs, { ref: { type: 'task_run_state', id: made }, absent: 'pass', made: true }];
}

const NOT_ITS_OWN = 'sends an event whose payload is about another task run';

/** A task run is made by its first event; whose it is the flow run says that the event is related to as its `runs`. */
function absentIsNew(ref: Ref, runs: readonly Ref[]): Need['absent'] {
  return ref.type !== 'task_run' || runs.length === 0 ? 'refuse' : runs;
}

/** Without a flow run Prefect makes a task run one of none, also where it was one's; that is in no pool, and of the tags it says. */
function aloneProblem(payload: unknown, { pools, tag }: Scope): string | null {
  if (pools !== null) return 'sends an event of a task run without its flow run, which is in no pool';
  const run = isRecord(payload) ? payload['task_run'] : null;
  const tags = isRecord(run) ? run['tags'] : null;
  return tag === null || (Array.isArray(tags) && tags.includes(tag)) ? null : `does not carry the tag ${tag}`;
}

/**
 * Prefect takes the id, the flow run and the state that a payload names over those of the event; by the id of a state that is
 * there already the task run would get another's.
 */
function payloadFits(payload: unknown, ref: Ref, id: unknown): boolean {
  if (!isRecord(payload)) return true;
  const state = payload['validated_state'] ?? null;
  if (isRecord(state) && 'id' in state && uuidOf(state['id']) !== uuidOf(id)) return false;
  const run = payload['task_run'] ?? null;
  if (run === null) return true;
  if (!isRecord(run) || 'flow_run_id' in run || 'state' in run) return false;
  return !('id' in run) || (ref.type === 'task_run' && uuidOf(run['id']) === ref.id);
}

function resourceId(resource: unknown): string | null {
  const id = isRecord(resource) ? resource['prefect.resource.id'] : null;
  return typeof id === 'string' ? id : null;
}

/** What a filter of events needs to be within; why it can't be, to stand after "it …". */
export function eventFilterNeeds(filter: unknown): readonly Need[] | string {
  const how = 'does not name whose events it wants, by resource.id, any_resource.id or related.id';
  if (!isRecord(filter)) return how;
  for (const name of ['resource', 'any_resource', 'related']) {
    const part = filter[name];
    const ids = isRecord(part) ? part['id'] : null;
    if (!Array.isArray(ids) || ids.length === 0) continue;
    const refs = ids.map((id) => (typeof id === 'string' ? resourceRef(id) : 'wrong'));
    if (refs.every((ref) => ref !== null && ref !== 'wrong')) {
      // All runs of a flow are related to it, whoever's they are.
      if (name !== 'resource' && refs.some((ref) => ref.type === 'flow')) return 'asks what is related to a flow';
      // Events outlive what they are about, and then nobody knows whose they are.
      return refs.map((ref) => ({ ref, absent: 'refuse' }));
    }
  }
  return how;
}

/**
 * What an event that somebody hears of is about: within a scope where any of these is. Its own resource, or for one that has
 * no pool and no team, such as an event of a flow's own, those it is related to.
 */
export function heardEvent(event: unknown): readonly Ref[] {
  if (!isRecord(event)) return [];
  const own = resourceId(event['resource']);
  const ref = own === null ? 'wrong' : resourceRef(own);
  if (ref === 'wrong') return [];
  if (ref !== null) return [ref];
  const related = event['related'];
  return (Array.isArray(related) ? related : []).flatMap((one) => {
    const id = resourceId(one);
    const to = id === null ? null : resourceRef(id);
    return to === null || to === 'wrong' || to.type === 'flow' ? [] : [to];
  });
}

/** The same for a log. */
export function heardLog(log: unknown): readonly Ref[] {
  if (!isRecord(log)) return [];
  const run = uuidOf(log['flow_run_id']);
  if (run !== null) return [{ type: 'flow_run', id: run }];
  const task = uuidOf(log['task_run_id']);
  return task === null ? [] : [{ type: 'task_run', id: task }];
}
