import { expect, test } from 'vitest';
import type { ExportEntry } from '../../src/observe/export-entry.ts';
import { otlpLogs } from '../../src/observe/otlp-logs.ts';
import { octetCounted, syslogMessage } from '../../src/observe/syslog-message.ts';
import { parseSyslog, takeCounted } from './syslog.ts';

const entry: ExportEntry = {
  time: 1_790_000_000_123,
  kind: 'decision',
  severity: 'warning',
  fields: { identity: 'a"b]c\\d\\]', path: '/é/\u{1f600}\n', seq: 12 },
  text: '{"path":"/é"}',
};
const form = { host: 'gate.example', sdId: 'certgate@32473', longest: 8192 };

test('a message is one of RFC 5424, whatever stands in its fields', () => {
  const read = parseSyslog(syslogMessage(entry, form));
  expect(read).toMatchObject({ pri: 13 * 8 + 4, time: '2026-09-21T14:13:20.123Z', host: 'gate.example' });
  expect(read).toMatchObject({ app: 'certgate', msgid: 'decision', sdId: 'certgate@32473', text: '{"path":"/é"}' });
  expect(Object.fromEntries(read.fields)).toEqual({ identity: 'a"b]c\\d\\]', path: '/é/\u{1f600}\n', seq: '12' });
  const odd = parseSyslog(syslogMessage({ ...entry, time: Number.NaN, text: '' }, { ...form, host: 'é ' }));
  expect(odd).toMatchObject({ time: '-', host: '-', text: '' });
});

test('a message is no longer than it may be, and is cut between characters', () => {
  const fields = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`field${i}`, '"\u{1f600}'.repeat(3000)]));
  for (const longest of [2048, 2049, 2050, 2051, 8192]) {
    const message = syslogMessage({ ...entry, fields, text: '\u{1f600}'.repeat(5000) }, { ...form, longest });
    expect(message.length).toBeLessThanOrEqual(longest);
    expect(message.length).toBeGreaterThan(longest - 4);
    expect(parseSyslog(message).fields.get('field19')).toMatch(/^"\u{1f600}.*\.\.\.$/u);
  }
  const messages = [syslogMessage(entry, form), Buffer.from('x')];
  const taken = takeCounted(Buffer.concat([...messages.map(octetCounted), Buffer.from('9 half')]));
  expect(taken).toEqual({ messages, rest: Buffer.from('9 half') });
});

test('OTLP has 64-bit numbers as text, enums as numbers and what protobuf calls a oneof with one member', () => {
  expect(otlpLogs([entry], { 'service.name': 'certgate' }, 1_790_000_000_200)).toEqual({
    resourceLogs: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'certgate' } }] },
        scopeLogs: [
          {
            scope: { name: 'certgate.audit' },
            logRecords: [
              {
                timeUnixNano: '1790000000123000000',
                observedTimeUnixNano: '1790000000200000000',
                ...{ severityNumber: 13, severityText: 'WARN', eventName: 'certgate.audit.decision' },
                body: { stringValue: '{"path":"/é"}' },
                attributes: [
                  { key: 'certgate.identity', value: { stringValue: 'a"b]c\\d\\]' } },
                  { key: 'url.path', value: { stringValue: '/é/\u{1f600}\n' } },
                  { key: 'certgate.seq', value: { intValue: '12' } },
                ],
              },
            ],
          },
        ],
      },
    ],
  });
});
