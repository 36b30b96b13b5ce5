// What every contestant is to the bench: a mutual-TLS proxy that starts on a port with the material it is given,
// demands a client certificate, and tells the upstream in a header whose it was.

import type { ChildProcess } from 'node:child_process';
import type { Certificates } from '../certificates.ts';
import type { StartOptions } from '../processes.ts';

export interface Place {
  /** A folder of its own, with configuration and logs. */
  readonly dir: string;
  readonly port: number;
  readonly upstreamPort: number;
  readonly certificates: Certificates;
  /** Whether it writes its access log, in the way its users have it. */
  readonly accessLog: boolean;
  /** Where Node contestants write a CPU profile when they end, or null. */
  readonly profileDir: string | null;
  start(command: string, args: readonly string[], options?: Pick<StartOptions, 'env' | 'ipc'>): ChildProcess;
}

export interface Contestant {
  readonly name: string;
  /** Why it can't take part on this machine, with the remedy; null when it can. */
  absent(): string | null | Promise<string | null>;
  version(): string;
  /** The header that carries the identity upstream (lower case), and a part of its value; null: it reads no HTTP. */
  readonly identityHeader: string | null;
  readonly identityValue: (identity: string) => string;
  start(place: Place): ChildProcess;
  /** What an idle client holds of the process's file descriptors: 2 where the upstream is connected to at once. */
  readonly descriptorsPerClient: 1 | 2;
  /** Files of its folder that grow with each request, emptied between measurements. */
  readonly growingFiles: readonly string[];
}

/** Output of the process itself, in its folder: the access log of those that log there. */
export const OUTPUT_FILE = 'output.log';

/** Flags that make Node write a CPU profile at its end. */
export function profileFlags(place: Place): string[] {
  return place.profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${place.profileDir}`];
}
