// Records as an OTLP/HTTP request for logs in JSON (opentelemetry-proto, logs/v1; the JSON mapping of protobuf): 64-bit
// numbers are strings of digits, enums are numbers, names are in lowerCamelCase. Pure.

import type { ExportEntry } from './export-entry.ts';

/** SeverityNumber of logs/v1: INFO, INFO2, WARN, ERROR. */
const SEVERITY = { info: [9, 'INFO'], notice: [10, 'NOTICE'], warning: [13, 'WARN'], error: [17, 'ERROR'] } as const;

/** Where OpenTelemetry has a name of its own for a field (semantic conventions); the others are certgate's. */
const NAMES: Readonly<Record<string, string>> = {
  method: 'http.request.method',
  path: 'url.path',
  address: 'client.address',
  outcome: 'http.response.status_code',
};

interface AnyValue {
  readonly stringValue?: string;
  readonly intValue?: string;
  readonly doubleValue?: number;
}

/** An ExportLogsServiceRequest; `now` in ms since the epoch. */
export function otlpLogs(
  batch: readonly ExportEntry[],
  resource: Readonly<Record<string, string>>,
  now: number,
): object {
  const logRecords = batch.map((entry) => ({
    timeUnixNano: nanoseconds(entry.time),
    observedTimeUnixNano: nanoseconds(now),
    severityNumber: SEVERITY[entry.severity][0],
    severityText: SEVERITY[entry.severity][1],
    eventName: `certgate.audit.${entry.kind}`,
    body: { stringValue: entry.text.toWellFormed() },
    attributes: Object.entries(entry.fields).map(([field, value]) => ({
      key: NAMES[field] ?? `certgate.${field}`,
      value: anyValue(value),
    })),
  }));
  const attributes = Object.entries(resource).map(([key, value]) => ({ key, value: anyValue(value) }));
  return {
    resourceLogs: [{ resource: { attributes }, scopeLogs: [{ scope: { name: 'certgate.audit' }, logRecords }] }],
  };
}

/** The last ms of which the nanoseconds are a fixed64. */
const LAST = 18_446_744_073_709;

/** fixed64; 0, which is unknown, for a time that is none: a collector refuses all of a request for one such number. */
function nanoseconds(ms: number): string {
  return ms >= 0 && ms <= LAST ? String(BigInt(Math.round(ms)) * 1_000_000n) : '0';
}

function anyValue(value: string | number): AnyValue {
  if (typeof value === 'string') return { stringValue: value.toWellFormed() };
  if (Number.isSafeInteger(value)) return { intValue: String(value) };
  return Number.isFinite(value) ? { doubleValue: value } : { stringValue: String(value) };
}
