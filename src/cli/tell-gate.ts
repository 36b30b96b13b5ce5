// What commands that change the records do last: the gate on this machine is asked to look at once, and what it cut is
// told. No gate there is no failure; one that does not confirm is, though what was changed stays on record.

import { join } from 'node:path';
import { type AppliedRecords, applyRecords } from '../admin/control-client.ts';
import { isCertgateError } from '../errors.ts';
import { WATCH_INTERVAL } from '../inbound/revocation-watch.ts';
import type { CommandIo } from './io.ts';

/**
 * Has the gate of `stateDir` apply what is on record, and say what it cut on account of `causes`; null when none runs.
 * `what` is on record in any case (`the revocation`), and is said to be when the gate fails. CG_GATE_ANSWER.
 */
export async function tellGate(
  stateDir: string,
  causes: readonly string[],
  what: string,
  io: CommandIo,
): Promise<AppliedRecords | null> {
  try {
    return await applyRecords(join(stateDir, 'control.sock'), causes);
  } catch (error) {
    if (isCertgateError(error)) io.say(`${what} is recorded, but the gate did not confirm it`);
    throw error;
  }
}

/** What the gate did, in a line. */
export function gateWords(gate: AppliedRecords | null): string {
  if (gate === null) {
    return `no gate answers on this machine; a gate elsewhere on this store sees it within ${WATCH_INTERVAL} ms`;
  }
  const { connections, requests, tunnels } = gate.cut;
  const took = `${gate.milliseconds.toFixed(0)} ms`;
  const ended = gate.workersEnded ?? 0;
  const besides =
    ended === 0
      ? ''
      : `; ${plural(ended, 'worker process', 'worker processes')} did not answer and ${ended === 1 ? 'was' : 'were'} ended, with all connections there`;
  if (connections === 0) {
    return `the gate on this machine has applied it (${took}): nothing of it is open any more${besides}`;
  }
  const cut = [
    plural(connections, 'connection'),
    plural(requests, 'request in flight', 'requests in flight'),
    plural(tunnels, 'WebSocket'),
  ];
  return `the gate on this machine has cut ${cut.join(', ')} (${took})${besides}`;
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
