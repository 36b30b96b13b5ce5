// Prefect records who created a run or a deployment only where an automation did: it believes two headers, which the gate
// takes from every client (request-head.ts). By a policy's word the gate sets them itself, so that Prefect and its UI show
// the identity of the certificate (prefect-facts.md §2.1 (5)). The type that Prefect gives it is AUTOMATION in any case.

import { createHash } from 'node:crypto';
import type { Operation } from '../policy/operation.ts';

/** Prefect's names of what makes something that it records a creator of. */
const CREATES = new Set([
  'create_flow_run',
  'create_flow_run_from_deployment',
  'bulk_create_flow_runs_from_deployment',
  'create_deployment',
]);

/** Header lines that name `identity` as the creator, each with its CRLF; empty where nothing is created. */
export function provenanceLines(operation: Operation | null, identity: string): string {
  if (operation === null || !CREATES.has(operation.name)) return '';
  const name = Buffer.from(identity, 'utf8').toString('base64');
  return `prefect-automation-id: ${idOf(identity)}\r\nprefect-automation-name: ${name}\r\n`;
}

/** Always the same UUID for an identity (RFC 9562 §5.8). */
function idOf(identity: string): string {
  const hex = createHash('sha256').update(`certgate identity ${identity}`).digest('hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
