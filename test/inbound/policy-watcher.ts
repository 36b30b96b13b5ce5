// A process that watches a policy, for policy-watch.test.ts: it uses up its descriptors first, says what the watch logs, and
// gives the descriptors back when it is told to.
import { closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { loadPolicy } from '../../src/config/policy-load.ts';
import { watchPolicy } from '../../src/inbound/policy-watch.ts';
import { openLog } from '../../src/observe/log.ts';
import { createMetrics } from '../../src/observe/metrics.ts';

const [path = ''] = process.argv.slice(2);
const place = { path, cwd: dirname(path), loaded: loadPolicy(path, dirname(path)) };
const log = openLog({ level: 'info', destination: { write: (line) => void process.stdout.write(line) } });
process.stdin.resume();
watchPolicy(place, { log, metrics: createMetrics() }, () => {});
const taken: number[] = [];
const fill = (): void => {
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {}
};
fill();
// What Node itself still had open from its start it may give back later.
const filling = setInterval(fill, 20);
log.info({}, 'full');
process.stdin.on('data', () => {
  clearInterval(filling);
  for (const one of taken.splice(0)) closeSync(one);
});
process.stdin.on('end', () => process.exit(0));
