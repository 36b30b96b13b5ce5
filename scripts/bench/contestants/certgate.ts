// certgate itself, as its user starts it: `certgate serve` with the configuration that `certgate init` wrote, its access
// log in the usual place (stderr) and its audit log on, which can't be turned off.

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import packageJson from '../../../package.json' with { type: 'json' };
import { type Contestant, OUTPUT_FILE, profileFlags } from './contestant.ts';

const main = join(import.meta.dirname, '..', '..', '..', 'src', 'main.ts');

export const certgate: Contestant = {
  name: 'certgate',
  absent: () => (existsSync(join(dirname(main), 'cli', 'serve.ts')) ? null : 'certgate serve is not built yet'),
  version: () => packageJson.version,
  identityHeader: 'x-certgate-identity',
  identityValue: (identity) => identity,
  start(place) {
    const listen = ['--listen', `127.0.0.1:${place.port}`];
    const upstream = ['--upstream', `http://127.0.0.1:${place.upstreamPort}`];
    const env = {
      CERTGATE_CONFIG: join(place.certificates.authorityDir, 'certgate.yaml'),
      CERTGATE_LOG_ACCESS: String(place.accessLog),
    };
    return place.start(process.execPath, [...profileFlags(place), main, 'serve', ...listen, ...upstream], { env });
  },
  growingFiles: [OUTPUT_FILE],
};
