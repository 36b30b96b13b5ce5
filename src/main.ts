#!/usr/bin/env node
// argv → one command → exit code; nothing else. The only file that ends the process.
import { processIo } from './cli/io.ts';
import { run } from './cli/program.ts';

// `certgate list | head` closes our stdout: what was wanted has been read, so end quietly, with the exit code of a command that
// has one by then. A closed stderr takes no words.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  process.stderr.write(`error: stdout cannot be written: ${error.message}\n`);
  process.exit(1);
});
// Words that nobody can read are no reason to stop what has been asked for.
process.stderr.on('error', () => {});

const code = await run(process.argv.slice(2), processIo());
process.exitCode = code;
// A serving process has closed all that is its own by now; nothing that is left may keep it.
setTimeout(() => process.exit(code), 2_000).unref();
