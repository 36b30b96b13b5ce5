// What may be permitted, and the five roles that are always there. The names are Prefect Cloud's scopes, so that who
// knows Cloud's roles knows these: `see_` reads, `run_` starts and reports runs, `write_` makes and changes, `manage_`
// deletes; where Cloud has only see and manage, manage is all that is not reading. None of them includes another: what a
// permission opens is the rows of routes.ts that name it, and nothing else.

/** Every permission, with what it is for in a sentence. */
export const PERMISSIONS = {
  see_flows: 'Read flows, flow runs, task runs, their states, logs, inputs and graphs.',
  run_flows:
    'Start any flow, change the state of flow runs, write their logs, inputs and labels, take concurrency slots.',
  manage_flows: 'Change and delete flows, delete flow runs and task runs.',
  run_tasks: 'Create task runs, change their state, receive the runs of background tasks.',
  manage_saved_search: 'Create and delete saved searches.',
  see_deployments: 'Read deployments and their schedules.',
  run_deployments: 'Start runs of deployments as they are; a run with its own job variables needs run_flows, too.',
  write_deployments:
    'Create and change deployments and their schedules, pause and resume them, remove the triggers that they own.',
  manage_deployments: 'Delete deployments.',
  see_blocks: 'Read block types, schemas and documents, without their secrets.',
  see_secret_blocks: 'Read the secrets in block documents.',
  manage_blocks:
    'Create, change and delete block types, schemas and documents; changing a document needs see_secret_blocks, too.',
  see_work_pools: 'Read work pools.',
  write_work_pools: 'Create and change work pools.',
  manage_work_pools: 'Delete work pools.',
  see_work_queues: 'Read work queues.',
  write_work_queues: 'Create and change work queues.',
  manage_work_queues: 'Delete work queues.',
  see_workers: 'Read the list of workers.',
  write_workers: 'Be a worker: connect, send heartbeats, receive scheduled runs.',
  manage_workers: 'Delete workers.',
  see_artifacts: 'Read artifacts.',
  write_artifacts: 'Create and change artifacts.',
  manage_artifacts: 'Delete artifacts.',
  see_variables: 'Read variables.',
  write_variables: 'Create and change variables.',
  manage_variables: 'Delete variables.',
  see_concurrency_limits: 'Read concurrency limits.',
  manage_concurrency_limits: 'Create, change, reset and delete concurrency limits.',
  see_automations: 'Read automations.',
  manage_automations: 'Create, change and delete automations, which Prefect runs with all rights.',
  see_events: 'Read events.',
  manage_events: 'Emit events; this needs run_flows, too, because task runs are created from events.',
  see_workspace_settings: "Read the server's settings and metrics.",
  write_workspace_settings: "Change the server's settings: its default result storage.",
} as const;

export type Permission = keyof typeof PERMISSIONS;

/** What an operation needs that every identity with a role may do: probes, versions, the interface's own files. */
export const BOUND = 'bound';

export const ALL_PERMISSIONS = Object.keys(PERMISSIONS) as readonly Permission[];

const VIEWER = [
  ...(['see_flows', 'see_deployments', 'see_blocks', 'see_work_pools', 'see_work_queues', 'see_workers'] as const),
  ...(['see_artifacts', 'see_variables', 'see_concurrency_limits', 'see_automations', 'see_events'] as const),
];

export type BuiltInRole = 'Viewer' | 'Runner' | 'Developer' | 'Worker' | 'Owner';

/**
 * Prefect Cloud's workspace roles (prefect-facts.md §4). Only Owner may do what the route table does not know. Worker is
 * what a process worker and the flow runs that it starts use, which share its certificate.
 */
export const BUILT_IN_ROLES: Readonly<Record<BuiltInRole, { about: string; permissions: readonly Permission[] }>> = {
  Viewer: {
    about: 'Sees everything except secrets and settings, changes nothing.',
    permissions: VIEWER,
  },
  Runner: {
    about: 'A Viewer who may start runs of deployments.',
    permissions: [...VIEWER, 'run_deployments'],
  },
  Developer: {
    about: "Runs and changes everything, including secrets, except the server's settings.",
    permissions: ALL_PERMISSIONS.filter((one) => one !== 'write_workspace_settings'),
  },
  Worker: {
    about: 'Polls for work, submits it and reports on it; includes what its flow runs do.',
    permissions: [
      ...(['see_flows', 'run_flows', 'run_tasks', 'see_deployments', 'run_deployments'] as const),
      ...(['see_blocks', 'see_secret_blocks', 'see_work_pools', 'see_work_queues'] as const),
      ...(['see_workers', 'write_workers', 'see_artifacts', 'write_artifacts', 'see_variables'] as const),
      ...(['see_concurrency_limits', 'see_events', 'manage_events'] as const),
    ],
  },
  Owner: {
    about: 'Everything, including operations of a newer Prefect that this certgate does not know.',
    permissions: ALL_PERMISSIONS,
  },
};

/** Whether `text` is the name of a permission. */
function isPermission(text: string): text is Permission {
  return Object.hasOwn(PERMISSIONS, text);
}

/** The permissions that `text` names: one, or with `*` at its end all that begin so; empty when it names none. */
export function permissionsNamed(text: string): readonly Permission[] {
  if (isPermission(text)) return [text];
  if (!text.endsWith('*')) return [];
  return ALL_PERMISSIONS.filter((one) => one.startsWith(text.slice(0, -1)));
}
