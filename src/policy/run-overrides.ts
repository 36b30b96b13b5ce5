// What a body that starts a deployment, or makes one, may say that is more than that. A run can be told how to be run: by job
// variables, which for a process worker name the command, or by another block of infrastructure. Whoever says what a worker runs
// has what the worker has, the secrets of all blocks too. So it wants run_flows, which starts any flow in any way; the deployment's
// own job variables, which the UI's form sends along, are no more than it. And where a body names a work queue that is not there
// Prefect makes it, without the limits of the others: that wants write_work_queues. Into parameters Prefect puts the values of variables,
// where a body says so, and answers them: that wants see_variables. Pure; whatever is not plainly nothing counts.

import type { Operation } from './operation.ts';
import type { Permission } from './permissions.ts';
import { isRecord, parseStrictJson } from './strict-json.ts';

const STARTS = new Set(['create_flow_run_from_deployment', 'bulk_create_flow_runs_from_deployment']);
const MAKES = new Set(['create_deployment', 'update_deployment']);
const RESUMES = 'resume_flow_run';
/** Where Prefect makes a queue that is named without a pool. */
const POOL_OF_AGENTS = 'default-agent-pool';

/** Whether `operation` starts what was deployed, and its body might say how. */
export function startsDeployed(operation: Operation | null): boolean {
  return operation !== null && STARTS.has(operation.name);
}

/** Whether Prefect makes a work queue that the body of `operation` names and that is not there. */
export function makesQueues(operation: Operation | null): boolean {
  return operation !== null && (STARTS.has(operation.name) || MAKES.has(operation.name));
}

/** Whether Prefect puts variables in what the body of `operation` says, at once or when a run is started. */
export function fillsIn(operation: Operation | null): boolean {
  return makesQueues(operation) || operation?.name === RESUMES;
}

/** What a deployment says of itself; fields as Prefect answers them. */
export interface Deployed {
  readonly pool: string | null;
  readonly jobVariables: unknown;
  /** Whether its parameters as a whole are something that Prefect makes: a variable's value, say. */
  readonly made: boolean;
}

export function deployedIn(answer: unknown): Deployed | null {
  if (!isRecord(answer)) return null;
  const { parameters } = answer;
  return {
    pool: textOf(answer['work_pool_name']),
    jobVariables: answer['job_variables'] ?? {},
    made: isRecord(parameters) && Object.hasOwn(parameters, KIND),
  };
}

/** What one run, or one deployment, is told. */
export interface Told {
  /** Null for none, or nothing in it. */
  readonly jobVariables: unknown;
  readonly infrastructure: boolean;
  /** Null for none. */
  readonly queue: string | null;
  readonly pool: string | null;
  /** Whether its parameters, or a run's input, are to hold a variable's value. */
  readonly variables: boolean;
  /** Whether a parameter has the name under which the name of a variable stands: beside a deployment's own it can say which. */
  readonly names: boolean;
}

export type Overrides =
  | { readonly ok: true; readonly told: readonly Told[] }
  /** Ends the sentence "the body …". */
  | { readonly ok: false; readonly problem: string };

/** Reads the body of such an operation: one of them or a list. Never throws. */
export function overridesIn(text: string): Overrides {
  const read = parseStrictJson(text);
  if (!read.ok) return read;
  const all: readonly unknown[] = Array.isArray(read.value) ? read.value : [read.value];
  return { ok: true, told: all.filter(isRecord).map(toldIn) };
}

function toldIn(one: Readonly<Record<string, unknown>>): Told {
  const variables = one['job_variables'] ?? null;
  const nothing = isRecord(variables) && Object.keys(variables).length === 0;
  return {
    jobVariables: nothing ? null : variables,
    infrastructure: (one['infrastructure_document_id'] ?? null) !== null,
    queue: textOf(one['work_queue_name']),
    pool: textOf(one['work_pool_name']),
    variables: holdsVariable(one['parameters']) || holdsVariable(one['run_input']),
    names: isRecord(one['parameters']) && Object.hasOwn(one['parameters'], VARIABLE_NAME),
  };
}

/**
 * Whether Prefect would put a variable's value somewhere in `value`: now, or when what it makes of `value` is read again, as a
 * deployment's parameters are by each run. For that a text of JSON counts as what stands in it, and one that is made as anything.
 */
function holdsVariable(value: unknown): boolean {
  // No recursion: texts in texts are deeper than any one of them may be.
  const left: unknown[] = [value];
  while (left.length > 0) {
    const one = left.pop();
    if (Array.isArray(one)) for (const item of one) left.push(item);
    if (!isRecord(one)) continue;
    const kind = Object.hasOwn(one, KIND) ? one[KIND] : null;
    if (kind === 'workspace_variable') return true;
    const { value: inner } = one;
    if (kind === 'json' && isRecord(inner)) return true;
    if (kind === 'json' && typeof inner === 'string') {
      const read = parseStrictJson(inner);
      if (!read.ok) return true;
      left.push(read.value);
    }
    for (const item of Object.values(one)) left.push(item);
  }
  return false;
}

const KIND = '__prefect_kind';
const VARIABLE_NAME = 'variable_name';

/** Text with something in it; Prefect takes nothing else for a name. */
function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** What is more than was deployed in what runs of `deployed` are told, and what it wants; null for nothing. */
export function overrideOf(
  told: readonly Told[],
  deployed: Deployed | null,
): 'job_variables' | 'infrastructure_document_id' | null {
  for (const { jobVariables, infrastructure } of told) {
    if (infrastructure) return 'infrastructure_document_id';
    if (jobVariables !== null && !isSame(jobVariables, deployed?.jobVariables)) return 'job_variables';
  }
  return null;
}

/** Whether two values of JSON are the same, in whatever order their fields stand. */
function isSame(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((one, i) => isSame(one, b[i]));
  if (!isRecord(a) || !isRecord(b)) return a === b;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length && names.every((one) => Object.hasOwn(b, one) && isSame(a[one], b[one]))
  );
}

/** The queues that must be there, each once: by pool and name. `deployed` where runs of one are started. */
export function queuesIn(told: readonly Told[], deployed: Deployed | null): ReadonlyArray<readonly [string, string]> {
  const found = new Map<string, readonly [string, string]>();
  for (const { queue, pool } of told) {
    // Of a deployment without a pool no run is in a queue: Prefect says so.
    const of = deployed === null ? (pool ?? POOL_OF_AGENTS) : deployed.pool;
    if (queue !== null && of !== null) found.set(JSON.stringify([of, queue]), [of, queue]);
  }
  return [...found.values()];
}

/** What each field of such a body wants. */
export const WANTED: Readonly<
  Record<'job_variables' | 'infrastructure_document_id' | 'a new work_queue_name' | 'a variable', Permission>
> = {
  job_variables: 'run_flows',
  infrastructure_document_id: 'run_flows',
  'a new work_queue_name': 'write_work_queues',
  'a variable': 'see_variables',
};
