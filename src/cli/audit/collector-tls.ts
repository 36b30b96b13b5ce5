// What a TLS connection to a collector is made with.
import { readNamed } from '../named-file.ts';

/** PEM; the system's roots without `ca`. */
export interface CollectorTls {
  /** Also where NODE_TLS_REJECT_UNAUTHORIZED says otherwise. */
  readonly rejectUnauthorized: true;
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** What stands in these files, as they are named from `cwd`; Node's errors for one that can't be read. */
export function readCollectorTls(files: {
  readonly cwd: string;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}): CollectorTls {
  return {
    rejectUnauthorized: true,
    ...(files.ca === undefined ? {} : { ca: readNamed(files.ca, files) }),
    ...(files.cert === undefined ? {} : { cert: readNamed(files.cert, files) }),
    ...(files.key === undefined ? {} : { key: readNamed(files.key, files) }),
  };
}
