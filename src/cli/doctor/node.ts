// What `certgate doctor`, `certgate ca check` and the start of a gate have to say of the Node that certgate runs on.

import type { Log } from '../../observe/log.ts';
import { isTooOld } from '../node-version.ts';
import { type Finding, failure, fine, warning } from './finding.ts';

// The oldest releases of each line with the TLS fixes of 2026-10 and 2026-11 that bear on mutual TLS.
const FIXED: ReadonlyArray<readonly [major: number, minor: number, patch: number]> = [
  [24, 22, 3],
  [26, 13, 1],
];

/** Judges a Node version such as `v26.10.0`. */
export function checkNode(version: string): Finding {
  const [major = 0, minor = 0, patch = 0] = version.replace(/^v/, '').split('.').map(Number);
  const shown = version.replace(/^v/, '');
  if (isTooOld(shown)) {
    return failure('node', `Node ${shown} is too old`, 'install Node 24.15 or newer');
  }
  const line = FIXED.find(([fixed]) => fixed === major);
  if (line === undefined) {
    return major > 26
      ? fine('node', `Node ${shown}`)
      : warning('node', `Node ${shown} gets no security releases`, 'install the newest Node 24 or 26');
  }
  const old = minor < line[1] || (minor === line[1] && patch < line[2]);
  return old
    ? warning(
        'node',
        `Node ${shown} lacks TLS security fixes`,
        `for more than a trial, run it on Node ${line.join('.')} or newer: https://nodejs.org (npm’s registry is behind it)`,
      )
    : fine('node', `Node ${shown}`);
}

/** Says at the start of a gate, where strangers connect, what `checkNode` finds; it goes on with an old Node. */
export function warnOfNode(log: Log): void {
  const { level, found, remedy } = checkNode(process.version);
  if (level !== 'ok') log.warn({ remedy }, found);
}
