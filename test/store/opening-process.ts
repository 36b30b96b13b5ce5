// A process of its own for the tests: opens the store that it is told, which brings it up to date, and closes it.
import { openSqliteStore } from '../../src/store/sqlite.ts';

(globalThis as { startCounting?: () => void }).startCounting?.();
await openSqliteStore(process.argv[2] ?? '').close();
