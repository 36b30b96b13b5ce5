// The settings of whoever issues: `issue` for a person at the CA, `enroll` for who comes with a token, `renew` for who has
// a certificate already. A part of the schema of its own.
import * as z from 'zod/mini';
import { issuersSchema } from './issuers.ts';
import { duration, onOff, optionalListen, settings, withDefault } from './setting.ts';

export const issueSettings = () =>
  z.prefault(
    z.strictObject({
      ttl: duration(
        '24h',
        {
          about: 'Lifetime of the certificates that `certgate issue` makes.',
          flag: '--ttl',
        },
        { min: '5m', max: '3650d' },
      ),
    }),
    {},
  );

export const enrollSettings = () =>
  z.prefault(
    z.strictObject({
      tokens: onOff(
        true,
        'Whether who has no certificate may come to the port of the gate with a token of `certgate token create`, and for nothing else.',
      ),
      issuers: withDefault(issuersSchema, []).register(settings, {
        kind: 'rules',
        about:
          'Whose identity tokens (JWT) who has no certificate may come with, and whom they name: see docs/identity-tokens.md.',
        wants: 'a list of {name, issuer, audience, rules: [{match: {claim: pattern}, as: name}], …}',
        example:
          "[{name: ci, issuer: https://token.actions.githubusercontent.com, audience: https://gate.example:8443, rules: [{match: {repository: 'acme/etl', ref: refs/heads/main}, as: service/etl}]}]",
        fallback: '[]',
        inEnvironment: '\'[{"name":"ci","issuer":"https://…","audience":"https://…","rules":[…]}]\'',
      }),
      listen: optionalListen(
        '--enroll-listen',
        '0.0.0.0:8444',
        'A further address, with mutual TLS, for those who have no certificate yet, or renew one: it answers enrolment, renewal, EST, CRL and OCSP, and passes nothing on to Prefect. Off when not set.',
      ),
      est: onOff(
        true,
        'Whether the gate speaks EST (RFC 7030, docs/est.md) too: the same enrolment and renewal, under the same rules, in words that other clients know.',
      ),
    }),
    {},
  );

export const renewSettings = () =>
  z.prefault(
    z.strictObject({
      lockOnReuse: onOff(
        true,
        'Whether an identity is locked when a certificate of it is renewed again after its successor was in use: its key is in two places. Off, that is only recorded.',
      ),
      grace: duration(
        '0s',
        {
          about:
            'How long after its end a certificate may still be renewed, by its key alone; 0s is not at all. Each such renewal is recorded.',
        },
        { min: '0s', max: '30d' },
      ),
    }),
    {},
  );
