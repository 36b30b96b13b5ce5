// What Prefect's API knows, asked directly at the server: the yardstick for what went through a gate.

import { eventually } from './eventually.ts';

/**
 * Sends again while Prefect itself answers 503: its SQLite says so when two of its own transactions collide, and
 * Prefect's client tries again then, too. A gate's own 503 says `Prefect-Maintenance` and is answered as it is.
 */
export async function whenAvailable<T>(
  send: () => Promise<T>,
  look: (answer: T) => { readonly status: number; readonly maintenance: boolean },
): Promise<T> {
  return await eventually('Prefect has no collision', async () => {
    const answer = await send();
    const { status, maintenance } = look(answer);
    return status === 503 && !maintenance ? undefined : answer;
  });
}

/** `fetch`, tried again while Prefect itself answers 503. */
export async function fetchAvailable(url: string, init: () => RequestInit = () => ({})): Promise<Response> {
  return await whenAvailable(
    async () => await fetch(url, init()),
    (answer) => ({ status: answer.status, maintenance: answer.headers.has('prefect-maintenance') }),
  );
}

/** POST to Prefect's API, and its JSON answer. */
export async function post<T>(url: string, path: string, body: unknown): Promise<T> {
  const response = await fetchAvailable(`${url}/api${path}`, () => ({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }));
  if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

/** The resource ids of the events of one name, once there are `count` of them; Prefect persists events a moment later. */
export async function eventResources(url: string, name: string, count: number): Promise<readonly string[]> {
  return await eventually(`${count} events ${name}`, async () => {
    const page = await post<{ events: Array<{ resource: Record<string, string> }> }>(url, '/events/filter', {
      filter: { event: { name: [name] } },
      limit: 50,
    });
    const ids = page.events.map((event) => event.resource['prefect.resource.id'] ?? '');
    return ids.length >= count ? ids.toSorted() : undefined;
  });
}

/** `name state` of a flow run's task runs, once there are `count` in a final state. */
export async function taskStates(url: string, flowRun: string, count: number): Promise<readonly string[]> {
  return await eventually(`${count} final task runs`, async () => {
    const runs = await post<Array<{ state_name: string; state_type: string }>>(url, '/task_runs/filter', {
      flow_runs: { id: { any_: [flowRun] } },
    });
    const final = runs.filter((run) => ['COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED'].includes(run.state_type));
    return final.length >= count ? final.map((run) => run.state_name) : undefined;
  });
}

/** The messages of a flow run's log, once one of them is `last`. */
export async function logMessages(url: string, flowRun: string, last: string): Promise<readonly string[]> {
  return await eventually(`the log line '${last}'`, async () => {
    const lines = await post<Array<{ message: string }>>(url, '/logs/filter', {
      logs: { flow_run_id: { any_: [flowRun] } },
    });
    const messages = lines.map((line) => line.message);
    return messages.includes(last) ? messages : undefined;
  });
}
