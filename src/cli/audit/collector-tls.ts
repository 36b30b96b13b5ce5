// What a TLS connection to a collector is made with.
import { readFileSync } from 'node:fs';

/** PEM; the system's roots without `ca`. */
export interface CollectorTls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** What stands in these files; Node's errors for one that can't be read. */
export function readCollectorTls(files: {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}): CollectorTls {
  return {
    ...(files.ca === undefined ? {} : { ca: readFileSync(files.ca) }),
    ...(files.cert === undefined ? {} : { cert: readFileSync(files.cert) }),
    ...(files.key === undefined ? {} : { key: readFileSync(files.key) }),
  };
}
