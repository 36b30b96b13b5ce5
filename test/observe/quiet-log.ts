// A log that nobody reads, for what wants one.

import { type Log, openLog } from '../../src/observe/log.ts';

export const quietLog: Log = openLog({ level: 'error', destination: { write: () => {} } });
