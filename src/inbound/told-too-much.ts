// Whether a body says more than its client may: how a run of a deployment is run, or the name of a work queue that Prefect would
// make, or a variable whose value it would tell (policy/run-overrides.ts). The deployment, and the queues, are asked of Prefect
// where it matters, and not kept.

import type { Operation } from '../policy/operation.ts';
import {
  type Deployed,
  deployedIn,
  overrideOf,
  overridesIn,
  queuesIn,
  startsDeployed,
  type WANTED,
} from '../policy/run-overrides.ts';
import type { AskPrefect } from './prefect-ask.ts';

/** Queues that are looked up for one body. */
const MOST_QUEUES = 16;

/** What a client may not say in such a body. */
export interface Unsaid {
  /** How a run is run. */
  readonly asDeployed: boolean;
  /** A queue that is not there. */
  readonly queues: boolean;
  /** A variable's value. */
  readonly variables: boolean;
}

/** The field that is too much; or what is wrong with the body, which ends "the body …"; null for nothing. Rejects when Prefect can't be asked. */
export async function toldTooMuch(
  text: string,
  operation: Operation,
  unsaid: Unsaid,
  ask: AskPrefect,
): Promise<{ readonly field: keyof typeof WANTED } | { readonly problem: string } | null> {
  // Prefect says what is missing.
  if (text === '') return null;
  const said = overridesIn(text);
  if (!said.ok) return said;
  const { told } = said;
  if (unsaid.variables && told.some((one) => one.variables)) return { field: 'a variable' };
  const starts = startsDeployed(operation);
  const matters = told.some(
    ({ queue, jobVariables, names }) =>
      (unsaid.queues && queue !== null) || (unsaid.asDeployed && jobVariables !== null) || (unsaid.variables && names),
  );
  const path = `/deployments/${operation.params['id']}`;
  const deployed: Deployed | null =
    starts && matters ? deployedIn(await ask({ method: 'GET', path, body: null, wants: wantedFor(unsaid) })) : null;
  if (unsaid.variables && deployed?.made === true && told.some((one) => one.names)) return { field: 'a variable' };
  if (unsaid.asDeployed) {
    const field = overrideOf(told, deployed);
    if (field !== null) return { field };
  }
  // There is no such deployment: Prefect says so.
  if (!unsaid.queues || (starts && deployed === null)) return null;
  const queues = queuesIn(told, deployed);
  if (queues.length > MOST_QUEUES) return { problem: `names more than ${MOST_QUEUES} work queues` };
  const found = await Promise.all(
    queues.map(async ([pool, name]) => {
      const queue = `/work_pools/${encodeURIComponent(pool)}/queues/${encodeURIComponent(name)}`;
      return await ask({ method: 'GET', path: queue, body: null, wants: new Set() });
    }),
  );
  return found.includes(null) ? { field: 'a new work_queue_name' } : null;
}

/** What of a deployment is looked at: its own parameters and job variables may be large. */
function wantedFor({ asDeployed, variables }: Unsaid): ReadonlySet<string> {
  return new Set(['work_pool_name', ...(asDeployed ? ['job_variables'] : []), ...(variables ? ['parameters'] : [])]);
}
