// Asks the gate that runs on this machine, over its control socket. No gate there is an answer, not an error: the CLI
// works without one.

import { CertgateError, fileReason, shellWord } from '../errors.ts';

// Not imported: an import reads every export of node:http, and its WebSocket loads all of undici: 23 ms and 6 MB more.
const { request } = process.getBuiltinModule('node:http');

const TIMEOUT = 5_000;
/** A gate's worker that hangs is ended after five looks of a second, or longer where the machine is busy. */
const APPLY_TIMEOUT = 15_000;

/** What a gate cut when it applied the revocations and locks. */
export interface AppliedRecords {
  readonly revision: number;
  readonly cut: { readonly connections: number; readonly requests: number; readonly tunnels: number };
  /** Worker processes that did not confirm, and were ended for that. Absent where there are none. */
  readonly workersEnded?: number;
  /** From the question to the answer. */
  readonly milliseconds: number;
}

/** Health as the gate reports it. */
export interface ReportedHealth {
  readonly status: 'ok' | 'degraded';
  readonly store: boolean;
  readonly audit: boolean;
  readonly upstream: boolean;
  readonly workers?: boolean;
  readonly connections: number;
  readonly locks: { readonly standing: number; readonly everyone: boolean };
  readonly metrics: Readonly<Record<string, number | readonly number[]>>;
  /** When certificates end, by whose they are; ms since the epoch. */
  readonly ends: Readonly<Record<string, number>>;
}

/** What a gate serves by, which need not be what certgate.yaml says: flags and variables go before that. */
export interface ServedSettings {
  /** As it is bound. */
  readonly listen: string;
  /** The setting, where systemd has passed that socket: `systemd:NAME`; null, or left out by an older gate, for none. */
  readonly passed?: string | null;
  readonly upstream: string;
  readonly names: readonly string[];
  /** The policy's file, absolute; null for none. */
  readonly policy: string | null;
}

/**
 * Has the gate at `socketPath` apply all revocations and locks now, and say what was cut on account of `causes`, as
 * `revokedCause` and `lockedCause` name them. Null when none runs there; CG_GATE_ANSWER when it fails.
 */
export async function applyRecords(socketPath: string, causes: readonly string[]): Promise<AppliedRecords | null> {
  const start = performance.now();
  const answer = await ask(socketPath, 'POST', '/records/apply', { causes }, APPLY_TIMEOUT);
  if (answer === null) return null;
  return { ...(answer as Omit<AppliedRecords, 'milliseconds'>), milliseconds: performance.now() - start };
}

/** The health of the gate at `socketPath`. Null when none runs there; CG_GATE_ANSWER when it does not answer. */
export async function askHealth(socketPath: string): Promise<ReportedHealth | null> {
  return (await ask(socketPath, 'GET', '/health')) as ReportedHealth | null;
}

/** What the gate at `socketPath` serves by. Null when none runs there; CG_GATE_ANSWER when it does not answer, or not that. */
export async function askSettings(socketPath: string): Promise<ServedSettings | null> {
  return (await ask(socketPath, 'GET', '/settings')) as ServedSettings | null;
}

/** Has the gate at `socketPath` sign what it has recorded by now. Null when none runs there; CG_GATE_ANSWER when it fails. */
export async function askCheckpoint(socketPath: string): Promise<unknown> {
  return await ask(socketPath, 'POST', '/audit/checkpoint');
}

function ask(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  timeout: number = TIMEOUT,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const failed = (reason: string, remedy?: string): void =>
      reject(
        new CertgateError('CG_GATE_ANSWER', { socket: socketPath, reason, ...(remedy !== undefined && { remedy }) }),
      );
    const question = request({ socketPath, method, path, timeout, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('error', (error) => failed(error.message));
      response.on('end', () => {
        const text = Buffer.concat(parts).toString('utf8');
        if (response.statusCode !== 200) return failed(text.slice(0, 300));
        try {
          return resolve(JSON.parse(text));
        } catch {
          return failed('its answer is not JSON');
        }
      });
    });
    question.on('timeout', () => question.destroy(new Error(`no answer within ${timeout} ms`)));
    question.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') return resolve(null);
      if (error.code !== 'EACCES') return failed(error.message);
      failed(fileReason(error), `run this as the user that runs the gate: ls -ld ${shellWord(socketPath)}`);
    });
    question.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
