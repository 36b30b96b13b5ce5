// The job template of a pool for process workers, which `prefect work-pool create` gives it. Into a pool that has none a worker
// writes its own, by its WebSocket or, when that takes too long, by a request that a Worker may not make, and then it ends.

export const PROCESS_TEMPLATE = {
  job_configuration: {
    command: '{{ command }}',
    env: '{{ env }}',
    labels: '{{ labels }}',
    name: '{{ name }}',
    stream_output: '{{ stream_output }}',
    working_dir: '{{ working_dir }}',
  },
  variables: {
    type: 'object',
    properties: {
      name: { type: 'string' },
      env: { type: 'object' },
      labels: { type: 'object' },
      command: { type: 'string' },
      stream_output: { type: 'boolean', default: true },
      working_dir: { type: 'string' },
    },
  },
};
