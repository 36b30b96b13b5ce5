// Answers with concurrency limits, within a scope. Limits are shared, but Prefect lists those of deployments among them, under the
// deployments' ids, and says of each by which task runs its slots are held: other teams' ids. Such limits are left out (one's own is
// read by its name), and ids of task runs are put in zeros, as many as there are. Pure.

import { OWN_LIMIT } from './scope-refs.ts';
import { isRecord } from './strict-json.ts';

const LISTS = new Set(['read_all_concurrency_limits_v2', 'read_concurrency_limits']);
const ONES = new Set(['read_concurrency_limit', 'read_concurrency_limit_by_tag']);
const NOBODY = '00000000-0000-0000-0000-000000000000';

/** Whether the operation answers limits in which others' ids may stand. */
export function answersLimits(operation: { readonly name: string } | null): boolean {
  return operation !== null && (LISTS.has(operation.name) || ONES.has(operation.name));
}

/** `text`, an answer of one limit or a list of them, without what belongs to others; null when it is no such answer. */
export function maskLimits(text: string): string | null {
  try {
    const answer: unknown = JSON.parse(text);
    if (isRecord(answer)) return JSON.stringify(maskHolders(answer));
    if (!Array.isArray(answer) || !answer.every(isRecord)) return null;
    return JSON.stringify(answer.filter(isShared).map(maskHolders));
  } catch {
    return null;
  }
}

/** What has no name is of the older kind, which has a tag. */
function isShared({ name = '' }: Readonly<Record<string, unknown>>): boolean {
  return typeof name === 'string' && !name.startsWith(OWN_LIMIT);
}

function maskHolders(limit: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const holders = limit['active_slots'];
  return Array.isArray(holders) ? { ...limit, active_slots: holders.map(() => NOBODY) } : limit;
}
