// A policy file in a folder of its own, watched as a gate watches it.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadPolicy } from '../../src/config/policy-load.ts';
import { type PolicyWatch, watchPolicy } from '../../src/inbound/policy-watch.ts';
import { openLog } from '../../src/observe/log.ts';
import { createMetrics, type Metrics } from '../../src/observe/metrics.ts';

export interface WatchedPolicy {
  readonly folder: string;
  readonly path: string;
  readonly watch: PolicyWatch;
  readonly metrics: Metrics;
  /** Of each line that was logged, the message with its reason. */
  readonly said: string[];
  /** The role that worker/etl-1 has by each policy that was taken. */
  readonly taken: string[];
}

/** `text` is the policy that it begins with. Whoever asks for it stops the watch and removes the folder. */
export function watchedPolicy(text: string): WatchedPolicy {
  const folder = mkdtempSync(join(tmpdir(), 'certgate-policy-watch-'));
  const path = join(folder, 'policy.yaml');
  writeFileSync(path, text);
  const metrics = createMetrics();
  const said: string[] = [];
  const taken: string[] = [];
  const write = (line: string): void => {
    const { msg, reason } = JSON.parse(line) as { msg: string; reason?: string };
    said.push(reason === undefined ? msg : `${msg}: ${reason}`);
  };
  const place = { path, cwd: folder, loaded: loadPolicy(path, folder) };
  const log = openLog({ level: 'info', destination: { write } });
  const watch = watchPolicy(place, { log, metrics }, ({ policy }) => {
    taken.push(policy.grants('worker/etl-1').roles[0]?.role ?? 'none');
  });
  return { folder, path, watch, metrics, said, taken };
}
