import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AuditStatement, auditStatement, readAuditStatement } from '../../src/pki/audit-statement.ts';

const hex = (length: number) =>
  fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdef')), minLength: length, maxLength: length });
const head = fc.record({ seq: fc.nat(), hash: hex(64) });
const statements: fc.Arbitrary<AuditStatement> = fc.record({
  trustDomain: fc.constantFrom('prefect.example', 'a'),
  record: head,
  act: head,
  time: fc.integer({ min: 1 }),
  issuer: hex(40),
});

test('a statement reads back as what it was made of', () => {
  fc.assert(
    fc.property(statements, (statement) => {
      expect(readAuditStatement(auditStatement(statement))).toEqual(statement);
    }),
  );
});

test('a changed one is another one or none', () => {
  fc.assert(
    fc.property(statements, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, at, flip) => {
      const octets = Buffer.from(auditStatement(one));
      const place = at % octets.length;
      octets[place] = (octets[place] ?? 0) ^ flip;
      expect(readAuditStatement(octets)).not.toEqual(one);
    }),
  );
});
