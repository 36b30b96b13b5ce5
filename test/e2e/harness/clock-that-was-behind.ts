// Preloaded into a process (NODE_OPTIONS=--import): its wall clock is four minutes behind until the file that
// CLOCK_PUT_RIGHT names is there, as before NTP's word, or on a machine that has slept. What was issued before is then due
// for renewal.

import { existsSync } from 'node:fs';

const now = Date.now.bind(Date);
const file = process.env['CLOCK_PUT_RIGHT'] ?? '';
let right = false;
Date.now = (): number => {
  right ||= existsSync(file);
  return right ? now() : now() - 240_000;
};
