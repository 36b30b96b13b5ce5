// The settings of the listeners over plain HTTP: `serve.status`, where revocations are published, and under which URL, which
// whoever issues needs as well as whoever serves; and `serve.metrics`, for monitors.
import * as z from 'zod/mini';
import { parseHostPort, parseOrigin } from './address.ts';
import { optionalText } from './setting.ts';

export const statusSettings = () =>
  z.prefault(
    z.strictObject({
      listen: optionalText(
        {
          about:
            'Where revocations are published over plain HTTP: the list (CRL), OCSP and the issuer certificate, nothing else. Off when not set.',
          flag: '--status-listen',
        },
        {
          kind: 'address',
          wants: 'host:port or [ipv6]:port',
          example: '0.0.0.0:8081',
          accepts: (value) => parseHostPort(value) !== null,
        },
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

export const metricsSettings = () =>
  z.prefault(
    z.strictObject({
      listen: optionalText(
        {
          about:
            'Where monitors are told of the gate over plain HTTP, without a certificate: /livez, /readyz, and /metrics for Prometheus. Off when not set.',
          flag: '--metrics-listen',
        },
        {
          kind: 'address',
          wants: 'host:port or [ipv6]:port',
          example: '127.0.0.1:9464',
          accepts: (value) => parseHostPort(value) !== null,
        },
      ),
    }),
    {},
  );
