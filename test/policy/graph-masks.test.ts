// Graphs of flow runs as they are answered to who may not see artifacts.

import { expect, test } from 'vitest';
import { answersGraph, maskArtifacts } from '../../src/policy/graph-masks.ts';
import { API_ROUTES } from '../../src/policy/routes.ts';

const artifact = { id: '0f3c1f1e-7a54-4c9b-9a3f-2d2b1c0d9e8f', key: 'report', type: 'progress', data: 33.3 };
const node = { kind: 'task-run', label: 'a', parents: [], artifacts: [artifact] };

test('a graph has no artifacts, of the run or of its tasks, and all else', () => {
  const graph = { root_node_ids: ['1'], nodes: [['1', node]], artifacts: [artifact, artifact], states: [] };
  expect(JSON.parse(maskArtifacts(JSON.stringify(graph)) ?? 'null')).toEqual({
    ...graph,
    nodes: [['1', { ...node, artifacts: [] }]],
    artifacts: [],
  });
});

test('what is no such answer is none', () => {
  for (const text of ['', '{', '1', 'null', '[]', '{}', '{"nodes":{}}', '{"nodes":[1]}'])
    expect(maskArtifacts(text), text).toBeNull();
});

test('the second kind of graph has them', () => {
  expect(API_ROUTES.map(([, , , name]) => name).filter((name) => answersGraph({ name }))).toEqual([
    'read_flow_run_graph_v2',
  ]);
  expect(answersGraph(null)).toBe(false);
});
