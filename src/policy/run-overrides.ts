// A run of a deployment can be told how to be run: by job variables, which for a process worker name the command, or by another
// block of infrastructure. That is more than starting what was deployed: whoever says what a worker runs has what the worker
// has, the secrets of all blocks too. So it wants run_flows, which starts any flow in any way. Pure; whatever is not plainly
// nothing counts as an override.

import type { Operation } from './operation.ts';
import { isRecord, parseStrictJson } from './strict-json.ts';

const STARTS = new Set(['create_flow_run_from_deployment', 'bulk_create_flow_runs_from_deployment']);

/** Whether `operation` starts what was deployed, and its body might say how. */
export function startsDeployed(operation: Operation | null): boolean {
  return operation !== null && STARTS.has(operation.name);
}

export type Overrides =
  /** The field that overrides; null for none. */
  | { readonly ok: true; readonly field: string | null }
  /** Ends the sentence "the body …". */
  | { readonly ok: false; readonly problem: string };

/** Reads the body of such an operation: one run or a list of them. Never throws. */
export function overridesIn(text: string): Overrides {
  const read = parseStrictJson(text);
  if (!read.ok) return read;
  const runs: readonly unknown[] = Array.isArray(read.value) ? read.value : [read.value];
  const fields = runs.map(overrideOf);
  return { ok: true, field: fields.find((field) => field !== null) ?? null };
}

function overrideOf(run: unknown): string | null {
  if (!isRecord(run)) return null;
  const variables = run['job_variables'] ?? null;
  if (variables !== null && !(isRecord(variables) && Object.keys(variables).length === 0)) return 'job_variables';
  return (run['infrastructure_document_id'] ?? null) === null ? null : 'infrastructure_document_id';
}
