// The scripts that docs/audit.md gives to whoever verifies without certgate, run as they stand there.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The script that docs/audit.md has under this name, run with these arguments. */
export function documented(name: string, args: readonly string[]) {
  const text = readFileSync(new URL('../../docs/audit.md', import.meta.url), 'utf8');
  const [, script = ''] = new RegExp(`<!-- ${name} -->\n\`\`\`python\n([^]*?)\`\`\``).exec(text) ?? [];
  return spawnSync('python3', ['-', ...args], { input: script, encoding: 'utf8' });
}
