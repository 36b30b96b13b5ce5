#!/usr/bin/env node
// argv → one command → exit code; nothing else. The only file that ends the process.
import { processIo } from './cli/io.ts';
import { run } from './cli/program.ts';

// `certgate list | head` closes our stdout: what was wanted has been read, so end quietly. A closed stderr takes no words.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await run(process.argv.slice(2), processIo());
