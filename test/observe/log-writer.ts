// For the tests of the log's destination: logs argv[2] lines of argv[3] characters to stderr, says `done` on stdout, and
// ends by process.exit at once, with argv[4] = `stay` when its standard input does, or with `several`, as one of several
// processes that write there, when all is written.

import { writeSync } from 'node:fs';
import { accessClient, accessLogOf, accessSubject, flushLog, openLog } from '../../src/observe/log.ts';

const [, , lines = '1', size = '10', stay] = process.argv;
const log = openLog({ level: 'info', severalWriters: stay === 'several' });
const access = accessLogOf(log);
for (let i = 0; i < Number(lines); i++) {
  const path = `/${i}/${'x'.repeat(Number(size))}`;
  const subject = accessSubject(accessClient(null, null, ''), 'GET', path, null);
  access?.({ subject, requestId: '', decision: 'permit', code: null, status: 200, ms: 1, bytesIn: 0, bytesOut: 0 });
}
await new Promise(setImmediate);
writeSync(1, 'done\n');
if (stay === 'several') await flushLog(log);
if (stay !== 'stay') process.exit(0);
process.stdin.on('end', () => process.exit(0)).resume();
setInterval(() => log.info('tick'), 50);
