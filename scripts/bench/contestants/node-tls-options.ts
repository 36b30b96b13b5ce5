// What the TLS servers of the Node contestants are told: the same for all, as their competitors are set up too.

import { constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TlsOptions } from 'node:tls';

/** A client certificate of the bundle's CA is demanded, TLS 1.3 spoken, no session ticket given. The arguments are paths. */
export function mutualTls(chain: string, key: string, bundle: string): TlsOptions {
  return {
    cert: readFileSync(chain),
    key: readFileSync(key),
    ca: readFileSync(bundle),
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}
