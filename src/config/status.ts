// The settings of the listeners over plain HTTP: `serve.status`, where revocations are published, and under which URL, which
// whoever issues needs as well as whoever serves; and `serve.metrics` and `connect.metrics`, for monitors.
import * as z from 'zod/mini';
import { parseOrigin } from './address.ts';
import { optionalListen, optionalText } from './setting.ts';

export const statusSettings = () =>
  z.prefault(
    z.strictObject({
      listen: optionalListen(
        '--status-listen',
        '0.0.0.0:8081',
        "Where revocations are published over plain HTTP: the revocation list (CRL), OCSP and the issuer's certificate, nothing else. Off if not set.",
      ),
      url: optionalText(
        {
          about:
            'The URL at which others reach that address. Certificates issued from then on contain it; earlier ones do not.',
        },
        {
          wants: 'http://host:port without a path',
          example: 'http://gate.example:8081',
          accepts: (value) => parseOrigin(value, 'http') !== null,
        },
      ),
    }),
    {},
  );

/** `of`: what monitors are told of. */
export const metricsSettings = (of: 'the gate' | 'the sidecar') =>
  z.prefault(
    z.strictObject({
      listen: optionalListen(
        '--metrics-listen',
        '127.0.0.1:9464',
        `Where ${of} serves /livez, /readyz and, for Prometheus, /metrics, over plain HTTP and without a certificate. Off if not set.`,
      ),
    }),
    {},
  );
