// A unix socket that is its owner's from its first moment: for whoever answers questions on this machine. Who could open it
// could read the files beside it as well.

import { chmodSync } from 'node:fs';
import type { Server } from 'node:net';
import { CertgateError, reasonOf } from '../errors.ts';

/** Binds `server` to the socket at `path`, mode 0600. CG_LISTEN when that can't be. */
export function listenPrivately(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    // The socket's file is made within listen(): nobody else's from its first moment.
    const before = process.umask(0o177);
    const failed = (error: unknown): void => {
      reject(new CertgateError('CG_LISTEN', { address: path, reason: reasonOf(error) }, { cause: error }));
    };
    server.once('error', failed);
    server.listen(path, () => {
      server.on('error', () => {});
      try {
        chmodSync(path, 0o600);
        resolve();
      } catch (error) {
        server.close();
        failed(error);
      }
    });
    process.umask(before);
  });
}
