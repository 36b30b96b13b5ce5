// The commit that is measured, as a report names it.

import { spawnSync } from 'node:child_process';

/** Short hash, with `+` behind it when src/ was changed since; null without git. */
export function commitNow(): string | null {
  const git = (...args: string[]): string | null => {
    const run = spawnSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' });
    return run.status === 0 ? run.stdout.trim() : null;
  };
  const hash = git('rev-parse', '--short=10', 'HEAD');
  return hash === null
    ? null
    : `${hash}${git('status', '--porcelain', '--untracked-files=no', '--', 'src') === '' ? '' : '+'}`;
}
