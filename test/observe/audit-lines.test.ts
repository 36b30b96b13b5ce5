import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AuditRecord, LONGEST, recordJson, restOfRecord } from '../../src/observe/audit-lines.ts';
import { accessClient, accessSubject } from '../../src/observe/log.ts';
import { auditRecord } from './records.ts';

const text = fc.string({ unit: 'binary', maxLength: 40 });
const maybe = fc.option(text);

/** Any record; the fields of ours hold words. */
const record: fc.Arbitrary<AuditRecord> = fc
  .record({
    requestId: text,
    identity: text,
    serial: fc.option(fc.string({ unit: fc.constantFrom('0', '9', 'a', 'f') })),
    address: text,
    path: text,
    operation: fc.option(fc.constantFrom('create_flow_run', 'ui_settings')),
    object: maybe,
    decision: fc.constantFrom('permit', 'refuse'),
    code: fc.option(fc.constantFrom('CG_POLICY_FORBIDDEN', 'CG_REQUEST_HOST')),
    status: fc.option(fc.nat(599)),
    reason: maybe,
    role: maybe,
    rule: maybe,
  })
  .map((changes) => auditRecord(changes));

test('a line of a record is the JSON of its fields, in printable ASCII, whatever they hold', () => {
  fc.assert(
    fc.property(record, (one) => {
      const line = recordJson(one);
      expect(line).toMatch(/^[\x20-\x7e]*$/);
      expect(JSON.stringify(JSON.parse(line))).toBe(JSON.stringify(one));
    }),
  );
});

test('a line made with the part that its access line has is the same line', () => {
  fc.assert(
    fc.property(record, (one) => {
      const { time, requestId } = one;
      const client = accessClient(one.identity, one.serial, one.address);
      const subject = accessSubject(client, one.method, one.path, one.operation);
      expect(recordJson({ time, requestId, rest: restOfRecord(one, subject) })).toBe(recordJson(one));
    }),
  );
});

test('records by rules that take turns each name their own', () => {
  for (const rule of ['policy.yaml:1:1', 'policy.yaml:2:1', 'policy.yaml:1:1', null]) {
    for (const role of ['worker', 'viewer', null]) {
      expect(JSON.parse(recordJson(auditRecord({ role, rule })))).toMatchObject({ role, rule });
    }
  }
});

test('a text is cut after 1024 characters, which a record says', () => {
  const long = 'a'.repeat(LONGEST + 1);
  expect(recordJson(auditRecord({ rule: long }))).toContain(`"rule":"${'a'.repeat(LONGEST)}... (1025 characters)"`);
});
