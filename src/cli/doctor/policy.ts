// Checks of `certgate doctor` about the policy: is there one, would a gate take it, does it bind anybody, does it refuse
// yet, and can others change it.

import { statSync } from 'node:fs';
import { loadPolicy } from '../../config/policy-load.ts';
import type { Config } from '../../config/schema.ts';
import { isCertgateError, shellWord } from '../../errors.ts';
import { type Finding, failure, fine, warning } from './finding.ts';

const CHECK = 'policy';

/** Judges the policy that the configuration names; nothing where this machine has no CA and so no gate. */
export function checkPolicy({ serve: { policy: path } }: Config, hasAuthority: boolean, cwd: string): Finding[] {
  if (path === null) {
    if (!hasAuthority) return [];
    const found = 'there is none: every admitted client may do everything in Prefect';
    return [warning(CHECK, found, 'write one, docs/policy.md has one to start from, and name it in serve.policy')];
  }
  try {
    const { policy, bindings, source } = loadPolicy(path, cwd);
    if ((statSync(path).mode & 0o022) !== 0) {
      const found = `${source.file} can be written by others, who could give themselves any role`;
      return [failure(CHECK, found, `chmod go-w ${shellWord(source.file)}`)];
    }
    if (bindings.length === 0) return [warning(CHECK, `${source.file} gives nobody a role`, 'add bindings to it')];
    if (policy.mode === 'observe') {
      const found = `${source.file} only observes: it refuses nothing`;
      return [warning(CHECK, found, 'once the log no longer says `observed: would be refused`, set mode: enforce')];
    }
    return [fine(CHECK, `${source.file} is enforced`)];
  } catch (error) {
    if (!isCertgateError(error)) throw error;
    const [first = '', ...more] = error.message.split('\n');
    const found = more.length === 0 ? first : `${first} (and ${more.length} more)`;
    return [failure(CHECK, found, 'certgate policy check')];
  }
}
