// What keeps each of Prefect's operations within a scope (scope.ts), as data: one rule for each name in routes.ts, a test
// proves it. An operation is open where nothing in it is anybody's, refused where nothing that Prefect offers could keep
// it within, and otherwise checked: a pool named in its path, an object whose pool and tags are looked up, a filter that is
// added to, objects that its body must name. What is not in the table is refused. Whoever needs what is refused here gets it by
// a second binding, without a scope, of a role that has just that permission.

import type { ObjectType } from './scope-refs.ts';

export type ScopeRule =
  /** Nothing in it belongs to a pool or a team; what the role permits is enough. */
  | 'open'
  /** Nothing can keep it within a scope. */
  | 'refused'
  | Checked;

export interface Checked {
  /** The name of the pool is in the path by this name. */
  readonly pool?: string;
  /** It hands out whatever is in the pool, so it can't be kept to a tag. */
  readonly hands?: true;
  /** An object in the path: its type, and the parameter. */
  readonly object?: readonly [ObjectType, ...string[]];
  /** An object in the query that must be there. */
  readonly query?: readonly [ObjectType, string];
  /** How the body is read; absent when it is no matter. */
  readonly body?: BodyRule;
}

/** The filters that a tag is looked for in. */
export type Tagged = 'flow_runs' | 'deployments';

export type BodyRule =
  /** Prefect's filters, all of them met: `work_pools` is narrowed to the scope's, the tag is added to `tagged`. */
  | {
      readonly kind: 'narrow';
      readonly tagged: Tagged | null;
      /** Filters that must say nothing: a flow within may have anybody's runs. */
      readonly unasked?: readonly string[];
      /** A filter without which Prefect fails at one of pools (3.8.8). */
      readonly joins?: string;
    }
  /** A filter without pools: it must name its objects at one of `anchors`; by a tag alone `tagged` will do. */
  | { readonly kind: 'name'; readonly anchors: readonly Anchor[]; readonly tagged: Tagged | null }
  /** A list of ids at `at`, all of which must be within. */
  | { readonly kind: 'list'; readonly at: string; readonly type: ObjectType }
  | {
      readonly kind:
        | 'create flow run'
        | 'update tags'
        | 'create task run'
        | 'create deployment'
        | 'update deployment'
        | 'run deployment'
        | 'run deployment often'
        | 'logs'
        | 'create pool'
        | 'work queue'
        | 'task state'
        | 'task run slots'
        | 'slots'
        | 'create artifact'
        | 'events'
        | 'event filter';
    };

/** Where ids stand in a body: a filter, its part, and what they are of. */
export type Anchor = readonly [filter: string, part: string, type: ObjectType];

const LOGS: readonly Anchor[] = [
  ['logs', 'flow_run_id', 'flow_run'],
  ['logs', 'task_run_id', 'task_run'],
];
const RUN: Checked = { object: ['flow_run', 'id'] };
const TASK: Checked = { object: ['task_run', 'id'] };
const DEPLOYMENT: Checked = { object: ['deployment', 'id'] };
const ARTIFACT: Checked = { object: ['artifact', 'id'] };
const POOL: Checked = { pool: 'name' };
const IN_POOL: Checked = { pool: 'work_pool_name' };
const SLOTS: Checked = { body: { kind: 'slots' } };
const RUNS: Checked = { body: { kind: 'narrow', tagged: 'flow_runs' } };
const DEPLOYMENTS: Checked = { body: { kind: 'narrow', tagged: 'deployments' } };
const FLOWS: Checked = { body: { kind: 'narrow', tagged: 'deployments', unasked: ['flow_runs', 'task_runs'] } };
const RUN_IDS: Anchor = ['flow_runs', 'id', 'flow_run'];
const BULK_RUNS: Checked = { body: { kind: 'name', anchors: [RUN_IDS], tagged: 'flow_runs' } };
const TASKS: Checked = {
  body: {
    kind: 'name',
    anchors: [RUN_IDS, ['task_runs', 'flow_run_id', 'flow_run'], ['task_runs', 'id', 'task_run']],
    tagged: 'flow_runs',
  },
};
const ARTIFACTS: Checked = {
  body: {
    kind: 'name',
    anchors: [RUN_IDS, ['artifacts', 'flow_run_id', 'flow_run'], ['artifacts', 'task_run_id', 'task_run']],
    tagged: 'flow_runs',
  },
};
const EVENT_FILTER: Checked = { body: { kind: 'event filter' } };
/** By its pool and name, or by its id: Prefect has both under one name. */
const QUEUE: Checked = { pool: 'work_pool_name', object: ['work_queue', 'id'] };

/** By the operation's name. */
export const SCOPE_RULES: Readonly<Record<string, ScopeRule>> = {
  // Probes, versions, tokens, documentation, the interface's own files.
  health_check: 'open',
  server_version: 'open',
  hello: 'open',
  perform_readiness_check: 'open',
  read_version: 'open',
  create_csrf_token: 'open',
  openapi: 'open',
  swagger_ui_html: 'open',
  swagger_ui_redirect: 'open',
  redoc_html: 'open',
  ui_settings: 'open',
  ui_static: 'open',
  static: 'open',
  validate_template: 'open',
  validate_obj: 'open',

  // Flows are names that all share: what is made under one that exists is that one, unchanged.
  create_flow: 'open',
  update_flow: 'refused',
  delete_flow: 'refused',
  bulk_delete_flows: 'refused',
  read_flow: { object: ['flow', 'id'] },
  read_flow_by_name: { object: ['flow_name', 'name'] },
  count_flows: FLOWS,
  read_flows: FLOWS,
  paginate_flows: FLOWS,
  count_deployments_by_flow: 'refused',
  next_runs_by_flow: 'refused',

  create_flow_run: { body: { kind: 'create flow run' } },
  update_flow_run: { ...RUN, body: { kind: 'update tags' } },
  count_flow_runs: RUNS,
  average_flow_run_lateness: RUNS,
  flow_run_history: RUNS,
  read_flow_runs: RUNS,
  paginate_flow_runs: RUNS,
  read_flow_run_history: RUNS,
  read_flow_run: RUN,
  read_flow_run_graph_v1: RUN,
  read_flow_run_graph_v2: RUN,
  resume_flow_run: RUN,
  delete_flow_run: RUN,
  bulk_delete_flow_runs: BULK_RUNS,
  bulk_set_flow_run_state: BULK_RUNS,
  set_flow_run_state: RUN,
  create_flow_run_input: RUN,
  filter_flow_run_input: RUN,
  read_flow_run_input: RUN,
  delete_flow_run_input: RUN,
  download_logs: RUN,
  update_flow_run_labels: RUN,
  count_task_runs_by_flow_run: { body: { kind: 'list', at: 'flow_run_ids', type: 'flow_run' } },
  read_flow_run_state: { object: ['flow_run_state', 'id'] },
  read_flow_run_states: { query: ['flow_run', 'flow_run_id'] },

  create_task_run: { body: { kind: 'create task run' } },
  update_task_run: TASK,
  read_task_run: TASK,
  delete_task_run: TASK,
  set_task_run_state: { ...TASK, body: { kind: 'task state' } },
  read_task_run_with_flow_run_name: TASK,
  count_task_runs: TASKS,
  task_run_history: TASKS,
  read_task_runs: TASKS,
  paginate_task_runs: TASKS,
  read_task_run_counts_by_state: TASKS,
  read_dashboard_task_run_counts: { body: { kind: 'narrow', tagged: 'flow_runs', joins: 'work_queues' } },
  read_task_run_state: { object: ['task_run_state', 'id'] },
  read_task_run_states: { query: ['task_run', 'task_run_id'] },
  // It hands out the runs of whatever background tasks are asked for.
  scheduled_task_subscription: 'refused',
  read_task_workers: 'refused',

  create_deployment: { body: { kind: 'create deployment' } },
  update_deployment: { ...DEPLOYMENT, body: { kind: 'update deployment' } },
  read_deployment_by_name: { object: ['deployment_name', 'flow_name', 'deployment_name'] },
  read_deployment: DEPLOYMENT,
  read_deployments: DEPLOYMENTS,
  paginate_deployments: DEPLOYMENTS,
  count_deployments: DEPLOYMENTS,
  get_scheduled_flow_runs_for_deployments: { body: { kind: 'list', at: 'deployment_ids', type: 'deployment' } },
  delete_deployment: DEPLOYMENT,
  bulk_delete_deployments: {
    body: { kind: 'name', anchors: [['deployments', 'id', 'deployment']], tagged: 'deployments' },
  },
  schedule_deployment: DEPLOYMENT,
  resume_deployment: DEPLOYMENT,
  pause_deployment: DEPLOYMENT,
  create_flow_run_from_deployment: { ...DEPLOYMENT, body: { kind: 'run deployment' } },
  bulk_create_flow_runs_from_deployment: { ...DEPLOYMENT, body: { kind: 'run deployment often' } },
  work_queue_check_for_deployment: DEPLOYMENT,
  read_deployment_schedules: DEPLOYMENT,
  create_deployment_schedules: DEPLOYMENT,
  update_deployment_schedule: DEPLOYMENT,
  delete_deployment_schedule: DEPLOYMENT,

  create_saved_search: 'refused',
  read_saved_search: 'refused',
  read_saved_searches: 'refused',
  delete_saved_search: 'refused',

  create_logs: { body: { kind: 'logs' } },
  read_logs: { body: { kind: 'name', anchors: LOGS, tagged: null } },
  // Each log is a message.
  stream_logs_out: {},

  // Limits are shared by all who take slots of them, but for that of a deployment; of lists limit-masks.ts takes these out.
  read_concurrency_limit: 'open',
  read_concurrency_limit_by_tag: 'open',
  read_concurrency_limits: 'open',
  read_concurrency_limit_v2: { object: ['concurrency_limit', 'id_or_name'] },
  read_all_concurrency_limits_v2: 'open',
  increment_concurrency_limits_v1: { body: { kind: 'task run slots' } },
  decrement_concurrency_limits_v1: { body: { kind: 'task run slots' } },
  bulk_increment_active_slots: SLOTS,
  bulk_increment_active_slots_with_lease: SLOTS,
  bulk_decrement_active_slots: SLOTS,
  bulk_decrement_active_slots_with_lease: 'open',
  renew_concurrency_lease: 'open',
  create_concurrency_limit: 'refused',
  reset_concurrency_limit_by_tag: 'refused',
  delete_concurrency_limit: 'refused',
  delete_concurrency_limit_by_tag: 'refused',
  create_concurrency_limit_v2: 'refused',
  update_concurrency_limit_v2: 'refused',
  delete_concurrency_limit_v2: 'refused',

  // Blocks and variables carry no pool: read by all whose role says so, changed by none within a scope.
  read_block_type_by_id: 'open',
  read_block_type_by_slug: 'open',
  read_block_types: 'open',
  read_block_documents_for_block_type: 'open',
  read_block_document_by_name_for_block_type: 'open',
  read_block_documents: 'open',
  count_block_documents: 'open',
  read_block_document_by_id: 'open',
  read_block_schemas: 'open',
  read_block_schema_by_id: 'open',
  read_block_schema_by_checksum: 'open',
  read_available_block_capabilities: 'open',
  create_block_type: 'refused',
  update_block_type: 'refused',
  delete_block_type: 'refused',
  install_system_block_types: 'refused',
  create_block_document: 'refused',
  update_block_document_data: 'refused',
  delete_block_document: 'refused',
  create_block_schema: 'refused',
  delete_block_schema: 'refused',
  read_view_content: 'open',
  read_variable: 'open',
  read_variable_by_name: 'open',
  read_variables: 'open',
  count_variables: 'open',
  create_variable: 'refused',
  update_variable: 'refused',
  update_variable_by_name: 'refused',
  delete_variable: 'refused',
  delete_variable_by_name: 'refused',

  create_work_pool: { body: { kind: 'create pool' } },
  read_work_pool: POOL,
  read_work_pools: { body: { kind: 'narrow', tagged: null } },
  count_work_pools: { body: { kind: 'narrow', tagged: null } },
  update_work_pool: POOL,
  delete_work_pool: POOL,
  read_work_pool_concurrency_status: { ...POOL, hands: true },
  get_scheduled_flow_runs: { ...POOL, hands: true },
  create_work_queue: { ...IN_POOL, body: { kind: 'work queue' } },
  read_work_queue: QUEUE,
  read_work_queues: IN_POOL,
  update_work_queue: { ...QUEUE, body: { kind: 'work queue' } },
  delete_work_queue: QUEUE,
  // By its name it is one of the pool that agents had.
  read_work_queue_by_name: 'refused',
  read_work_queue_runs: { object: ['work_queue', 'id'], hands: true },
  read_work_queue_concurrency_status: { object: ['work_queue', 'id'], hands: true },
  read_work_queue_status: { object: ['work_queue', 'id'] },
  worker_channel_connect: { ...IN_POOL, hands: true },
  worker_heartbeat: IN_POOL,
  read_workers: IN_POOL,
  delete_worker: IN_POOL,

  create_artifact: { body: { kind: 'create artifact' } },
  read_artifact: ARTIFACT,
  read_latest_artifact: { object: ['artifact_key', 'key'] },
  read_artifacts: ARTIFACTS,
  read_latest_artifacts: ARTIFACTS,
  count_artifacts: ARTIFACTS,
  count_latest_artifacts: ARTIFACTS,
  update_artifact: ARTIFACT,
  delete_artifact: ARTIFACT,

  create_events: { body: { kind: 'events' } },
  // Each event is a message.
  stream_events_in: {},
  stream_workspace_events_out: {},
  read_events: EVENT_FILTER,
  count_account_events: EVENT_FILTER,
  // What it goes on with stands in a token that anyone can write.
  read_account_events_page: 'refused',

  // Prefect runs them with all rights.
  create_automation: 'refused',
  update_automation: 'refused',
  patch_automation: 'refused',
  delete_automation: 'refused',
  read_automations: 'refused',
  count_automations: 'refused',
  read_automation: 'refused',
  // Whole automations, whatever else they are about.
  read_automations_related_to_resource: 'refused',
  delete_automations_owned_by_resource: { object: ['resource', 'resource_id'] },

  read_settings: 'open',
  metrics: 'open',
  read_server_default_result_storage: 'open',
  update_server_default_result_storage: 'refused',
  clear_server_default_result_storage: 'refused',
};

/** The rule of an operation; what the route table does not know is refused. */
export function scopeRule(operation: { readonly name: string } | null): ScopeRule {
  const name = operation?.name ?? '';
  return (Object.hasOwn(SCOPE_RULES, name) ? SCOPE_RULES[name] : undefined) ?? 'refused';
}
