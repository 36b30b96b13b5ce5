// A gate may run with flags and CERTGATE_… variables of its own: what it serves by is its own to say, over its control
// socket. What commands tell about a gate they tell about the one that runs, and of the configuration only where none does.
import { join } from 'node:path';
import { askSettings, type ServedSettings } from '../admin/control-client.ts';
import type { Config } from '../config/schema.ts';

export interface AsServed {
  /** The configuration, with the settings of the gate that runs in the place of its own. */
  readonly config: Config;
  /** Where the two differ, as the gate has it: `serve.upstream http://127.0.0.1:4200`, `serve.policy none`. */
  readonly differing: readonly string[];
}

/** What is served by, of `config` and the gate that runs on its state folder. A gate that does not say so counts as none. */
export async function asServed(config: Config): Promise<AsServed> {
  const served = await askSettings(join(config.stateDir, 'control.sock')).catch(() => null);
  if (served === null) return { config, differing: [] };
  const { passed = null, ...there } = served;
  const { serve } = config;
  // Where a passed socket is bound is in no configuration.
  const own: ServedSettings = passed === serve.listen ? { ...serve, listen: served.listen } : serve;
  const differing = (['listen', 'upstream', 'names', 'policy'] as const)
    .filter((key) => String(there[key]) !== String(own[key]))
    .map((key) => `serve.${key} ${String(there[key] ?? 'none')}`);
  return { config: { ...config, serve: { ...serve, ...there, names: [...there.names] } }, differing };
}
