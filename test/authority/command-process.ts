// A process of its own for the tests that kill it: the command line that its arguments are.
import { processIo } from '../../src/cli/io.ts';
import { run } from '../../src/cli/program.ts';

const argv = process.argv.slice(2);
// What the command is made of is read before its steps are counted.
await run([...argv, '--help'], { ...processIo(), out: () => {} });
(globalThis as { startCounting?: () => void }).startCounting?.();
process.exitCode = await run(argv, processIo());
