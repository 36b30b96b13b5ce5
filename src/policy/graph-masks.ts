// Graphs of flow runs, for who may not see artifacts: Prefect names in them each artifact of the run and of its tasks, and of one
// that shows progress it puts in the data (3.8). Those lists are answered empty. Pure.

import { isRecord } from './strict-json.ts';

/** Whether the operation answers a graph with artifacts in it. */
export function answersGraph(operation: { readonly name: string } | null): boolean {
  return operation?.name === 'read_flow_run_graph_v2';
}

/** `text`, an answer of one graph, without artifacts; null when it is no such answer. */
export function maskArtifacts(text: string): string | null {
  try {
    const graph: unknown = JSON.parse(text);
    if (!isRecord(graph) || !Array.isArray(graph['nodes'])) return null;
    // Pairs of an id and a node.
    const nodes = graph['nodes'].map((pair: unknown) => (Array.isArray(pair) ? pair.map(without) : null));
    return nodes.includes(null) ? null : JSON.stringify({ ...without(graph), nodes });
  } catch {
    return null;
  }
}

function without<T>(value: T): T {
  return isRecord(value) ? { ...value, artifacts: [] } : value;
}
