// A unix socket that is its owner's from its first moment: for whoever answers questions on this machine. Who could open it
// could read the files beside it as well.

import { chmodSync } from 'node:fs';
import type { Server } from 'node:net';
import { CertgateError } from '../errors.ts';

/** Binds `server` to the socket at `path`, mode 0600. CG_LISTEN when that can't be. */
export function listenPrivately(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // The socket's file is made within listen(): nobody else's from its first moment.
    const before = process.umask(0o177);
    server.once('error', (error) => {
      reject(new CertgateError('CG_LISTEN', { address: path, reason: error.message }, { cause: error }));
    });
    server.listen(path, () => {
      chmodSync(path, 0o600);
      server.on('error', () => {});
      resolve();
    });
    process.umask(before);
  });
}
