// What identities and trust domains are made of, for property tests; written from the rules, not from the sources.
import fc from 'fast-check';

const edge = fc.constantFrom(...Array.from('abcdefghijklmnopqrstuvwxyz0123456789'));
const inner = fc.string({ unit: fc.constantFrom(...Array.from('abcxyz019._-')), maxLength: 10 });
const segment = fc.oneof(
  edge,
  fc.tuple(edge, inner, edge).map((parts) => parts.join('')),
);

/** A valid name of a client. */
export const identityName = fc
  .tuple(fc.constantFrom('worker', 'user', 'service'), fc.array(segment, { minLength: 1, maxLength: 3 }))
  .map(([kind, rest]) => [kind, ...rest].join('/'));

const label = fc.oneof(
  fc.constantFrom('a', 'prefect', 'my_domain', '0', 'x-y'),
  fc.tuple(edge, inner, edge).map((parts) => parts.join('').replaceAll('.', '-')),
);

/** A valid trust domain. */
export const trustDomain = fc
  .array(label, { minLength: 1, maxLength: 4 })
  .map((labels) => labels.join('.'))
  .filter((text) => !/^\d+(?:\.\d+){3}$/.test(text) && !/(?:^|\.)\d+$/.test(text));
