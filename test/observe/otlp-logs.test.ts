import { expect, test } from 'vitest';
import type { ExportEntry } from '../../src/observe/export-entry.ts';
import { otlpLogs } from '../../src/observe/otlp-logs.ts';

interface Sent {
  readonly resourceLogs: ReadonlyArray<{
    readonly scopeLogs: ReadonlyArray<{
      readonly logRecords: ReadonlyArray<{
        readonly timeUnixNano: string;
        readonly body: { readonly stringValue: string };
        readonly attributes: ReadonlyArray<{ readonly key: string; readonly value: Readonly<Record<string, unknown>> }>;
      }>;
    }>;
  }>;
}

/** As a collector has it, after JSON. */
function sent(changes: Partial<ExportEntry>) {
  const entry: ExportEntry = { time: 1, kind: 'decision', severity: 'info', fields: {}, text: 'x', ...changes };
  const { resourceLogs } = JSON.parse(JSON.stringify(otlpLogs([entry], {}, 1))) as Sent;
  return resourceLogs[0]?.scopeLogs[0]?.logRecords[0];
}

test('a time that is none, or too far for a fixed64, is unknown: one such line must not have all refused', () => {
  expect(sent({ time: 1_790_000_000_000 })?.timeUnixNano).toBe('1790000000000000000');
  expect(sent({ time: 18_446_744_073_709 })?.timeUnixNano).toBe('18446744073709000000');
  for (const time of [18_446_744_073_710, 8.64e15, 1e99, -1, Number.NaN]) {
    expect(sent({ time })?.timeUnixNano).toBe('0');
  }
});

test('numbers are what the JSON mapping of protobuf has for them, whatever a line said', () => {
  const fields = { status: 201, ms: 1.5, outcome: Number.POSITIVE_INFINITY, code: 'a\ud800b' };
  expect(sent({ fields, text: '\udfff' })).toMatchObject({
    body: { stringValue: '\ufffd' },
    attributes: [
      { key: 'certgate.status', value: { intValue: '201' } },
      { key: 'certgate.ms', value: { doubleValue: 1.5 } },
      { key: 'http.response.status_code', value: { stringValue: 'Infinity' } },
      { key: 'certgate.code', value: { stringValue: 'a\ufffdb' } },
    ],
  });
});
