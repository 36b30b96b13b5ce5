// A process of its own for the tests: claims the state folder that it is told, says `claimed` or the error's code, and
// holds what it has until it is killed.
import { writeSync } from 'node:fs';
import { claimStateFolder } from '../../src/admin/one-gate.ts';
import { isCertgateError } from '../../src/errors.ts';

try {
  const claim = claimStateFolder(process.argv[2] ?? '');
  writeSync(1, 'claimed\n');
  setInterval(() => claim, 1000); // and so never let go by the garbage collector
} catch (error) {
  writeSync(1, `${isCertgateError(error) ? error.code : String(error)}\n`);
}
