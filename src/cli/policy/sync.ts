// certgate policy sync: what a Prefect can do that the table of operations does not know, and the other way round. It reads
// a Prefect's openapi.json and changes nothing: an operation gets into the table by an update of certgate.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { CertgateError, EXIT, fileReason, systemCode } from '../../errors.ts';
import { compareRoutes } from '../../policy/sync.ts';
import { printable, printableJson } from '../escape.ts';
import { describe } from '../help.ts';
import type { CommandIo } from '../io.ts';

/** For a Prefect's answer, ms. */
const PATIENCE = 15_000;
/** Prefect's own has 1.3 MB. */
const LONGEST = 33_554_432;

export function syncCommand(io: CommandIo): Command {
  return describe(new Command('sync'), "list a Prefect server's operations that certgate does not know", {
    examples: [
      ['the Prefect behind the gate', 'certgate policy sync --from http://127.0.0.1:4200/api/openapi.json'],
      ['a file, for another version', 'certgate policy sync --from openapi.json --json'],
    ],
    notes: [
      `exit code 0 if certgate knows them all, ${EXIT.refused} if some are new: those are refused to all but an Owner.`,
    ],
  })
    .requiredOption('--from <FILE|URL>', "a Prefect's openapi.json")
    .option('--json', 'print JSON')
    .action(async ({ from, json }: { from: string; json?: true }) => {
      const difference = compareRoutes(await openapiAt(from, io.cwd));
      if (difference === null) throw new CertgateError('CG_OPENAPI', { source: from, problem: 'is no openapi.json' });
      const { described, added, gone } = difference;
      if (added.length > 0) io.setExitCode(EXIT.refused);
      if (json === true) return io.out(printableJson(difference, 2));
      for (const one of added) io.out(printable(`new   ${one}`));
      for (const one of gone) io.out(printable(`gone  ${one}`));
      io.say(`${described} operations: ${added.length} new, ${gone.length} of the table gone`);
    });
}

async function openapiAt(from: string, cwd: string): Promise<unknown> {
  try {
    if (!/^https?:\/\//i.test(from)) return JSON.parse(readFileSync(resolve(cwd, from), 'utf8'));
    const answer = await fetch(from, { signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(`answers ${answer.status}`);
    return JSON.parse(await textOf(answer));
  } catch (error) {
    // fetch says only that it failed; the cause says why.
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    const problem =
      systemCode(error) === 'ENOENT'
        ? 'does not exist'
        : error instanceof SyntaxError
          ? 'is not JSON'
          : `cannot be read: ${cause instanceof DOMException ? `no answer within ${PATIENCE / 1000} s` : fileReason(cause)}`;
    throw new CertgateError('CG_OPENAPI', { source: from, problem }, { cause: error });
  }
}

/** Whoever answers may go on for ever. */
async function textOf(answer: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    length += part.length;
    if (length > LONGEST) throw new Error(`the answer is longer than ${LONGEST} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
