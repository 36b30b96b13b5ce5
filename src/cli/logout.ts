// certgate logout: removes what certgate login left, the key first of all. The certificate stays valid until it ends, a day at
// most; on the gate `certgate revoke` ends it at once.
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { printable, printableJson } from './escape.ts';
import { describe } from './help.ts';
import type { CommandIo } from './io.ts';
import { forgetLogin, loginIdentity } from './login-place.ts';

export function logoutCommand(io: CommandIo): Command {
  return describe(new Command('logout'), "remove the last login's certificate and its key", {
    examples: [
      ['the gate is remembered for the next login', 'certgate logout'],
      ['nothing is', 'certgate logout --forget'],
    ],
    notes: [
      'whoever has a copy of the key can use it until the certificate expires, or is revoked on the gate with certgate revoke.',
    ],
  })
    .option('--forget', 'also forget the gate')
    .option('--json', 'print JSON')
    .action((flags: { readonly forget?: true; readonly json?: true }) => {
      const path = loginIdentity(io.env);
      const was = existsSync(path);
      forgetLogin(io.env, flags.forget === true);
      if (flags.json === true) io.out(printableJson({ path, removed: was }, 2));
      else io.say(printable(was ? `removed ${path}` : `nobody is logged in: there is no ${path}`));
    });
}
