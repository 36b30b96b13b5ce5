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
          about: 'Lifetime of certificates from `certgate issue`.',
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
        "Whether clients without a certificate may connect to the gate's port to enrol with a token from `certgate token create`, and for nothing else.",
      ),
      issuers: withDefault(issuersSchema, []).register(settings, {
        kind: 'rules',
        about:
          'Whose identity tokens (JWT) clients without a certificate may enrol with, and which identities they get: see docs/identity-tokens.md.',
        wants: 'a list of {name, issuer, audience, rules: [{match: {claim: pattern}, as: name}], …}',
        example:
          "[{name: ci, issuer: https://token.actions.githubusercontent.com, audience: https://gate.example:8443, rules: [{match: {repository: 'acme/etl', ref: refs/heads/main}, as: service/etl}]}]",
        fallback: '[]',
        inEnvironment: '\'[{"name":"ci","issuer":"https://…","audience":"https://…","rules":[…]}]\'',
      }),
      listen: optionalListen(
        '--enroll-listen',
        '0.0.0.0:8444',
        'An additional address, with mutual TLS, for getting or renewing a certificate: it answers enrolment, renewal, EST, CRL and OCSP, and forwards nothing to Prefect. Off if not set.',
      ),
      est: onOff(
        true,
        'Whether the gate also speaks EST (RFC 7030, docs/est.md): the same enrolment and renewal, under the same rules, in a protocol that other clients know.',
      ),
    }),
    {},
  );

export const renewSettings = () =>
  z.prefault(
    z.strictObject({
      lockOnReuse: onOff(
        true,
        'Whether to lock an identity if its certificate is renewed again after the successor was in use, which means that the key is in two places. If false, this is only recorded.',
      ),
      grace: duration(
        '0s',
        {
          about:
            'How long after it expires a certificate may still be renewed, by proof of its key alone; 0s means not at all. Each such renewal is recorded.',
        },
        { min: '0s', max: '30d' },
      ),
    }),
    {},
  );
