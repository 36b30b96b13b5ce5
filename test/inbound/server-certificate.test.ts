import fc from 'fast-check';
import { expect, test } from 'vitest';
import { renewalTime } from '../../src/inbound/server-certificate.ts';

test('a certificate is renewed at two thirds of its life, less up to a twentieth of it', () => {
  const times = fc.tuple(
    fc.nat(2e12),
    fc.integer({ min: 300_000, max: 1e11 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
  );
  fc.assert(
    fc.property(times, ([notBefore, lifetime, random]) => {
      const share = (renewalTime(notBefore, notBefore + lifetime, random) - notBefore) / lifetime;
      expect(share).toBeLessThanOrEqual(2 / 3 + 1e-6);
      expect(share).toBeGreaterThanOrEqual(2 / 3 - 1 / 20 - 1e-6);
    }),
  );
});
