// What a CA is to the bench: a server that certifies requests over HTTPS on a port, with its own CA made for the run and
// what its users have on by default. All that a client sends is made beforehand.

import type { ChildProcess } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import type { StartOptions } from '../processes.ts';

/** A machine that will ask: its request's subject is CN=`name`. */
export interface Applicant {
  /** `etl-17`: an identity `worker/etl-17` to certgate, a DNS name to the others. */
  readonly name: string;
  /** PKCS #10 with a P-256 key, PEM. */
  readonly csr: string;
  readonly publicKey: KeyObject;
}

export interface CaPlace {
  /** A folder of its own. */
  readonly dir: string;
  readonly port: number;
  readonly upstreamPort: number;
  readonly profileDir: string | null;
  start(command: string, args: readonly string[], options?: Pick<StartOptions, 'env'>): ChildProcess;
}

export interface RunningCa {
  readonly child: ChildProcess;
  /** What its server certificate is verified with, PEM. */
  readonly trust: string;
  /** Who signs leaves, PEM. */
  readonly issuer: string;
  /** One request for each, HTTP/1.1 with its body. */
  requestsFor(applicants: readonly Applicant[]): Promise<readonly Buffer[]>;
  /** The leaf in an answer's body, PEM. */
  certificateIn(body: string): string;
  /** Whether the certificate with this serial number (hex) is on record; null for a CA that keeps none. */
  isRecorded(serial: string): Promise<boolean | null>;
}

export interface Ca {
  readonly name: string;
  /** Why it can't take part on this machine, with the remedy; null when it can. */
  absent(): Promise<string | null>;
  version(): string;
  /** Starts it; whoever calls waits until it answers. */
  start(place: CaPlace): Promise<RunningCa>;
}

export function postRequest(path: string, body: string, type = 'application/json'): Buffer {
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\n`;
  return Buffer.from(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
