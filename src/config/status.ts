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
        'Where revocations are published over plain HTTP: the list (CRL), OCSP and the issuer certificate, nothing else. Off when not set.',
      ),
      url: optionalText(
        {
          about:
            'The URL under which others reach that. Certificates issued from then on name it; those issued before do not.',
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
        `Where monitors are told of ${of} over plain HTTP, without a certificate: /livez, /readyz, and /metrics for Prometheus. Off when not set.`,
      ),
    }),
    {},
  );
