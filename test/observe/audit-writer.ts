// For the kill tests: appends records to the file named in argv[2] as fast as it can, 64 at a time, with ids that begin
// with argv[3], and prints each id once its record has been acknowledged.

import { writeSync } from 'node:fs';
import { openAuditLog } from '../../src/observe/audit-log.ts';
import { auditRecord } from './records.ts';

const [, , path = '', prefix = ''] = process.argv;
const log = await openAuditLog(path);
let next = 0;

async function appendForEver(): Promise<void> {
  for (;;) {
    const requestId = `${prefix}-${next++}`;
    await log.append(auditRecord({ requestId, path: `/api/flows/name/${'x'.repeat(next % 400)}` }));
    writeSync(1, `${requestId}\n`);
  }
}

await Promise.all(Array.from({ length: 64 }, appendForEver));
