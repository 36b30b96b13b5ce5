// certgate itself, as its user starts it: `certgate serve` with the configuration that `certgate init` wrote, its access
// log in the usual place (stderr), a policy that permits the load, and its audit log on, which can't be turned off.

import { join } from 'node:path';
import packageJson from '../../../package.json' with { type: 'json' };
import { type Form, mainOf } from '../build.ts';
import { type Contestant, OUTPUT_FILE, type Place, profileFlags } from './contestant.ts';

/** The command line of `certgate serve` at a place, for Node. */
export function serveArguments(form: Form, place: Place, more: readonly string[] = []): string[] {
  const listen = ['--listen', `127.0.0.1:${place.port}`, '--drain', '1s'];
  const upstream = ['--upstream', `http://127.0.0.1:${place.upstreamPort}`];
  return [...profileFlags(place), mainOf(form), 'serve', ...listen, ...upstream, ...more];
}

/** Its environment: where its configuration is, and whether it writes an access log. */
export function serveEnvironment(place: Place): Record<string, string> {
  return {
    CERTGATE_CONFIG: join(place.certificates.authorityDir, 'certgate.yaml'),
    CERTGATE_LOG_ACCESS: String(place.accessLog),
    CERTGATE_SERVE_POLICY: join(place.certificates.authorityDir, 'policy.yaml'),
    // All load comes from one address and one identity; no other contestant has such limits.
    CERTGATE_SERVE_LIMITS_CONNECTIONS: 'off',
    CERTGATE_SERVE_LIMITS_CONNECTIONS_PER_ADDRESS: 'off',
    CERTGATE_SERVE_LIMITS_HANDSHAKES_PER_ADDRESS: 'off',
    CERTGATE_SERVE_LIMITS_CONNECTIONS_PER_IDENTITY: 'off',
    CERTGATE_SERVE_LIMITS_REQUESTS_PER_IDENTITY: 'off',
  };
}

/** Has connections wait for an hour, for works that hold many of them: on a busy machine to open them takes longer than they may wait. */
export const PATIENT = { CERTGATE_SERVE_LIMITS_IDLE: '1h' };

/** With `more` settings as variables of its environment. */
export function certgateFrom(form: Form, more: Readonly<Record<string, string>> = {}): Contestant {
  return {
    name: 'certgate',
    absent: () => null,
    version: () => `${packageJson.version} (${form}/)`,
    identityHeader: 'x-certgate-identity',
    identityValue: (identity) => identity,
    start: (place) =>
      place.start(process.execPath, serveArguments(form, place), { env: { ...serveEnvironment(place), ...more } }),
    descriptorsPerClient: 1,
    growingFiles: [OUTPUT_FILE],
  };
}
